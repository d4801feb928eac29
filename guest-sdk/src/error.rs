//! Why a stage gives up on an entity. The text is shown to the entity's owner, cut at 4 KiB.

use crate::bindings::greenroom::processor::types as wit;
use crate::document::ReadError;

/// Longest message that crosses to the host, in bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 4096;

/// Why a stage gave up. Say what to do next; the owner of the entity reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessorError {
    /// The entity, or what it points at, is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Something it must have does not exist.
    #[error("{0}")]
    NotFound(String),
    /// A read it needs was refused.
    #[error("{0}")]
    Refused(String),
    /// It contradicts something else.
    #[error("{0}")]
    Conflict(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl ProcessorError {
    /// [`ProcessorError::Invalid`] with that message.
    pub fn invalid(message: impl Into<String>) -> Self {
        ProcessorError::Invalid(message.into())
    }

    /// [`ProcessorError::Other`] with that message.
    pub fn other(message: impl Into<String>) -> Self {
        ProcessorError::Other(message.into())
    }
}

impl From<ReadError> for ProcessorError {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            // Never seen by anybody: a call that recorded a want is pending whatever it returned.
            ReadError::Pending => ProcessorError::Other(message),
            ReadError::NotFound { .. } => ProcessorError::NotFound(message),
            ReadError::Refused { .. } => ProcessorError::Refused(message),
        }
    }
}

impl From<greenroom_model::RefError> for ProcessorError {
    fn from(error: greenroom_model::RefError) -> Self {
        ProcessorError::Invalid(error.to_string())
    }
}

impl From<greenroom_model::EnvelopeError> for ProcessorError {
    fn from(error: greenroom_model::EnvelopeError) -> Self {
        ProcessorError::Invalid(error.to_string())
    }
}

impl From<ProcessorError> for wit::ProcessingError {
    fn from(error: ProcessorError) -> Self {
        match error {
            ProcessorError::Invalid(text) => wit::ProcessingError::Invalid(clip(text)),
            ProcessorError::NotFound(text) => wit::ProcessingError::NotFound(clip(text)),
            ProcessorError::Refused(text) => wit::ProcessingError::Refused(clip(text)),
            ProcessorError::Conflict(text) => wit::ProcessingError::Conflict(clip(text)),
            ProcessorError::Other(text) => wit::ProcessingError::Other(clip(text)),
        }
    }
}

/// The text cut to what the contract allows, on a character boundary.
pub(crate) fn clip(mut text: String) -> String {
    if text.len() > MAX_MESSAGE_BYTES {
        const MARK: &str = "…";
        let mut end = MAX_MESSAGE_BYTES - MARK.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_between_characters() {
        let cut = clip("ä".repeat(5000));
        assert!(cut.len() <= MAX_MESSAGE_BYTES && cut.ends_with("ä…"));
        assert_eq!(clip("short".into()), "short");
    }
}
