//! Our own failures. A guest's are data, see `GuestFault`; a component we will not run is a
//! `Rejection`.

use greenroom_model::Digest;

/// A failure of the host. The call may be made again.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine could not be made, as where address space is limited.
    #[error("make the engine: {0}")]
    Engine(String),
    /// A thread of the engine could not be started.
    #[error("start the clock of the engine")]
    Ticker(#[source] std::io::Error),
    /// An artifact that is not ours, not for this engine, or damaged. Compile it again.
    #[error("load the artifact of `{revision}`: {reason}")]
    Artifact {
        /// The digest it was to have.
        revision: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// The revision has not been loaded.
    #[error("call `{0}`, which is not loaded")]
    NotLoaded(Digest),
    /// Every slot of the pool is taken, or the system has no memory. Wait.
    #[error("find room for a call of `{0}`")]
    NoRoom(Digest),
    /// A host function panicked or broke one of our invariants. Never the guest's fault (c21).
    #[error("run `{revision}`: {reason}")]
    Internal {
        /// The processor that was running.
        revision: Digest,
        /// What happened.
        reason: String,
    },
}

impl SandboxError {
    /// Whether the same call may succeed later on this machine.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            SandboxError::NoRoom(_) | SandboxError::Internal { .. } => true,
            SandboxError::Engine(_)
            | SandboxError::Ticker(_)
            | SandboxError::Artifact { .. }
            | SandboxError::NotLoaded(_) => false,
        }
    }
}
