//! Orphan checks: walking up from entities that lost an edge (DESIGN §2, last row).
use crate::StorageError;
use async_trait::async_trait;

/// How long an unreachable entity waits to be emitted again.
pub const ORPHAN_GRACE_MS: i64 = 30_000;

/// What one pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrphanReport {
    /// Refs checked.
    pub checked: u64,
    /// Entities that began their 30 s of grace.
    pub orphaned: u64,
    /// Entities deleted, with what only they reached.
    pub deleted: u64,
}

/// The queue; works across tenants.
#[async_trait]
pub trait OrphanQueue {
    /// Checks up to `limit` due refs: reachable ones are done; unreachable ones get `orphaned_at`, are stitched (they
    /// carry the orphan annotation) and yield their location key; those still unreachable 30 s later are deleted with
    /// what only they reach. A tenant with `orphanStrategy: keep` in its settings keeps them.
    async fn check_orphans(&self, limit: u32) -> Result<OrphanReport, StorageError>;
}
