//! Who changed what, from where. Append-only.
//!
//! A record is written in the transaction of the change that it tells of, so that there is never one without the other: not after a
//! crash between them, and not on a disk that has room for the first alone.
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Revision, Storage, StorageError};
use async_trait::async_trait;
use greenroom_model::{TenantId, Timestamp};
use serde::Serialize;
use serde_json::json;

/// One record.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEntry {
    /// When; on writing the storage's clock fills it.
    pub at: Timestamp,
    /// The tenant it concerns, if one.
    #[serde(skip)]
    pub tenant: Option<TenantId>,
    /// The token's id.
    pub actor: String,
    /// The operation id, such as `delete_location`.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// The peer's address.
    pub remote: String,
    /// JSON before and after, where small.
    pub before: Option<String>,
    /// See `before`.
    pub after: Option<String>,
}

impl AuditEntry {
    /// Completes that of an upload: which revision it became.
    pub fn note_revision(&mut self, revision: &Revision) {
        let after = json!({"revision": revision.number, "digest": revision.digest});
        self.after = Some(after.to_string());
    }

    /// Completes that of revisions that were dropped: which there were.
    pub fn note_dropped(&mut self, revisions: &[u32]) {
        self.before = Some(json!({"revisions": revisions}).to_string());
    }
}

/// The audit log.
#[async_trait]
pub trait AuditLog {
    /// A handle for one change, which the record tells of. The handle's first transaction that changes something appends the
    /// record; an operation that finds nothing to change leaves none. What only the transaction knows, such as the id of a new
    /// tenant, it adds.
    fn audited(&self, entry: AuditEntry) -> Arc<dyn Storage>;
    /// Appends a record of something that changes nothing in here, such as an export.
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StorageError>;
    /// The newest records, of one tenant or of all.
    async fn list_audit(
        &self,
        tenant: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StorageError>;
}

/// What a handle owes to the audit log, for the backends: a record at most, written once.
#[derive(Debug, Clone, Default)]
pub struct OwedAudit(Arc<Mutex<Option<AuditEntry>>>);

impl OwedAudit {
    /// It owes this one.
    #[must_use]
    pub fn of(entry: AuditEntry) -> Self {
        Self(Arc::new(Mutex::new(Some(entry))))
    }

    /// The record that a transaction which begins now has to write.
    #[must_use]
    pub fn record(&self) -> Option<AuditEntry> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A transaction that wrote it has committed.
    pub fn written(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
