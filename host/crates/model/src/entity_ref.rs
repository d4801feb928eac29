//! Entity refs: the identity of an entity, `kind:namespace/name`, lower-cased (ref §1.3).
//!
//! The lower-cased text is the identity key everywhere; bodies keep their own casing. Equality,
//! order and hash are those of the text. The pieces are remembered as offsets, because a name may
//! itself contain `:` or `/` (`component:default/a/b`), so the text alone is cut at its first ones.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::casing::lower_case;

/// Namespace of an entity or ref that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// A complete, lower-cased entity ref.
#[derive(Clone)]
pub struct EntityRef {
    text: Box<str>,
    kind_end: usize,
    namespace_end: usize,
}

/// Longest ref, in bytes. Two of them fit into a key of every storage backend; Backstage's own database has 255 characters.
pub const MAX_REF_BYTES: usize = 1_000;

/// A text that is no entity ref. Messages are Backstage's, the ref cut at 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefError {
    /// More than [`MAX_REF_BYTES`].
    #[error("Entity reference \"{0}\" is longer than {MAX_REF_BYTES} bytes")]
    TooLong(String),
    /// An empty text.
    #[error("Entity reference must not be empty")]
    Empty,
    /// A piece that is present but empty.
    #[error("Entity reference \"{0}\" was not on the form [<kind>:][<namespace>/]<name>")]
    Form(String),
    /// No kind, and none assumed.
    #[error(
        "Entity reference \"{0}\" had missing or empty kind (e.g. did not start with \"component:\" or similar)"
    )]
    Kind(String),
}

impl RefError {
    /// Backstage's error name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            RefError::Form(_) => "TypeError",
            RefError::TooLong(_) => "InputError",
            RefError::Empty | RefError::Kind(_) => "Error",
        }
    }
}

impl EntityRef {
    /// The ref of these three pieces, lower-cased each on its own as Backstage does (the final
    /// sigma of a piece does not see its neighbour). Nothing else is checked: the pieces of an
    /// entity are checked by its policies, after its ref is already needed for messages.
    #[must_use]
    pub fn new(kind: &str, namespace: &str, name: &str) -> EntityRef {
        let kind = lower_case(kind);
        let namespace = lower_case(namespace);
        let text = [&*kind, ":", &*namespace, "/", &*lower_case(name)].concat();
        EntityRef {
            kind_end: kind.len(),
            namespace_end: kind.len() + 1 + namespace.len(),
            text: text.into_boxed_str(),
        }
    }

    /// Reads `kind:[namespace/]name`; the namespace defaults to `default`.
    ///
    /// # Errors
    /// [`RefError`] for a missing kind, an empty piece, or too many bytes.
    pub fn parse(text: &str) -> Result<EntityRef, RefError> {
        EntityRef::parse_with(text, None, None)
    }

    /// Reads `[kind:][namespace/]name` with defaults for what is absent. A `/` before the first
    /// `:` makes the colon part of the name; a piece that is present but empty is an error.
    ///
    /// # Errors
    /// [`RefError`] for a missing kind without default, an empty piece, or too many bytes.
    pub fn parse_with(
        text: &str,
        default_kind: Option<&str>,
        default_namespace: Option<&str>,
    ) -> Result<EntityRef, RefError> {
        if text.is_empty() {
            return Err(RefError::Empty);
        }
        let slash = text.find('/');
        let colon = text
            .find(':')
            .filter(|colon| slash.is_none_or(|slash| slash > *colon));
        let after_colon = colon.map_or(0, |colon| colon + 1);
        let kind = colon.map(|colon| &text[..colon]);
        let namespace = slash.map(|slash| &text[after_colon..slash]);
        let name = &text[slash.map_or(after_colon, |slash| slash + 1)..];
        let shown = || text.chars().take(200).collect();
        if kind == Some("") || namespace == Some("") || name.is_empty() {
            return Err(RefError::Form(shown()));
        }
        let given = |text: &&str| !text.is_empty();
        let kind = kind
            .or(default_kind.filter(given))
            .ok_or_else(|| RefError::Kind(shown()))?;
        let namespace = namespace
            .or(default_namespace.filter(given))
            .unwrap_or(DEFAULT_NAMESPACE);
        let entity_ref = EntityRef::new(kind, namespace, name);
        if entity_ref.text.len() > MAX_REF_BYTES {
            return Err(RefError::TooLong(shown()));
        }
        Ok(entity_ref)
    }

    /// `kind:namespace/name`, lower-cased.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The kind, lower-cased.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.text[..self.kind_end]
    }

    /// The namespace, lower-cased.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.text[self.kind_end + 1..self.namespace_end]
    }

    /// The name, lower-cased.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.namespace_end + 1..]
    }
}

impl PartialEq for EntityRef {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for EntityRef {}

impl PartialOrd for EntityRef {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntityRef {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for EntityRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityRef({self})")
    }
}

impl FromStr for EntityRef {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        EntityRef::parse(text)
    }
}

impl Serialize for EntityRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for EntityRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        EntityRef::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y12_follows_the_grammar() {
        for (text, expected) in [
            ("Component:Artist-Web", Ok("component:default/artist-web")),
            ("Component:NS/Name", Ok("component:ns/name")),
            ("a:b:c", Ok("a:default/b:c")),
            ("k:x/y/z", Ok("k:x/y/z")),
            ("k:a/b:c", Ok("k:a/b:c")),
            ("component:..", Ok("component:default/..")),
            ("component:a b?#", Ok("component:default/a b?#")),
            ("x/y/z", Err("missing or empty kind")),
            ("a/b:c", Err("missing or empty kind")),
            ("", Err("must not be empty")),
            (":x", Err("not on the form")),
            ("k:/x", Err("not on the form")),
            ("/x", Err("not on the form")),
            ("k:x/", Err("not on the form")),
            ("component:", Err("not on the form")),
        ] {
            match (EntityRef::parse(text), expected) {
                (Ok(parsed), Ok(expected)) => assert_eq!(parsed.as_str(), expected),
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{error}");
                }
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }

    #[test]
    fn defaults_fill_absent_pieces_only() {
        let parse = |text| EntityRef::parse_with(text, Some("Group"), Some("NS"));
        assert_eq!(parse("team").unwrap().as_str(), "group:ns/team");
        assert_eq!(parse("user:x/team").unwrap().as_str(), "user:x/team");
        assert!(parse("/team").is_err());
        assert!(parse(":team").is_err());
    }

    #[test]
    fn pieces_are_those_given() {
        let made = EntityRef::new("API", "\u{130}", "a/b:c");
        assert_eq!(
            (made.kind(), made.namespace(), made.name()),
            ("api", "i\u{307}", "a/b:c")
        );
        let again: EntityRef =
            serde_json::from_str(&serde_json::to_string(&made).unwrap()).unwrap();
        assert_eq!(again, made);
    }

    #[test]
    fn y12_long_garbage_gives_a_short_error() {
        let error = EntityRef::parse(&"x".repeat(1 << 20)).unwrap_err();
        assert!(error.to_string().len() < 400);
    }
}
