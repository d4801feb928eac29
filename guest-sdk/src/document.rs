//! What reading gave: a document, or why there is none.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ProcessorError;
use crate::yaml;

/// Why a read gave no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not read yet. Pass it on with `?`: the host reads and calls again, in a fresh instance.
    #[error("waiting for a read")]
    Pending,
    /// The source says there is nothing there.
    #[error("`{url}` does not exist")]
    NotFound {
        /// What was asked.
        url: String,
    },
    /// The grant, an address rule or the source refuses.
    #[error("`{url}` may not be read: {reason}")]
    Refused {
        /// What was asked.
        url: String,
        /// Which rule refuses, and what to do.
        reason: String,
    },
}

/// One document, read in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub(crate) body: Vec<u8>,
    pub(crate) final_url: String,
    pub(crate) digest: String,
}

impl Document {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Where it was found after redirects.
    #[must_use]
    pub fn final_url(&self) -> &str {
        &self.final_url
    }

    /// SHA-256 of its bytes, lower-case hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its bytes as UTF-8 text, without a byte order mark.
    ///
    /// # Errors
    /// [`ProcessorError::Invalid`], without a word of the document, for any other encoding.
    pub fn text(&self) -> Result<&str, ProcessorError> {
        yaml::decode(&self.body).map_err(|error| ProcessorError::Invalid(error.message))
    }

    /// Its JSON, of the type asked for.
    ///
    /// # Errors
    /// [`ProcessorError::Invalid`] with the place, without a word of the document.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ProcessorError> {
        serde_json::from_str(self.text()?).map_err(|error| {
            ProcessorError::Invalid(format!(
                "is not the JSON expected (line {}, column {})",
                error.line(),
                error.column()
            ))
        })
    }

    /// Its YAML documents; see [`yaml::documents`].
    #[must_use]
    pub fn yaml(&self) -> Vec<Result<(Value, yaml::Position), yaml::YamlError>> {
        yaml::documents(&self.body)
    }
}
