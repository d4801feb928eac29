//! Subscriptions: which entities a processor is called for, as `describe` declares it and as a tenant may override it.
//!
//! Data and its bounds. Whether an entity satisfies a matcher is the orchestrator's business; here is only what keeps a
//! subscription cheap to match and fit to be shown (a16), for whoever wrote it.

use serde::{Deserialize, Serialize};

/// Most matchers of one subscription.
const MAX_MATCHERS: usize = 64;
/// Most values of one field of a matcher.
pub const MAX_MATCHER_VALUES: usize = 64;
/// Longest value, in bytes.
pub const MAX_MATCHER_VALUE_BYTES: usize = 256;

/// Which entities a processor is called for. An empty field matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Matcher {
    /// Kinds, letter case ignored.
    pub kinds: Vec<String>,
    /// Values of `spec.type`, letter case ignored.
    pub types: Vec<String>,
    /// Annotation keys of which one must be present.
    pub annotations: Vec<String>,
    /// Prefixes of object keys of which one must be present anywhere in the entity.
    pub keys_starting_with: Vec<String>,
}

/// A subscription out of bounds; a fragment that follows the name of what holds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// Too many of something.
    #[error("has {count} {what}; at most {most} may be")]
    TooMany {
        /// Of what.
        what: String,
        /// How many it has.
        count: usize,
        /// How many it may have.
        most: usize,
    },
    /// A value that is empty or cannot be shown.
    #[error("has an empty or unprintable value in {field}")]
    Value {
        /// The field it is in.
        field: String,
    },
}

/// Checks a subscription's bounds.
///
/// # Errors
/// [`SubscriptionError`] for the first thing out of bounds.
pub fn check_subscription(matchers: &[Matcher]) -> Result<(), SubscriptionError> {
    at_most("matchers", matchers.len(), MAX_MATCHERS)?;
    for matcher in matchers {
        check_matcher_values("kinds", &matcher.kinds)?;
        check_matcher_values("types", &matcher.types)?;
        check_matcher_values("annotations", &matcher.annotations)?;
        check_matcher_values("keys-starting-with", &matcher.keys_starting_with)?;
    }
    Ok(())
}

/// Checks the values of one field.
///
/// # Errors
/// [`SubscriptionError`] for the first thing out of bounds.
pub fn check_matcher_values(field: &str, values: &[String]) -> Result<(), SubscriptionError> {
    at_most(field, values.len(), MAX_MATCHER_VALUES)?;
    for value in values {
        at_most(
            &format!("bytes in a value of {field}"),
            value.len(),
            MAX_MATCHER_VALUE_BYTES,
        )?;
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(SubscriptionError::Value {
                field: field.to_owned(),
            });
        }
    }
    Ok(())
}

fn at_most(what: &str, count: usize, most: usize) -> Result<(), SubscriptionError> {
    if count > most {
        return Err(SubscriptionError::TooMany {
            what: what.to_owned(),
            count,
            most,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a16_subscriptions_out_of_bounds_say_what_is_too_much() {
        let kinds = |kinds: Vec<String>| Matcher {
            kinds,
            ..Matcher::default()
        };
        let said = |matchers: &[Matcher]| check_subscription(matchers).unwrap_err().to_string();
        assert_eq!(
            said(&vec![Matcher::default(); 65]),
            "has 65 matchers; at most 64 may be"
        );
        assert_eq!(
            said(&[kinds(vec!["a".into(); 65])]),
            "has 65 kinds; at most 64 may be"
        );
        assert_eq!(
            said(&[kinds(vec!["a".repeat(257)])]),
            "has 257 bytes in a value of kinds; at most 256 may be"
        );
        for bad in ["", "a\n", "\u{7}"] {
            assert!(said(&[kinds(vec![bad.into()])]).contains("in kinds"));
        }
        assert_eq!(check_subscription(&[kinds(vec!["api".into()])]), Ok(()));
        assert!(serde_json::from_str::<Matcher>(r#"{"kind":["a"]}"#).is_err());
    }
}
