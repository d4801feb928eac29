//! Mutations by entity providers, in bounded transactions: additions first, then what is removed (ref §6.1).
//!
//! A mutation cut short has added something and removed nothing, or has removed a part whose descendants have their
//! orphan checks queued; running it again completes it. Nothing is marked in the rows: the difference is taken against
//! the provider's edges.
//!
//! What is staged goes the same way; its rows are the lists that are otherwise held in memory.

mod staged;

use std::collections::HashSet;

use async_trait::async_trait;
use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{
    Child, Lane, Mutation, MutationId, MutationKind, MutationLine, MutationOutcome,
    MutationRepository, Refusal, StorageError, last_of_each,
};

use crate::PostgresStorage;
use crate::children::edges::{self, Edge, Source};
use crate::children::{self, Applied, Giver, conflicts};
use crate::entities::{Pruning, prune_rest, uids_of};
use crate::quotas;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::Queueing;
use crate::{graph, orphans};

const OPERATION: &str = "apply a mutation";
/// Entities placed in one transaction; each writes three rows (DESIGN §7: 500).
const MAX_PLACED: usize = 160;
/// Edges removed in one transaction.
const MAX_REMOVED: usize = 500;
/// Bytes of one transaction.
const MAX_BYTES: usize = 4 << 20;

#[async_trait]
impl MutationRepository for PostgresStorage {
    async fn apply_mutation(
        &self,
        tenant: TenantId,
        source_key: &str,
        mutation: Mutation,
    ) -> Result<MutationOutcome, StorageError> {
        let source = Source::Provider(source_key);
        let added = last_of_each(mutation.added);
        let given: HashSet<EntityRef> =
            added.iter().map(|child| child.entity_ref.clone()).collect();
        if let Some(refusal) = refused(self, tenant, &given).await? {
            return Ok(MutationOutcome {
                refused: Some(refusal),
                ..MutationOutcome::default()
            });
        }
        let mut outcome = place_all(self, tenant, source_key, added).await?;
        let mut removed: Vec<EntityRef> = match mutation.kind {
            MutationKind::Delta => mutation.removed,
            MutationKind::Full => {
                let tx = self.begin(OPERATION).await?;
                graph::lock(&tx, tenant).await?;
                conflicts::retain(&tx, tenant, &[(source, given.iter().collect())]).await?;
                let targets = edges::targets(&tx, tenant, source).await?;
                tx.commit().await?;
                targets
            }
        };
        removed.retain(|entity_ref| !given.contains(entity_ref));
        for chunk in removed.chunks(MAX_REMOVED) {
            outcome.removed += remove(self, tenant, source, chunk, true).await?;
        }
        // Where it lost a ref it had, its edge goes, as in Backstage; that it lost stays.
        for chunk in outcome.conflicts.chunks(MAX_REMOVED) {
            outcome.removed += remove(self, tenant, source, chunk, false).await?;
        }
        outcome.seq = self.last_seq(OPERATION, tenant).await?;
        Ok(outcome)
    }

    async fn stage_mutation(
        &self,
        tenant: TenantId,
        id: &MutationId,
        source_key: &str,
        kind: MutationKind,
        first: u64,
        lines: Vec<MutationLine>,
    ) -> Result<(), StorageError> {
        let tx = self.begin("stage a mutation").await?;
        staged::stage(&tx, tenant, id, source_key, kind, first, &lines).await?;
        tx.commit().await
    }

    async fn count_staged(&self, tenant: TenantId, id: &MutationId) -> Result<u64, StorageError> {
        self.read_count(
            "count a staged mutation",
            "SELECT count(DISTINCT entity_ref) FROM mutation_rows
             WHERE tenant_id = $1 AND mutation_id = $2 AND unprocessed IS NOT NULL",
            &[&tenant.0, &Text(&id.0)],
        )
        .await
    }

    async fn apply_staged(
        &self,
        tenant: TenantId,
        id: &MutationId,
    ) -> Result<Option<MutationOutcome>, StorageError> {
        staged::apply(self, tenant, id).await
    }

    async fn drop_staged(&self, tenant: TenantId, id: &MutationId) -> Result<(), StorageError> {
        staged::forget(self, tenant, id, staged::STAGING).await
    }

    async fn resume_mutations(&self) -> Result<u64, StorageError> {
        staged::resume(self).await
    }

    async fn count_provided(
        &self,
        tenant: TenantId,
        source_key: &str,
    ) -> Result<u64, StorageError> {
        self.read_count(
            "count provided entities",
            "SELECT count(*) FROM refresh_state_references
             WHERE tenant_id = $1 AND source_key = $2 AND source_entity_ref = ''",
            &[&tenant.0, &Text(source_key)],
        )
        .await
    }
}

/// Why the new ones of these have no room, if they have none.
async fn refused(
    storage: &PostgresStorage,
    tenant: TenantId,
    given: &HashSet<EntityRef>,
) -> Result<Option<Refusal>, StorageError> {
    let tx = storage.snapshot(OPERATION).await?;
    let standing = quotas::standing(&tx, tenant).await?;
    let mut over = standing.refuses_entities(given.len() as u64);
    if over.is_some() {
        let known = uids_of(&tx, tenant, given).await?.len();
        over = standing.refuses_entities(given.len().saturating_sub(known) as u64);
    }
    tx.commit().await?;
    Ok(over.map(Refusal::Whole))
}

async fn place_all(
    storage: &PostgresStorage,
    tenant: TenantId,
    source_key: &str,
    children: Vec<Child>,
) -> Result<MutationOutcome, StorageError> {
    let mut outcome = MutationOutcome::default();
    let mut children = children.into_iter().peekable();
    while children.peek().is_some() {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while let Some(child) = children.next_if(|next| {
            chunk.is_empty()
                || (chunk.len() < MAX_PLACED && bytes + next.unprocessed.len() <= MAX_BYTES)
        }) {
            bytes += child.unprocessed.len();
            chunk.push(child);
        }
        let tx = storage.begin(OPERATION).await?;
        graph::lock(&tx, tenant).await?;
        let giver = Giver::provider(source_key, Lane::New);
        let applied = children::apply(&tx, tenant, giver, &chunk).await?;
        tx.commit().await?;
        add(&mut outcome, applied, usize::MAX);
    }
    Ok(outcome)
}

/// Adds what came of a part; names no more than so many conflicts.
fn add(outcome: &mut MutationOutcome, applied: Applied, named: usize) {
    outcome.added += applied.added;
    outcome.updated += applied.updated;
    outcome.unchanged += applied.unchanged;
    let left = named.saturating_sub(outcome.conflicts.len());
    outcome
        .conflicts
        .extend(applied.conflicts.into_iter().take(left));
    for over in applied.left_out {
        outcome.leave_out(over);
    }
}

/// The edges from a source to these.
fn edges_to<'a>(source: Source<'a>, refs: &'a [EntityRef]) -> Vec<Edge<'a>> {
    refs.iter().map(|entity_ref| (source, entity_ref)).collect()
}

/// Removes edges and what only they reach. What was lost of refs that are no longer given is forgotten.
async fn remove(
    storage: &PostgresStorage,
    tenant: TenantId,
    source: Source<'_>,
    refs: &[EntityRef],
    no_longer_given: bool,
) -> Result<u64, StorageError> {
    let tx = storage.begin(OPERATION).await?;
    graph::lock(&tx, tenant).await?;
    if no_longer_given {
        conflicts::resolve(&tx, tenant, &edges_to(source, refs)).await?;
    }
    let (gone, pruning) = cut(&tx, tenant, source, refs).await?;
    tx.commit().await?;
    Ok(gone + prune_rest(storage, tenant, pruning).await?)
}

/// Removes a source's edges and begins the pruning, which is the last thing its transaction does. Answers how many went, and
/// what is yet to be looked at.
pub(crate) async fn cut(
    tx: &Transaction,
    tenant: TenantId,
    source: Source<'_>,
    refs: &[EntityRef],
) -> Result<(u64, Pruning), StorageError> {
    let cut = edges::remove(tx, tenant, &edges_to(source, refs)).await?;
    let mut queueing = Queueing::default();
    edges::requeue_parents(tx, tenant, &cut, &mut queueing).await?;
    orphans::queue_checks(tx, tenant, &cut, tx.now_ms()).await?;
    let mut pruning = Pruning::below(tx, tenant, &cut).await?;
    let gone = pruning.step(tx, tenant, queueing).await?;
    Ok((gone, pruning))
}
