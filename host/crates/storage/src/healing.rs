//! What the daily audit is shown of a tenant, and what mends it (DESIGN §2).
//!
//! The audit asks of every entity whether its next run would be skipped (the memo), whether what its last good run left is
//! still there and nothing besides (the edges), and whether what is served is what would be stitched now (the stitch). A page
//! is one moment of the database, so a run that is recorded meanwhile is in it whole or not at all. What somebody will look at
//! anyway is marked, and is nobody's damage.
use crate::{FinalEntity, StitchInput, StorageError, TracedRead};
use async_trait::async_trait;
use greenroom_model::{Digest, EntityRef, EntityUid, TenantId};

/// Some entities of a tenant, by uid.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The entities.
    pub entities: Vec<AuditedEntity>,
    /// Refs of this stretch that are served although there is no such entity.
    pub strays: Vec<EntityRef>,
    /// Whether all of the tenant is being queued, or will be when a canary has ended: memos may then differ.
    pub queueing: bool,
    /// Whether this was the last page.
    pub last: bool,
}

/// One entity with everything that was derived from it.
#[derive(Debug, Clone)]
pub struct AuditedEntity {
    /// The uid.
    pub uid: EntityUid,
    /// The ref.
    pub entity_ref: EntityRef,
    /// Its unprocessed body.
    pub unprocessed: String,
    /// The memo of the last run whose result was kept.
    pub memo: Option<Digest>,
    /// The reads of that run.
    pub trace: Vec<TracedRead>,
    /// Whether each of them is stored with the digest it then had.
    pub reads_current: bool,
    /// Whether it has no memo because its children were too far from their origin: the next run is to try them again.
    pub memo_withheld: bool,
    /// Whether a run of it is queued or under way.
    pub queued: bool,
    /// Whether its edges and relations are those that its last good run left.
    pub edges_as_left: bool,
    /// Whether it is marked as an orphan exactly if nothing reaches it, or is about to be checked.
    pub reach: Reach,
    /// What would be stitched.
    pub stitch: StitchInput,
    /// What is served.
    pub served: Option<FinalEntity>,
    /// Whether it is queued for stitching.
    pub stitch_queued: bool,
}

/// How an entity's mark as an orphan and its edges fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// They do, or a check is queued.
    AsMarked,
    /// It is marked, and something reaches it.
    Reached,
    /// It is a registered location's, and the edge that registering gave it is missing.
    Unregistered,
    /// Nothing reaches it, and it is not marked.
    Unreached,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The entity's next run would not be skipped, and nobody has queued it.
    Memo(EntityUid),
    /// Its edges or relations are not those of its last good run.
    Edges(EntityUid),
    /// Its mark as an orphan is not what its edges say.
    Reach(EntityRef, Reach),
    /// What is served under the ref is not what would be stitched.
    Stitch(EntityRef),
}

/// The audit's view of a tenant.
#[async_trait]
pub trait HealingRepository {
    /// Entities by uid after `after`, up to `limit`, in one moment of the database.
    async fn audit_page(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<AuditPage, StorageError>;
    /// Queues what mends each, in one transaction: a run in lane *bulk* with its memo cleared, an orphan check, the edge of a
    /// registered location, a stitch that takes nothing of what is served for right. Mending what is whole changes nothing
    /// that a client sees.
    async fn heal(&self, tenant: TenantId, damage: Vec<Damage>) -> Result<(), StorageError>;
}
