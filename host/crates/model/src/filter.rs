//! Entity filters: one tree for the GET `filter` grammar (ref §7.3) and for the JSON predicates of
//! POST bodies and cursors (ref §7.4).
//!
//! A filter is data. It is evaluated by the index (crate `greenroom-query`) over many entities, and
//! by [`EntityFilter::matches`] over the terms of one. Both compare lower-cased text with the terms
//! of ref §5.7, so a filter holds lower-cased keys and values from the start.
//!
//! Invariant: a filter built by a parser of this module is within [`MAX_NODES`] and [`MAX_DEPTH`]
//! (hostile rows h08, h09), so everything that recurses over one is bounded. Writing a filter as a
//! predicate and reading it back gives an equal filter, within the same bounds.

mod json;
mod location;
mod params;
mod predicate;

pub use location::{LocationField, LocationFields, LocationFilter};

use crate::terms::Term;

/// Most nodes of one filter: operators, keys, and values of an `$in` each count one.
pub const MAX_NODES: usize = 1_000;
/// Deepest nesting of one filter.
pub const MAX_DEPTH: usize = 32;

/// A condition on the terms of an entity. Keys and texts are lower-cased.
///
/// `{"relations": {"$contains": {"type": "t", "targetRef": "r"}}}` is no node of its own: relations
/// are terms `relations.<type>` = target ref, so it is parsed into [`In`](EntityFilter::In) or
/// [`Exists`](EntityFilter::Exists) on that key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityFilter {
    /// Every one holds; without any, everything matches.
    All(Vec<EntityFilter>),
    /// At least one holds; without any, nothing matches.
    Any(Vec<EntityFilter>),
    /// The inner one does not hold.
    Not(Box<EntityFilter>),
    /// The entity has a term with this key, whatever its value (null and over-long ones count).
    Exists {
        /// The lower-cased key.
        key: String,
    },
    /// The key has one of these values; without any, nothing matches. Null values never match.
    In {
        /// The lower-cased key.
        key: String,
        /// The lower-cased values.
        values: Vec<String>,
    },
    /// The key has a value that starts with this text.
    HasPrefix {
        /// The lower-cased key.
        key: String,
        /// The lower-cased text; empty for any value but null.
        prefix: String,
    },
}

/// A filter that cannot be used; the caller must change it (an InputError, 400).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A statement of a GET filter has no key.
    #[error(
        "invalid filter, `{0}` is not a valid statement (expected a string on the form a=b or a= or a)"
    )]
    EmptyKey(String),
    /// More than [`MAX_NODES`].
    #[error("filter has more than {MAX_NODES} conditions; split the request")]
    TooManyNodes,
    /// Deeper than [`MAX_DEPTH`].
    #[error("filter is nested deeper than {MAX_DEPTH} levels; flatten it")]
    TooDeep,
    /// A predicate, or a member of `$all`, `$any` or `$not`, is no object.
    #[error("invalid query, expected an object but got {0}")]
    NotAnObject(&'static str),
    /// An operator that does not exist, or stands where it has no meaning.
    #[error("invalid query, unknown operator `{0}`; keys must not start with `$`")]
    UnknownOperator(String),
    /// `$all`, `$any` or `$not`, or an operator on a key, beside other keys.
    #[error("invalid query, `{0}` must be the only key of its object")]
    NotAlone(String),
    /// An operand of the wrong type.
    #[error("invalid query, `{operator}` expects {expected}")]
    Operand {
        /// The operator, or the key for a plain comparison.
        operator: String,
        /// What to write instead.
        expected: &'static str,
    },
    /// A key that locations do not have.
    #[error(
        "Invalid filter predicate, expected key to be 'id', 'type', 'target', or 'entityRef', got '{0}'"
    )]
    UnknownLocationKey(String),
}

impl EntityFilter {
    /// The filter that every entity matches.
    #[must_use]
    pub fn everything() -> EntityFilter {
        EntityFilter::All(Vec::new())
    }

    /// Whether this is [`EntityFilter::everything`].
    #[must_use]
    pub fn is_everything(&self) -> bool {
        matches!(self, EntityFilter::All(inner) if inner.is_empty())
    }

    /// Both must hold. Bounds are not checked again: joining two parsed filters adds one level.
    #[must_use]
    pub fn and(self, other: EntityFilter) -> EntityFilter {
        if self.is_everything() {
            other
        } else if other.is_everything() {
            self
        } else {
            EntityFilter::All(vec![self, other])
        }
    }

    /// Whether an entity with these terms matches. For single entities; lists ask the index.
    #[must_use]
    pub fn matches(&self, terms: &[Term]) -> bool {
        let with = |key: &str, test: &dyn Fn(&str) -> bool| {
            terms
                .iter()
                .any(|term| term.key == key && term.value.as_deref().is_some_and(test))
        };
        match self {
            EntityFilter::All(inner) => inner.iter().all(|filter| filter.matches(terms)),
            EntityFilter::Any(inner) => inner.iter().any(|filter| filter.matches(terms)),
            EntityFilter::Not(inner) => !inner.matches(terms),
            EntityFilter::Exists { key } => terms.iter().any(|term| term.key == *key),
            EntityFilter::In { key, values } => {
                with(key, &|value| values.iter().any(|wanted| wanted == value))
            }
            EntityFilter::HasPrefix { key, prefix } => {
                with(key, &|value| value.starts_with(prefix.as_str()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(key: &str, value: Option<&str>) -> Term {
        Term {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            original: value.map(str::to_owned),
        }
    }

    #[test]
    fn null_values_exist_but_equal_nothing() {
        let terms = [term("spec.n", None), term("kind", Some("component"))];
        let matches = |params: &[&str]| {
            EntityFilter::parse_params(params)
                .unwrap()
                .unwrap()
                .matches(&terms)
        };
        assert!(matches(&["spec.n"]));
        assert!(!matches(&["spec.n="]));
        assert!(!matches(&["missing="]));
        assert!(matches(&["KIND=Component"]));
        assert!(matches(&["kind=group", "kind=component,spec.n"]));
        assert!(!matches(&["kind=component,missing"]));
    }

    #[test]
    fn joining_with_everything_changes_nothing() {
        let kind = EntityFilter::Exists {
            key: "kind".to_owned(),
        };
        assert_eq!(EntityFilter::everything().and(kind.clone()), kind);
        assert_eq!(kind.clone().and(EntityFilter::everything()), kind);
        assert!(matches!(kind.clone().and(kind), EntityFilter::All(both) if both.len() == 2));
    }
}
