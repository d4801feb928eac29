//! Mutations by entity providers: the root entities of a tenant (ref §6.1).
//!
//! One that is small is handed over whole. One that is large comes in parts and is **staged**: kept beside the catalog until it
//! is known to be whole, and applied then, so that nobody holds it and a part of it changes nothing (DESIGN §5, §7).
use std::collections::HashMap;

use crate::{Child, OverQuota, StorageError};
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

/// A provided entity as it is placed.
impl From<ProvidedEntity> for Child {
    fn from(entity: ProvidedEntity) -> Self {
        Self {
            entity_ref: entity.entity_ref,
            unprocessed: entity.unprocessed,
            location_key: entity.location_key,
        }
    }
}

/// Of several entities with one ref the last one.
#[must_use]
pub fn last_of_each(added: Vec<ProvidedEntity>) -> Vec<Child> {
    let last: HashMap<EntityRef, usize> = added
        .iter()
        .enumerate()
        .map(|(index, entity)| (entity.entity_ref.clone(), index))
        .collect();
    added
        .into_iter()
        .enumerate()
        .filter(|(index, entity)| last.get(&entity.entity_ref) == Some(index))
        .map(|(_, entity)| entity.into())
        .collect()
}

/// How a mutation relates to what the provider gave before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MutationKind {
    /// `added` is everything the provider has; what is missing is removed.
    Full,
    /// `added` and `removed` only.
    Delta,
}

impl MutationKind {
    /// Its name, as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Delta => "delta",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Full, Self::Delta]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
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

/// Names a staged mutation: a fresh UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MutationId(pub String);

/// One line of a mutation.
#[derive(Debug, Clone)]
pub enum MutationLine {
    /// An entity to add or update.
    Add(ProvidedEntity),
    /// A ref to remove; of a delta only.
    Remove(EntityRef),
}

/// Refs of conflicts that an outcome names; the others are counted among the tenant's conflicts.
pub const MAX_NAMED_CONFLICTS: usize = 1_000;

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
    /// Refs that another location key owns; of a staged mutation the first [`MAX_NAMED_CONFLICTS`].
    pub conflicts: Vec<EntityRef>,
    /// The log's last number after it, for read-your-writes.
    pub seq: u64,
    /// Whether new entities found no room.
    pub refused: Option<Refusal>,
}

/// That new entities of a mutation found no room in the tenant's quota. What it removes makes no room for what it adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing was changed.
    Whole(OverQuota),
    /// Others took the room while it was applied: `wanted` of them were left out, and the rest was applied.
    Partly(OverQuota),
}

impl MutationOutcome {
    /// Notes that an entity was left out while the mutation was applied.
    pub fn leave_out(&mut self, over: OverQuota) {
        let before = match self.refused {
            Some(Refusal::Whole(before) | Refusal::Partly(before)) => before.wanted,
            None => 0,
        };
        let wanted = before.saturating_add(over.wanted);
        self.refused = Some(Refusal::Partly(OverQuota { wanted, ..over }));
    }
}

/// Providers of one tenant, named by a source key such as `provider:github`, `config` or `locations`.
#[async_trait]
pub trait MutationRepository {
    /// Applies a mutation. Added and changed entities are queued in lane *new*; unchanged ones are not touched; removed
    /// ones go at once with what only they reach (eager pruning, ref §5.5) and are logged as changes.
    /// Applied in bounded transactions, additions before removals; running it again completes it. One whose new entities have
    /// no room is refused whole before the first of them.
    async fn apply_mutation(
        &self,
        tenant: TenantId,
        source_key: &str,
        mutation: Mutation,
    ) -> Result<MutationOutcome, StorageError>;
    /// Keeps the next lines of a mutation that is not whole yet, in one transaction. `first` is the number of lines before
    /// them, `source_key` and `kind` those of the first call. Nothing of it is seen before it is applied.
    async fn stage_mutation(
        &self,
        tenant: TenantId,
        id: &MutationId,
        source_key: &str,
        kind: MutationKind,
        first: u64,
        lines: Vec<MutationLine>,
    ) -> Result<(), StorageError>;
    /// Number of different refs that a staged mutation adds.
    async fn count_staged(&self, tenant: TenantId, id: &MutationId) -> Result<u64, StorageError>;
    /// Applies a staged mutation as [`apply_mutation`](Self::apply_mutation) would, and forgets it. From its first
    /// transaction on it is applied in the end, by this call or by [`resume_mutations`](Self::resume_mutations); one of the
    /// same source that is not at its end is given up. `None` if there is none with that name, or a later one took its place.
    async fn apply_staged(
        &self,
        tenant: TenantId,
        id: &MutationId,
    ) -> Result<Option<MutationOutcome>, StorageError>;
    /// Forgets a staged mutation that is not being applied.
    async fn drop_staged(&self, tenant: TenantId, id: &MutationId) -> Result<(), StorageError>;
    /// Completes staged mutations whose process died while it applied them: those without a step for a minute. Answers how
    /// many; works across tenants.
    async fn resume_mutations(&self) -> Result<u64, StorageError>;
    /// Number of entities with an edge from that source.
    async fn count_provided(&self, tenant: TenantId, source_key: &str)
    -> Result<u64, StorageError>;
}
