//! What can go wrong between us and the database. Nothing here is the fault of the data or of a tenant.
use thiserror::Error;

/// A failed storage operation. Callers retry, or answer 503; they never show its text to a client.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The database is locked, restarting or out of reach; the operation may be tried again.
    #[error("storage is busy: {operation}")]
    Busy {
        /// What was being done.
        operation: &'static str,
        /// The driver's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no room for what is to be written; nothing of it is. Reads go on, and so does all once there is room.
    #[error("storage has no room: {operation}")]
    Full {
        /// What was being done.
        operation: &'static str,
        /// The driver's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refused or broke the operation.
    #[error("storage failed: {operation}")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// The driver's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A stored value does not read back as what was written.
    #[error("stored `{column}` is damaged: {reason}")]
    Damaged {
        /// Table and column.
        column: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The schema is newer than this binary.
    #[error(
        "the database has schema version {found}, this binary knows {known}: run a newer greenroom"
    )]
    NewerSchema {
        /// The version in the database.
        found: i64,
        /// The newest version this binary knows.
        known: i64,
    },
}

impl StorageError {
    /// Whether the same operation may succeed if tried again.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Full { .. } => true,
            Self::Failed { .. } | Self::Damaged { .. } | Self::NewerSchema { .. } => false,
        }
    }
}
