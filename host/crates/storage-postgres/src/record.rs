//! Recording runs: the one place where a run's results are written, fenced by its claim.
//!
//! All of one run is one transaction, and many small runs share one: those of a tenant, up to 500 rows or 4 MiB (DESIGN §7).
//! Each table is read once and written once for all runs of a batch. A run with more children than that places them first,
//! in such transactions, each fenced too; that only adds and updates, so a run that loses its claim half way has removed
//! nothing. What is removed goes with the last one.
//!
//! The order inside a batch is that of locks and of meaning. The fence comes first and locks the items, so that a claim stays
//! what it is. Regressions are counted before anything is applied, because applying replaces what the last good run was. What
//! runs make necessary of each other is gathered and queued when all of them are applied, before they stop being held: an
//! item of the same batch that was queued by another runs once more.

mod failure;
mod fence;
mod keys;
mod place_ahead;
mod reads_used;
mod relations;
mod state;
mod success;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::{
    Claim, FaultRecord, Lane, NO_ROOM_RETRY_MS, OverQuota, Recorded, RunRecord, RunResult,
    StorageError, TracedRead,
};

use crate::activations::{ObservedRun, observe};
use crate::children::edges::Source;
use crate::children::{Giver, Offer, Placed, place};
use crate::postgres_storage::PostgresStorage;
use crate::transaction::Transaction;
use crate::work::{Account, Finish, Queueing, finish};
use crate::{faults, graph, statistics};
use fence::{Target, fence};
use place_ahead::place_ahead;

pub(crate) use success::PARTIAL;

const OPERATION: &str = "record runs";
/// Rows of a transaction.
const MAX_ROWS: usize = 500;
/// Bytes of a transaction.
const MAX_BYTES: usize = 4 << 20;

/// What came of a run's children.
#[derive(Debug, Default, Clone)]
struct Placement {
    /// The refs this parent was let in for.
    accepted: Vec<EntityRef>,
    /// The refs that would be new and too far from their origin.
    too_far: Vec<EntityRef>,
    /// The refs that would be new and found no room,
    no_room: Vec<EntityRef>,
    /// and how much of it there is.
    over: Option<OverQuota>,
}

impl Placement {
    fn add(&mut self, entity_ref: &EntityRef, placed: Placed) {
        match placed {
            Placed::Inserted | Placed::Updated | Placed::Unchanged => {
                self.accepted.push(entity_ref.clone());
            }
            Placed::TooFar => self.too_far.push(entity_ref.clone()),
            Placed::NoRoom(over) => {
                self.no_room.push(entity_ref.clone());
                self.over = Some(over);
            }
            Placed::Conflict => {}
        }
    }

    /// Whether nothing was refused for a reason that is no part of a memo.
    fn is_whole(&self) -> bool {
        self.too_far.is_empty() && self.no_room.is_empty()
    }
}

/// A run with what was placed of its children in earlier transactions.
struct Job {
    record: RunRecord,
    /// `None` if its children are yet to be placed.
    placed: Option<Placement>,
}

/// A run whose claim holds.
struct Run<'a> {
    record: &'a RunRecord,
    target: Target,
    placed: Placement,
}

impl Run<'_> {
    fn uid(&self) -> &EntityUid {
        &self.record.claim.uid
    }
}

/// Records runs; answers in their order.
pub(crate) async fn record(
    storage: &PostgresStorage,
    records: Vec<RunRecord>,
) -> Result<Vec<Recorded>, StorageError> {
    let mut outcomes = vec![Recorded::LostClaim; records.len()];
    let mut tenants: BTreeMap<TenantId, Vec<(usize, RunRecord)>> = BTreeMap::new();
    for (place, record) in records.into_iter().enumerate() {
        let of = tenants.entry(record.claim.tenant).or_default();
        of.push((place, record));
    }
    statistics::look_after(storage).await;
    for (tenant, records) in tenants {
        for (place, outcome) in record_tenant(storage, tenant, records).await? {
            outcomes[place] = outcome;
        }
    }
    Ok(outcomes)
}

/// Records the runs of one tenant in transactions' worth; one larger than the bound goes alone.
async fn record_tenant(
    storage: &PostgresStorage,
    tenant: TenantId,
    records: Vec<(usize, RunRecord)>,
) -> Result<Vec<(usize, Recorded)>, StorageError> {
    let mut outcomes = Vec::with_capacity(records.len());
    let (mut places, mut jobs) = (Vec::new(), Vec::new());
    let (mut rows, mut bytes) = (0, 0);
    for (place, record) in records {
        let size = size(&record);
        if !jobs.is_empty() && (rows + size.0 > MAX_ROWS || bytes + size.1 > MAX_BYTES) {
            let recorded = batch(storage, tenant, &std::mem::take(&mut jobs)).await?;
            outcomes.extend(std::mem::take(&mut places).into_iter().zip(recorded));
            (rows, bytes) = (0, 0);
        }
        let placed = place_ahead(storage, &record).await?;
        rows += size.0;
        bytes += size.1;
        places.push(place);
        jobs.push(Job { record, placed });
    }
    let recorded = batch(storage, tenant, &jobs).await?;
    outcomes.extend(places.into_iter().zip(recorded));
    Ok(outcomes)
}

/// Rows and bytes a run writes, roughly. Rows without a body go many to a page and are written by the array, so eight of
/// them count as one.
fn size(record: &RunRecord) -> (usize, usize) {
    match &record.result {
        RunResult::Succeeded(success) => {
            let children: usize = success
                .children
                .iter()
                .map(|child| child.unprocessed.len())
                .sum();
            let narrow = success.relations.len() + success.trace.len() + success.refresh_keys.len();
            (
                2 + narrow / 8 + 2 * success.children.len(),
                success.processed.len() + success.caches.len() + children,
            )
        }
        RunResult::Rejected(failure) => (2 + failure.trace.len() / 8, 0),
        RunResult::Skipped { .. } | RunResult::Waiting { .. } => (1, 0),
    }
}

/// Records runs of one tenant in one transaction.
async fn batch(
    storage: &PostgresStorage,
    tenant: TenantId,
    jobs: &[Job],
) -> Result<Vec<Recorded>, StorageError> {
    let tx = storage.begin(OPERATION).await?;
    graph::lock(&tx, tenant).await?;
    let claims: Vec<&Claim> = jobs.iter().map(|job| &job.record.claim).collect();
    let targets = fence(&tx, tenant, &claims).await?;
    let outcomes = targets
        .iter()
        .map(|target| match target {
            Some(_) => Recorded::Applied,
            None => Recorded::LostClaim,
        })
        .collect();
    let mut runs = Vec::with_capacity(jobs.len());
    let mut to_place = Vec::new();
    for (job, target) in jobs.iter().zip(targets) {
        let Some(target) = target else { continue };
        if job.placed.is_none() {
            to_place.push(runs.len());
        }
        let placed = job.placed.clone().unwrap_or_default();
        runs.push(Run {
            record: &job.record,
            target,
            placed,
        });
    }
    if runs.is_empty() {
        tx.roll_back().await?;
        return Ok(outcomes);
    }
    apply(&tx, tenant, &mut runs, &to_place).await?;
    tx.commit().await?;
    Ok(outcomes)
}

/// Applies fenced runs. The children of those in `to_place` are yet to be placed.
async fn apply(
    tx: &Transaction,
    tenant: TenantId,
    runs: &mut [Run<'_>],
    to_place: &[usize],
) -> Result<(), StorageError> {
    let faults: Vec<&FaultRecord> = runs.iter().flat_map(|run| &run.record.faults).collect();
    faults::insert(tx, tenant, &faults).await?;
    let observed: Vec<ObservedRun<'_>> = runs
        .iter()
        .map(|run| ObservedRun {
            record: run.record,
            entity_ref: &run.target.entity_ref,
        })
        .collect();
    let observed = observe(tx, tenant, &observed).await?;
    let mut queueing = Queueing::default();
    place_children(tx, tenant, runs, to_place, &mut queueing).await?;
    success::apply(tx, tenant, runs, &mut queueing).await?;
    failure::apply(tx, tenant, runs).await?;
    state::apply(tx, tenant, runs).await?;
    let traces: Vec<(&EntityUid, &[TracedRead])> = runs
        .iter()
        .filter_map(|run| Some((run.uid(), trace(run.record)?)))
        .collect();
    reads_used::replace(tx, tenant, &traces, &mut queueing).await?;
    queueing.write(tx, tenant).await?;
    let finished: Vec<(EntityUid, Finish)> = runs
        .iter()
        .map(|run| (run.uid().clone(), finished(tx, run)))
        .collect();
    finish(tx, tenant, &finished).await?;
    let mut account = Account::default();
    for run in runs.iter() {
        account.recorded(run.target.lane, run.target.charged_us, run.record.cpu_us);
    }
    account.settle(tx, tenant).await?;
    observed.settle(tx).await
}

/// The reads of a run that kept them.
fn trace(record: &RunRecord) -> Option<&[TracedRead]> {
    match &record.result {
        RunResult::Succeeded(success) => Some(&success.trace),
        RunResult::Rejected(failure) => Some(&failure.trace),
        RunResult::Skipped { .. } | RunResult::Waiting { .. } => None,
    }
}

/// What becomes of a run's item.
fn finished(tx: &Transaction, run: &Run<'_>) -> Finish {
    let due = match &run.record.result {
        RunResult::Succeeded(success) => {
            let retry = run.placed.over.map(|_| tx.now().plus_ms(NO_ROOM_RETRY_MS));
            let due = success.due.into_iter().chain(retry).min();
            due.map(|due| (Lane::Changed, due))
        }
        RunResult::Skipped { due } => due.map(|due| (Lane::Changed, due)),
        // A retry leaves the quick lanes to what is tried for the first time.
        RunResult::Rejected(failure) => failure
            .retry_at
            .map(|retry_at| (run.target.lane.max(Lane::Changed), retry_at)),
        RunResult::Waiting { retry_at, .. } => Some((run.target.lane, *retry_at)),
    };
    due.map_or(Finish::Done, |(lane, due)| Finish::Due(lane, due))
}

/// Who gives the children of a run.
fn giver(target: &Target) -> Giver<'_> {
    let asked = target.lane == Lane::OnRequest;
    Giver {
        source: Source::Parent(&target.entity_ref),
        orphan: target.orphan,
        new: if asked { Lane::OnRequest } else { Lane::New },
        changed: if asked {
            Lane::OnRequest
        } else {
            Lane::Changed
        },
    }
}

/// Places the children of all runs at once, in the order of the runs.
async fn place_children(
    tx: &Transaction,
    tenant: TenantId,
    runs: &mut [Run<'_>],
    to_place: &[usize],
    queueing: &mut Queueing,
) -> Result<(), StorageError> {
    let mut offers = Vec::new();
    let mut parents = Vec::new();
    for place in to_place {
        let run = &runs[*place];
        if let RunResult::Succeeded(success) = &run.record.result {
            let giver = giver(&run.target);
            offers.extend(success.children.iter().map(|child| Offer { giver, child }));
            parents.extend(success.children.iter().map(|_| *place));
        }
    }
    let placed = place(tx, tenant, &offers, queueing).await?;
    let refs: Vec<&EntityRef> = offers.iter().map(|offer| &offer.child.entity_ref).collect();
    let refs: Vec<EntityRef> = refs.into_iter().cloned().collect();
    for ((parent, entity_ref), placed) in parents.into_iter().zip(&refs).zip(placed) {
        runs[parent].placed.add(entity_ref, placed);
    }
    Ok(())
}
