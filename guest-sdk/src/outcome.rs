//! What validate-kind and read-location answer, and what the latter is asked.

use greenroom_model::{LocationRef, Presence};

/// Whether an entity is of a kind the processor knows. "Mine and wrong" is an error instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kind is this processor's and the entity is valid.
    Valid,
    /// Another processor may know the kind.
    NotMine,
}

/// Whether a target was of a type the processor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It was, and was read.
    Yes,
    /// The next processor is asked.
    No,
}

/// One target of a Location entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its type and target, absolute where the host could make it so.
    pub location: LocationRef,
    /// Whether it must exist.
    pub presence: Presence,
}

impl Target {
    /// The type, such as `url`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.location.r#type
    }

    /// What the type says it is; for `url` an absolute URL.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.location.target
    }

    /// Whether a missing target is no error.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.presence == Presence::Optional
    }
}
