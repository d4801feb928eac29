//! A text of the configuration that is shown to nobody.

use std::fmt;

use serde::Deserialize;

/// Such a text.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for who needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sees_it() {
        let secret = Secret::from("s3cret".to_owned());
        assert_eq!(
            format!("{secret:?} {:?}", Some(&secret)),
            "(secret) Some((secret))"
        );
        assert_eq!(secret.reveal(), "s3cret");
    }
}
