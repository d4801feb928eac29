//! Eager pruning: what a provider removes goes at once with what only it reaches (ref §5.5).
//!
//! The removed edges' descendants are listed once; each goes if no provider reaches it at that moment. So shared children
//! stay, cycles go, and what is emitted again meanwhile stays. What goes is never on a provider's way to anything else, so
//! the order in which they are looked at does not matter. Between two transactions of a long list the rest is covered by the
//! orphan checks that each deletion queues.

use std::collections::VecDeque;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::StorageError;

use crate::entities::{delete, ref_texts, stored_ref, uids_of};
use crate::transaction::Transaction;
use crate::work::Queueing;
use crate::{PostgresStorage, graph, orphans};

/// Rows looked at in one transaction (DESIGN §7).
const MAX_ROWS: usize = 500;

/// A pruning under way: the refs still to be looked at.
#[derive(Debug, Default)]
pub(crate) struct Pruning {
    left: VecDeque<EntityRef>,
}

impl Pruning {
    /// Lists roots that nothing reaches any more and their descendants. The roots' edges are removed already.
    pub(crate) async fn below(
        tx: &Transaction,
        tenant: TenantId,
        roots: &[EntityRef],
    ) -> Result<Pruning, StorageError> {
        let reached = orphans::reachable(tx, tenant, roots).await?;
        let roots = ref_texts(roots.iter().filter(|root| !reached.contains(*root)));
        if roots.is_empty() {
            return Ok(Pruning::default());
        }
        let below = tx
            .all(
                "WITH RECURSIVE down (entity_ref) AS (
                     SELECT entity_ref FROM refresh_state
                     WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])
                     UNION
                     SELECT e.target_entity_ref FROM down
                     JOIN refresh_state_references e
                         ON e.tenant_id = $1 AND e.source_key = '' AND e.source_entity_ref = down.entity_ref
                 )
                 SELECT entity_ref FROM down",
                &[&tenant.0, &roots],
                |row| stored_ref(row, 0, "refresh_state_references.target_entity_ref"),
            )
            .await?;
        Ok(Pruning { left: below.into() })
    }

    /// Whether nothing is left.
    pub(crate) fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// Looks at the next [`MAX_ROWS`], queues what its transaction has gathered, and logs what goes: the last thing it does.
    pub(crate) async fn step(
        &mut self,
        tx: &Transaction,
        tenant: TenantId,
        mut queueing: Queueing,
    ) -> Result<u64, StorageError> {
        let few = self.left.len().min(MAX_ROWS);
        let mut next: Vec<EntityRef> = self.left.drain(..few).collect();
        let reached = orphans::reachable(tx, tenant, &next).await?;
        next.retain(|one| !reached.contains(one));
        let mut uids = uids_of(tx, tenant, &next).await?;
        let going = next
            .into_iter()
            .filter_map(|one| Some((uids.remove(&one)?, one)))
            .collect();
        let gone = delete(tx, tenant, going, &mut queueing).await?;
        let entities = gone.entities();
        gone.finish(tx, tenant, queueing).await?;
        Ok(entities)
    }
}

/// Finishes a pruning in transactions of its own; answers how many went.
pub(crate) async fn prune_rest(
    storage: &PostgresStorage,
    tenant: TenantId,
    mut pruning: Pruning,
) -> Result<u64, StorageError> {
    let mut total = 0;
    while !pruning.is_done() {
        let tx = storage.begin("prune entities").await?;
        graph::lock(&tx, tenant).await?;
        total += pruning.step(&tx, tenant, Queueing::default()).await?;
        tx.commit().await?;
    }
    Ok(total)
}
