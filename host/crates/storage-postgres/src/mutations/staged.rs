//! Staged mutations: rows beside the catalog, applied step by step once the mutation is whole (DESIGN §7).
//!
//! Each step is a transaction that takes the tenant's graph, raises `stepped_at` of the mutation's own row, and is nothing
//! where that row is not one that is being applied. So a mutation that was given up stops between two steps, and one whose
//! process died is completed by another: what is placed is counted in the row, and what is to be removed is the difference
//! between the provider's edges and the staged refs, which is the same however often it is taken. Two processes that apply
//! one mutation at once take turns at its steps and come to the same end.

mod rows;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{
    Lane, MAX_NAMED_CONFLICTS, MutationId, MutationKind, MutationOutcome, MutationRepository as _,
    Refusal, StorageError,
};

use super::{OPERATION, add, cut, edges_to};
use crate::PostgresStorage;
use crate::children::edges::Source;
use crate::children::{self, Applied, Giver, conflicts};
use crate::damage::{damaged, tenant_id, text, value};
use crate::entities::{Pruning, prune_rest};
use crate::text::Text;
use crate::transaction::Transaction;
use crate::{graph, quotas, statistics};

use rows::Stretch;
pub(super) use rows::stage;

/// How long nobody has made a step of a mutation that is to be completed.
const LEFT_MS: i64 = 60_000;
/// After what silence a mutation that is on its way is none any more; a request's body may not stall for that long.
const ABANDONED_MS: i64 = 3_600_000;
/// Rows removed in one transaction.
const ROWS: i64 = 500;

/// The column `committed`: lines are still to come,
pub(super) const STAGING: i64 = 0;
/// all were there and it is applied in the end,
const APPLYING: i64 = 1;
/// or it was applied or given up, and its rows are to go.
const OVER: i64 = 2;

/// A mutation that is being applied.
pub(super) struct Applying {
    tenant: TenantId,
    id: MutationId,
    source_key: String,
    kind: MutationKind,
}

/// Commits a mutation and makes every step of it.
pub(super) async fn apply(
    storage: &PostgresStorage,
    tenant: TenantId,
    id: &MutationId,
) -> Result<Option<MutationOutcome>, StorageError> {
    if let Some(refusal) = refused(storage, tenant, id).await? {
        forget(&storage.without_record(), tenant, id, STAGING).await?;
        return Ok(Some(MutationOutcome {
            refused: Some(refusal),
            ..MutationOutcome::default()
        }));
    }
    let tx = storage.begin(OPERATION).await?;
    graph::lock(&tx, tenant).await?;
    let begun = commit(&tx, tenant, id).await?;
    tx.commit().await?;
    match begun {
        Some(applying) => steps(storage, &applying).await,
        None => Ok(None),
    }
}

/// Why its new entities have no room, if they have none. One that is being applied already is not asked.
async fn refused(
    storage: &PostgresStorage,
    tenant: TenantId,
    id: &MutationId,
) -> Result<Option<Refusal>, StorageError> {
    let at_most = storage.count_staged(tenant, id).await?;
    let tx = storage.snapshot(OPERATION).await?;
    let standing = quotas::standing(&tx, tenant).await?;
    let mut over = standing.refuses_entities(at_most);
    if over.is_some() {
        let new = tx
            .number(
                "SELECT count(DISTINCT m.entity_ref) FROM mutations s
                 JOIN mutation_rows m ON m.tenant_id = s.tenant_id AND m.mutation_id = s.mutation_id
                 WHERE s.tenant_id = $1 AND s.mutation_id = $2 AND s.committed = 0 AND m.unprocessed IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM refresh_state r
                       WHERE r.tenant_id = $1 AND r.entity_ref = m.entity_ref)",
                &[&tenant.0, &Text(&id.0)],
            )
            .await?;
        over = standing.refuses_entities(u64::try_from(new).unwrap_or(0));
    }
    tx.commit().await?;
    Ok(over.map(Refusal::Whole))
}

/// From here on it is applied in the end, and no other of its source.
async fn commit(
    tx: &Transaction,
    tenant: TenantId,
    id: &MutationId,
) -> Result<Option<Applying>, StorageError> {
    let found = tx
        .one(
            "UPDATE mutations SET committed = 1, stepped_at = $3
             WHERE tenant_id = $1 AND mutation_id = $2 AND committed < 2 RETURNING source_key, kind",
            &[&tenant.0, &Text(&id.0), &tx.now_ms()],
            |row| {
                Ok(Applying {
                    tenant,
                    id: id.clone(),
                    source_key: text(row, 0, "mutations.source_key")?,
                    kind: {
                        let kind = text(row, 1, "mutations.kind")?;
                        MutationKind::parse(&kind).ok_or_else(|| damaged("mutations.kind", kind))?
                    },
                })
            },
        )
        .await?;
    if let Some(applying) = &found {
        tx.run(
            "UPDATE mutations SET committed = 2
             WHERE tenant_id = $1 AND source_key = $2 AND committed = 1 AND mutation_id <> $3",
            &[&tenant.0, &Text(&applying.source_key), &Text(&id.0)],
        )
        .await?;
    }
    Ok(found)
}

async fn steps(
    storage: &PostgresStorage,
    applying: &Applying,
) -> Result<Option<MutationOutcome>, StorageError> {
    let mut outcome = MutationOutcome::default();
    loop {
        match applying.place(storage).await? {
            Step::GivenUp => return Ok(None),
            Step::NothingLeft => break,
            Step::Made(applied) => add(&mut outcome, applied, MAX_NAMED_CONFLICTS),
        }
    }
    for which in [Which::NotGiven, Which::NotContested, Which::Lost] {
        let mut after = String::new();
        loop {
            match applying.remove(storage, which, &after).await? {
                Step::GivenUp => return Ok(None),
                Step::NothingLeft => break,
                Step::Made((gone, pruning, last)) => {
                    outcome.removed += gone + prune_rest(storage, applying.tenant, pruning).await?;
                    after = last.to_string();
                }
            }
        }
    }
    forget(storage, applying.tenant, &applying.id, APPLYING).await?;
    outcome.seq = storage.last_seq(OPERATION, applying.tenant).await?;
    Ok(Some(outcome))
}

/// What came of trying a step.
enum Step<T> {
    /// The mutation is not to be applied any more.
    GivenUp,
    /// There was nothing left to do.
    NothingLeft,
    /// It is committed.
    Made(T),
}

/// What is taken away, in this order.
#[derive(Debug, Clone, Copy)]
enum Which {
    /// Edges to what the provider does not give any more.
    NotGiven,
    /// What it lost to another before and does not give any more.
    NotContested,
    /// Edges to what it gave and has lost now; they go as in Backstage.
    Lost,
}

impl Applying {
    /// Takes the graph, and says that somebody goes on with the mutation. Answers how many rows are placed; `None` where it
    /// is not to be applied any more.
    async fn goes_on(&self, tx: &Transaction) -> Result<Option<i64>, StorageError> {
        graph::lock(tx, self.tenant).await?;
        tx.one(
            "UPDATE mutations SET stepped_at = $3
             WHERE tenant_id = $1 AND mutation_id = $2 AND committed = 1 RETURNING placed",
            &[&self.tenant.0, &Text(&self.id.0), &tx.now_ms()],
            |row| value(row, 0, "mutations.placed"),
        )
        .await
    }

    /// Places the next entities, of equal refs the last.
    async fn place(&self, storage: &PostgresStorage) -> Result<Step<Applied>, StorageError> {
        statistics::look_after(storage).await;
        let tx = storage.begin(OPERATION).await?;
        let Some(placed) = self.goes_on(&tx).await? else {
            tx.roll_back().await?;
            return Ok(Step::GivenUp);
        };
        let next = self.next_rows(&tx, placed).await?;
        let Some(last) = next.last else {
            tx.roll_back().await?;
            return Ok(Step::NothingLeft);
        };
        tx.run(
            "UPDATE mutations SET placed = $3 WHERE tenant_id = $1 AND mutation_id = $2",
            &[&self.tenant.0, &Text(&self.id.0), &(last + 1)],
        )
        .await?;
        let giver = Giver::provider(&self.source_key, Lane::New);
        let applied = children::apply(&tx, self.tenant, giver, &next.children).await?;
        tx.commit().await?;
        Ok(Step::Made(applied))
    }

    /// Takes the next edges away with what only they reach, and what was lost of the refs unless it is lost still. Answers how
    /// many went, what is yet to be pruned, and the last ref looked at.
    async fn remove(
        &self,
        storage: &PostgresStorage,
        which: Which,
        after: &str,
    ) -> Result<Step<(u64, Pruning, EntityRef)>, StorageError> {
        let tx = storage.begin(OPERATION).await?;
        if self.goes_on(&tx).await?.is_none() {
            tx.roll_back().await?;
            return Ok(Step::GivenUp);
        }
        let Stretch { refs, last } = self.to_go(&tx, which, after).await?;
        let Some(last) = last else {
            tx.roll_back().await?;
            return Ok(Step::NothingLeft);
        };
        let source = Source::Provider(&self.source_key);
        if let Which::NotGiven | Which::NotContested = which {
            conflicts::resolve(&tx, self.tenant, &edges_to(source, &refs)).await?;
        }
        let (gone, pruning) = match refs.as_slice() {
            [] => (0, Pruning::default()),
            refs => cut(&tx, self.tenant, source, refs).await?,
        };
        tx.commit().await?;
        Ok(Step::Made((gone, pruning, last)))
    }
}

/// Forgets a mutation unless it has come further than `state`: its rows, and then itself, so that a sweep finds what is left.
pub(super) async fn forget(
    storage: &PostgresStorage,
    tenant: TenantId,
    id: &MutationId,
    state: i64,
) -> Result<(), StorageError> {
    const OPERATION: &str = "forget a mutation";
    let tx = storage.begin(OPERATION).await?;
    let over = tx
        .run(
            "UPDATE mutations SET committed = 2
             WHERE tenant_id = $1 AND mutation_id = $2 AND (committed <= $3 OR committed = 2)",
            &[&tenant.0, &Text(&id.0), &state],
        )
        .await?;
    tx.commit().await?;
    if over == 0 {
        return Ok(());
    }
    loop {
        let tx = storage.begin(OPERATION).await?;
        let rows = tx
            .run(
                "DELETE FROM mutation_rows WHERE tenant_id = $1 AND mutation_id = $2 AND number < coalesce(
                     (SELECT number FROM mutation_rows WHERE tenant_id = $1 AND mutation_id = $2
                      ORDER BY number LIMIT 1 OFFSET $3), 9223372036854775807)",
                &[&tenant.0, &Text(&id.0), &ROWS],
            )
            .await?;
        tx.commit().await?;
        if rows == 0 {
            break;
        }
    }
    let tx = storage.begin(OPERATION).await?;
    tx.run(
        "DELETE FROM mutations WHERE tenant_id = $1 AND mutation_id = $2",
        &[&tenant.0, &Text(&id.0)],
    )
    .await?;
    tx.commit().await
}

impl PostgresStorage {
    /// Mutations in a state of which nobody made a step for so long.
    async fn mutations_left(
        &self,
        state: i64,
        silence_ms: i64,
    ) -> Result<Vec<(TenantId, MutationId)>, StorageError> {
        let tx = self.snapshot("list staged mutations").await?;
        let left = tx
            .all(
                "SELECT tenant_id, mutation_id FROM mutations WHERE committed = $1 AND stepped_at < $2",
                &[&state, &(tx.now_ms() - silence_ms)],
                |row| {
                    Ok((
                        tenant_id(row, 0, "mutations.tenant_id")?,
                        MutationId(text(row, 1, "mutations.mutation_id")?),
                    ))
                },
            )
            .await?;
        tx.commit().await?;
        Ok(left)
    }

    /// Mutations that never came to their last line, and what is left of those that are over.
    pub(crate) async fn sweep_staged_mutations(&self) -> Result<u64, StorageError> {
        let mut swept = 0;
        for state in [STAGING, OVER] {
            for (tenant, id) in self.mutations_left(state, ABANDONED_MS).await? {
                forget(self, tenant, &id, state).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// Completes what a process that died was applying.
pub(super) async fn resume(storage: &PostgresStorage) -> Result<u64, StorageError> {
    let mut completed = 0;
    for (tenant, id) in storage.mutations_left(APPLYING, LEFT_MS).await? {
        completed += u64::from(apply(storage, tenant, &id).await?.is_some());
    }
    Ok(completed)
}
