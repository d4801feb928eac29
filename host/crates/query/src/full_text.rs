//! The full-text condition of by-query: a plain substring (DESIGN §6; ref §7.7).

use serde::{Deserialize, Serialize};

use crate::QueryError;

/// Most fields one full-text search may name.
pub const MAX_FULL_TEXT_FIELDS: usize = 100;

/// A search for a text in the values of some keys, as in bodies and cursors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullText {
    /// The text; trimmed and lower-cased before it is looked for. Empty: no condition. `%` and `_`
    /// mean themselves.
    #[serde(default)]
    pub term: String,
    /// The keys to look in; if empty the order field, else `metadata.uid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

impl FullText {
    /// Checks the number of fields.
    ///
    /// # Errors
    /// [`QueryError::TooMany`] above [`MAX_FULL_TEXT_FIELDS`].
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.fields.len() > MAX_FULL_TEXT_FIELDS {
            return Err(QueryError::TooMany {
                what: "full text fields",
                limit: MAX_FULL_TEXT_FIELDS,
            });
        }
        Ok(())
    }
}
