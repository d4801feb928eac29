//! Why a run could not be carried out. Ours, retried with backoff; a guest's failure is part of a run's record.

use crate::OrchestrateError;
use greenroom_storage::StorageError;
use thiserror::Error;

/// A run that ended without a record.
#[derive(Debug, Error)]
pub enum ProcessingError {
    /// The database.
    #[error("use the storage")]
    Storage(#[from] StorageError),
    /// The sandbox, or the way to it.
    #[error("run the stages")]
    Orchestrate(#[from] OrchestrateError),
    /// The tenant went away meanwhile.
    #[error("find the tenant of the claimed entity")]
    TenantGone,
    /// What an activation stored does not read back.
    #[error("read the stored `{what}`: {reason}")]
    Damaged {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
