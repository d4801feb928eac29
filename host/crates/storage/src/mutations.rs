//! Mutations by entity providers: the root entities of a tenant (ref §6.1).
use crate::StorageError;
use async_trait::async_trait;
use greenroom_model::{EntityRef, TenantId};

/// A root entity as a provider gives it: envelope-checked and with both managed-by annotations.
#[derive(Debug, Clone)]
pub struct ProvidedEntity {
    /// Its ref.
    pub entity_ref: EntityRef,
    /// Its unprocessed body as stored.
    pub unprocessed: String,
    /// Who owns it; see ref §5.4.
    pub location_key: Option<String>,
}

/// How a mutation relates to what the provider gave before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MutationKind {
    /// `added` is everything the provider has; what is missing is removed.
    Full,
    /// `added` and `removed` only.
    Delta,
}

/// What a provider says.
#[derive(Debug, Clone)]
pub struct Mutation {
    /// Full or delta.
    pub kind: MutationKind,
    /// Entities to add or update. One wins by order where a ref is there twice.
    pub added: Vec<ProvidedEntity>,
    /// Refs to remove; unknown ones are ignored.
    pub removed: Vec<EntityRef>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MutationOutcome {
    /// New entities.
    pub added: u64,
    /// Entities with new bytes or a new owner.
    pub updated: u64,
    /// Entities that were the same.
    pub unchanged: u64,
    /// Entities deleted, descendants included.
    pub removed: u64,
    /// Refs that another location key owns.
    pub conflicts: Vec<EntityRef>,
    /// The log's last number after it, for read-your-writes.
    pub seq: u64,
}

/// Providers of one tenant, named by a source key such as `provider:github`, `config` or `locations`.
#[async_trait]
pub trait MutationRepository {
    /// Applies a mutation. Added and changed entities are queued in lane *new*; unchanged ones are not touched; removed
    /// ones go at once with what only they reach (eager pruning, ref §5.5) and are logged as changes.
    /// Applied in bounded transactions, additions before removals; running it again completes it.
    async fn apply_mutation(
        &self,
        tenant: TenantId,
        source_key: &str,
        mutation: Mutation,
    ) -> Result<MutationOutcome, StorageError>;
    /// Number of entities with an edge from that source.
    async fn count_provided(&self, tenant: TenantId, source_key: &str)
    -> Result<u64, StorageError>;
}
