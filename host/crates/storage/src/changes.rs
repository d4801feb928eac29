//! The change log of each tenant: gap-free and in commit order (DESIGN §7).
use crate::StorageError;
use async_trait::async_trait;
use greenroom_model::{EntityRef, EntityUid, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// How far a log has come. A different epoch means another log: list again, then follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    /// UUID, renewed by restore, move and re-creation.
    pub epoch: String,
    /// The last sequence number handed out; 0 for none.
    pub seq: u64,
}

/// What happened to a final entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Served for the first time, or with a new body.
    Upsert,
    /// No longer served.
    Delete,
}

/// One change of one final entity.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Its number in the tenant's log.
    pub seq: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The entity.
    pub entity_ref: EntityRef,
    /// Its uid.
    pub uid: EntityUid,
    /// The etag it was then served with; none where it is no longer served, or was logged before etags were.
    pub etag: Option<String>,
    /// When it was committed.
    pub at: Timestamp,
}

/// Following the logs. `log_positions` works across tenants.
#[async_trait]
pub trait ChangeLog {
    /// Where the tenant's log stands.
    async fn log_position(&self, tenant: TenantId) -> Result<LogPosition, StorageError>;
    /// Where the logs of several tenants stand, in the same order; `None` for a tenant that is gone. One statement.
    async fn log_positions(
        &self,
        tenants: &[TenantId],
    ) -> Result<Vec<Option<LogPosition>>, StorageError>;
    /// Changes with a number above `after`, oldest first. `None` if `after` is before what is kept.
    async fn changes_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Vec<Change>>, StorageError>;
    /// Gives the tenant's log another epoch, a fresh UUID, so that no cursor from before is taken: after a restore. `false`
    /// for a tenant that is gone.
    async fn renew_epoch(&self, tenant: TenantId, epoch: &str) -> Result<bool, StorageError>;
}
