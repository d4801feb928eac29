//! Location refs: `<type>:<target>`, where entities come from (ref §1.3).
//!
//! Both sides are trimmed as JavaScript trims and non-empty. The fields are public because trusted
//! code builds refs from parts; text of a tenant goes through [`LocationRef::parse`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A place entities are read from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocationRef {
    /// How the target is read, `url` or `file` in the default catalog.
    pub r#type: String,
    /// What is read; a URL for type `url`.
    pub target: String,
}

/// A text that is no location ref. Messages are Backstage's, the ref cut at 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationRefError {
    /// No colon, or nothing on one side of it.
    #[error(
        "Unable to parse location ref '{0}', expected '<type>:<target>', e.g. 'url:https://host/path'"
    )]
    Form(String),
    /// The caller forgot the type.
    #[error("Invalid location ref '{0}', please prefix it with 'url:', e.g. 'url:{0}'")]
    MissingType(String),
    /// The target is a `javascript:` URL, however it is disguised.
    #[error("Invalid location ref '{0}', target is a javascript: URL")]
    Script(String),
}

impl LocationRefError {
    /// Backstage's error name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        "TypeError"
    }
}

impl LocationRef {
    /// A ref of trusted parts, unchecked.
    #[must_use]
    pub fn new(r#type: impl Into<String>, target: impl Into<String>) -> LocationRef {
        LocationRef {
            r#type: r#type.into(),
            target: target.into(),
        }
    }

    /// Reads `<type>:<target>`, cut at the first colon.
    ///
    /// # Errors
    /// [`LocationRefError`] for an empty side, the types `http` and `https`, and script targets.
    pub fn parse(text: &str) -> Result<LocationRef, LocationRefError> {
        let shown = || text.chars().take(200).collect();
        let (kind, target) = text
            .split_once(':')
            .ok_or_else(|| LocationRefError::Form(shown()))?;
        let (kind, target) = (js_trim(kind), js_trim(target));
        if kind.is_empty() || target.is_empty() {
            Err(LocationRefError::Form(shown()))
        } else if kind == "http" || kind == "https" {
            Err(LocationRefError::MissingType(shown()))
        } else if is_script_url(target) {
            Err(LocationRefError::Script(shown()))
        } else {
            Ok(LocationRef::new(kind, target))
        }
    }
}

/// Whether a browser would take the text for a `javascript:` URL: leading controls and spaces are
/// skipped, tabs and line ends inside the scheme ignored, case ignored.
#[must_use]
pub fn is_script_url(text: &str) -> bool {
    let mut rest = text.trim_start_matches(|c: char| c <= ' ').chars();
    let mut next = || rest.find(|c| !matches!(c, '\r' | '\n' | '\t'));
    "javascript:"
        .chars()
        .all(|expected| next().is_some_and(|c| c.eq_ignore_ascii_case(&expected)))
}

/// `String.prototype.trim`: Unicode white space plus U+FEFF, without U+0085.
fn js_trim(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}'))
}

impl fmt::Display for LocationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.r#type, self.target)
    }
}

impl FromStr for LocationRef {
    type Err = LocationRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        LocationRef::parse(text)
    }
}

impl Serialize for LocationRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LocationRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        LocationRef::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        let parsed = LocationRef::parse(" url : https://h/a:b\u{feff}").unwrap();
        assert_eq!(parsed, LocationRef::new("url", "https://h/a:b"));
        assert_eq!(parsed.to_string(), "url:https://h/a:b");
        for bad in ["", "url", "url:", ":x", "url: ", "https://h/c.yaml"] {
            assert!(LocationRef::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn y13_script_targets_are_refused_in_disguise() {
        for bad in [
            "url:javascript:alert(1)",
            "url:jAvA\tscript:alert(1)",
            "url:\u{1} j\na\rvascript\t:x",
        ] {
            assert!(
                matches!(LocationRef::parse(bad), Err(LocationRefError::Script(_))),
                "{bad}"
            );
        }
        assert!(!is_script_url("java script:x"));
        assert!(!is_script_url("javascript"));
        assert!(!is_script_url("https://h/javascript:"));
    }
}
