//! Newtypes for ids and names, so that none is taken for another.
//!
//! Ids are made elsewhere (storage, uuid) and only carried here. Names are checked when parsed, so
//! a value of the type is always well-formed.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Longest tenant or processor name, in characters (all of them ASCII).
pub const MAX_NAME_CHARS: usize = 63;

/// The internal id of a tenant, first argument of every repository method; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub i64);

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The public name of a tenant: `[a-z0-9]` with inner `-`, at most 63 (DESIGN §4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TenantName(String);

/// The name of a processor within its tenant: `[a-z0-9-]`, at most 63.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ProcessorName(String);

/// The uid of a served entity, uuid text in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntityUid(String);

/// A name that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a tenant name.
    #[error(
        "`{0}` is not a tenant name; use 1 to 63 of a-z, 0-9 and -, neither first nor last a -"
    )]
    Tenant(String),
    /// Not a processor name.
    #[error("`{0}` is not a processor name; use 1 to 63 of a-z, 0-9 and -")]
    Processor(String),
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

impl TenantName {
    /// Checks and takes a tenant name.
    ///
    /// # Errors
    /// [`NameError::Tenant`] when it breaks the rule.
    pub fn parse(text: &str) -> Result<TenantName, NameError> {
        if is_name(text) && !text.starts_with('-') && !text.ends_with('-') {
            Ok(TenantName(text.to_owned()))
        } else {
            Err(NameError::Tenant(shortened(text)))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ProcessorName {
    /// Checks and takes a processor name.
    ///
    /// # Errors
    /// [`NameError::Processor`] when it breaks the rule.
    pub fn parse(text: &str) -> Result<ProcessorName, NameError> {
        if is_name(text) {
            Ok(ProcessorName(text.to_owned()))
        } else {
            Err(NameError::Processor(shortened(text)))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EntityUid {
    /// Takes a uid as storage keeps it. Not checked: an unknown uid is simply not found.
    #[must_use]
    pub fn new(text: impl Into<String>) -> EntityUid {
        EntityUid(text.into())
    }

    /// The uid as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ProcessorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for EntityUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TenantName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        TenantName::parse(&text).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ProcessorName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        ProcessorName::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_names_follow_their_rule() {
        for good in ["default", "a", "a-1", &"x".repeat(63)] {
            assert!(TenantName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "é", &"x".repeat(64)] {
            assert!(TenantName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn deserialising_checks_the_name() {
        assert!(serde_json::from_str::<ProcessorName>("\"team-label\"").is_ok());
        assert!(serde_json::from_str::<ProcessorName>("\"../etc\"").is_err());
    }
}
