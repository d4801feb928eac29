//! Final entities as the API serves them, and what the API does to them.
use crate::StorageError;
use async_trait::async_trait;
use greenroom_model::{EntityRef, EntityUid, TenantId};
use std::sync::Arc;

/// A stitched entity: the JSON text exactly as served.
#[derive(Debug, Clone)]
pub struct FinalEntity {
    /// `metadata.uid`.
    pub uid: EntityUid,
    /// Its ref.
    pub entity_ref: EntityRef,
    /// `metadata.etag`.
    pub etag: String,
    /// The body.
    pub body: Arc<str>,
}

/// One entity of an ancestry with the refs of its parents.
#[derive(Debug, Clone)]
pub struct AncestryItem {
    /// The entity.
    pub entity: FinalEntity,
    /// Parents, by reference edges.
    pub parent_refs: Vec<EntityRef>,
}

/// Which inputs a refresh distrusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshScope {
    /// Backstage's refresh: the reads of the entity and of its Location ancestors are due now, and those are queued in
    /// lane *on request*.
    Reads,
    /// Forced: also clears the memo of the entity and of its Location ancestors.
    Forced,
}

/// The result of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// How many entities went.
    pub entities: u64,
    /// The log's last number after it, for read-your-writes.
    pub seq: u64,
}

/// Final entities of one tenant.
#[async_trait]
pub trait EntityRepository {
    /// The served entity with that ref.
    async fn find_entity(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<FinalEntity>, StorageError>;
    /// The served entity with that uid.
    async fn find_entity_by_uid(
        &self,
        tenant: TenantId,
        uid: &EntityUid,
    ) -> Result<Option<FinalEntity>, StorageError>;
    /// The served entities with those exact ref strings, in order; `None` where there is none. The answer ends with the row
    /// with which its bodies reach `max_bytes`: who wants the others asks for them.
    async fn find_entities_by_refs(
        &self,
        tenant: TenantId,
        refs: &[String],
        max_bytes: usize,
    ) -> Result<Vec<Option<FinalEntity>>, StorageError>;
    /// The served entities with those uids, in order; `None` where one has gone meanwhile. Bounded in the same way.
    async fn find_entities_by_uids(
        &self,
        tenant: TenantId,
        uids: &[EntityUid],
        max_bytes: usize,
    ) -> Result<Vec<Option<FinalEntity>>, StorageError>;
    /// Served entities by uid after `after`, for building an index in short statements.
    async fn scan_entities(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<Vec<FinalEntity>, StorageError>;
    /// The entity and all its ancestors, itself first; `None` if it is not served. Cycle-safe.
    async fn ancestry(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<Vec<AncestryItem>>, StorageError>;
    /// Deletes by uid (ref §5.5): the parents' memos are cleared and they are queued, relation peers are queued for
    /// stitching, the targets of its edges are queued for an orphan check. Unknown uid: zero entities.
    async fn delete_entity(
        &self,
        tenant: TenantId,
        uid: &EntityUid,
    ) -> Result<Deleted, StorageError>;
    /// Refreshes an entity; `false` if there is none with that ref that has an incoming edge.
    async fn refresh_entity(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
        scope: RefreshScope,
    ) -> Result<bool, StorageError>;
    /// Makes the reads of every entity that has one of these refresh keys due now, and queues it in lane *changed* (ref §5.5).
    /// Answers how many there were; one that has two of the keys counts twice.
    async fn refresh_by_keys(
        &self,
        tenant: TenantId,
        keys: Vec<String>,
    ) -> Result<u64, StorageError>;
    /// Number of served entities.
    async fn count_entities(&self, tenant: TenantId) -> Result<u64, StorageError>;
}
