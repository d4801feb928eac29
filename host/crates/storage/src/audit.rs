//! Who changed what, from where. Append-only.
use crate::StorageError;
use async_trait::async_trait;
use greenroom_model::{TenantId, Timestamp};
use serde::Serialize;

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

/// The audit log.
#[async_trait]
pub trait AuditLog {
    /// Appends a record.
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StorageError>;
    /// The newest records, of one tenant or of all.
    async fn list_audit(
        &self,
        tenant: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StorageError>;
}
