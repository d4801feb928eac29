//! Recording runs: the one place where a run's results are written, fenced by its claim.
//!
//! All of one run is one transaction, and many small runs share one (DESIGN §7: up to 500 rows or 4 MiB). A run with more
//! children than that places them first, in such transactions, each fenced too; that only adds and updates, so a run that
//! loses its claim half way has removed nothing. What is removed goes with the last one.
//!
//! None of them waits for the disk: nothing here is in the change log, and nothing of it is acknowledged to anybody. A machine that
//! loses power finds the run's item still queued, or held by a worker that is gone, and runs it again; what is stitched from it waits.

mod failure;
mod reads_used;
mod relations;
mod success;

use std::collections::HashMap;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{
    Child, Claim, FaultRecord, Lane, NO_ROOM_RETRY_MS, OverQuota, Recorded, RunRecord, RunResult,
    StorageError, Success, neighbours_wait_ms,
};
use rusqlite::params;

use crate::SqliteStorage;
use crate::activations::Observed;
use crate::children::edges::Source;
use crate::children::{Giver, Placed, chain, place};
use crate::damage::{to_json, value};
use crate::entities::{stored_ref, uid_of};
use crate::faults::insert_fault;
use crate::statement;
use crate::work::{Account, Finish, HeldItem, finish, held_item};
use crate::writer::WriteTx;

pub(crate) use success::PARTIAL;

/// Rows of a transaction.
const MAX_ROWS: usize = 500;
/// Bytes of a transaction.
const MAX_BYTES: usize = 4 << 20;

/// A run with what was placed of its children in earlier transactions.
struct Job {
    record: RunRecord,
    /// `None` if its children are yet to be placed.
    placed: Option<Placement>,
}

/// What came of a run's children.
#[derive(Default)]
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
    fn extend(&mut self, other: Placement) {
        self.accepted.extend(other.accepted);
        self.too_far.extend(other.too_far);
        self.no_room.extend(other.no_room);
        self.over = other.over.or(self.over);
    }

    /// Whether nothing was refused for a reason that is no part of a memo.
    fn is_whole(&self) -> bool {
        self.too_far.is_empty() && self.no_room.is_empty()
    }
}

/// What a run is recorded onto.
struct Target {
    held: HeldItem,
    entity_ref: EntityRef,
    processed: Option<String>,
    diagnostics: String,
    orphan: bool,
    waiting: bool,
}

/// Records runs in order; answers in the same order.
pub(crate) async fn record(
    storage: &SqliteStorage,
    records: Vec<RunRecord>,
) -> Result<Vec<Recorded>, StorageError> {
    const OPERATION: &str = "record runs";
    let mut outcomes = Vec::with_capacity(records.len());
    let mut jobs = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for mut record in records {
        let size = size(&record);
        if !jobs.is_empty() && (rows + size.0 > MAX_ROWS || bytes + size.1 > MAX_BYTES) {
            let batch = std::mem::take(&mut jobs);
            outcomes.extend(
                storage
                    .write_unsynced(OPERATION, move |tx| batch_of(tx, batch))
                    .await?,
            );
            (rows, bytes) = (0, 0);
        }
        let placed = match place_ahead(storage, &mut record).await? {
            Ahead::NotNeeded => None,
            Ahead::Placed(placed) => Some(placed),
            Ahead::Lost => Some(Placement::default()),
        };
        rows += size.0;
        bytes += size.1;
        jobs.push(Job { record, placed });
    }
    if !jobs.is_empty() {
        outcomes.extend(
            storage
                .write_unsynced(OPERATION, move |tx| batch_of(tx, jobs))
                .await?,
        );
    }
    Ok(outcomes)
}

/// Rows and bytes a run writes, roughly.
fn size(record: &RunRecord) -> (usize, usize) {
    match &record.result {
        RunResult::Succeeded(success) => {
            let children: usize = success
                .children
                .iter()
                .map(|child| child.unprocessed.len())
                .sum();
            // Rows without a body cost a quarter of one with: measured, 500 of these counts are some 25 ms.
            let narrow = success.relations.len() + success.trace.len() + success.refresh_keys.len();
            let rows = 3 + narrow / 4;
            (
                rows + 3 * success.children.len(),
                success.processed.len() + success.caches.len() + children,
            )
        }
        RunResult::Rejected(failure) => (3 + failure.trace.len(), 0),
        RunResult::Skipped { .. } | RunResult::Waiting { .. } => (2, 0),
    }
}

enum Ahead {
    NotNeeded,
    Placed(Placement),
    Lost,
}

/// Places the children of a run with many of them, chunk by chunk.
async fn place_ahead(
    storage: &SqliteStorage,
    record: &mut RunRecord,
) -> Result<Ahead, StorageError> {
    let RunResult::Succeeded(success) = &record.result else {
        return Ok(Ahead::NotNeeded);
    };
    let bytes: usize = success
        .children
        .iter()
        .map(|child| child.unprocessed.len())
        .sum();
    if success.children.len() <= MAX_ROWS && bytes <= MAX_BYTES {
        return Ok(Ahead::NotNeeded);
    }
    let mut all = Placement::default();
    for chunk in chunks(&success.children) {
        let (claim, chunk) = (record.claim.clone(), chunk.to_vec());
        let placed = storage
            .write_unsynced("place children", move |tx| {
                let Some(target) = target(tx, &claim)? else {
                    return Ok(None);
                };
                place_all(tx, &claim, &target, &chunk).map(Some)
            })
            .await?;
        match placed {
            Some(placed) => all.extend(placed),
            None => return Ok(Ahead::Lost),
        }
    }
    Ok(Ahead::Placed(all))
}

/// Cuts children into transactions' worth; one larger than the bound goes alone.
fn chunks(children: &[Child]) -> Vec<&[Child]> {
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, child) in children.iter().enumerate() {
        let full = index - start >= MAX_ROWS || bytes + child.unprocessed.len() > MAX_BYTES;
        if full && index > start {
            chunks.push(&children[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += child.unprocessed.len();
    }
    chunks.push(&children[start..]);
    chunks
}

/// Places children. At the end of a chain only those that are there are placed, whoever made them (c19).
fn place_all(
    tx: &mut WriteTx<'_>,
    claim: &Claim,
    target: &Target,
    children: &[Child],
) -> rusqlite::Result<Placement> {
    let mut placement = Placement::default();
    if children.is_empty() {
        return Ok(placement);
    }
    let may_grow = chain::may_grow(tx, claim.tenant, &target.entity_ref)?;
    let asked = target.held.lane == Lane::OnRequest;
    let giver = Giver {
        tenant: claim.tenant,
        source: Source::Parent(&target.entity_ref),
        orphan: target.orphan,
        new: if asked { Lane::OnRequest } else { Lane::New },
        changed: if asked {
            Lane::OnRequest
        } else {
            Lane::Changed
        },
    };
    for child in children {
        let entity_ref = child.entity_ref.clone();
        if !may_grow && uid_of(tx, claim.tenant, &entity_ref)?.is_none() {
            placement.too_far.push(entity_ref);
            continue;
        }
        match place(tx, giver, child)? {
            Placed::Inserted | Placed::Updated | Placed::Unchanged => {
                placement.accepted.push(entity_ref);
            }
            Placed::NoRoom(over) => {
                placement.no_room.push(entity_ref);
                placement.over = Some(over);
            }
            Placed::Conflict => {}
        }
    }
    Ok(placement)
}

/// The fence: the entity of a claim that still holds.
fn target(tx: &WriteTx<'_>, claim: &Claim) -> rusqlite::Result<Option<Target>> {
    let Some(held) = held_item(tx, claim)? else {
        return Ok(None);
    };
    statement::one(
        tx,
        "SELECT entity_ref, processed_entity, diagnostics, orphaned_at IS NOT NULL, waiting IS NOT NULL
         FROM refresh_state WHERE tenant_id = ?1 AND entity_id = ?2",
        params![claim.tenant.0, claim.uid.as_str()],
        |row| {
            Ok(Target {
                held,
                entity_ref: stored_ref(row, 0, "refresh_state.entity_ref")?,
                processed: value(row, 1, "refresh_state.processed_entity")?,
                diagnostics: value(row, 2, "refresh_state.diagnostics")?,
                orphan: value(row, 3, "refresh_state.orphaned_at")?,
                waiting: value(row, 4, "refresh_state.waiting")?,
            })
        },
    )
}

fn batch_of(tx: &mut WriteTx<'_>, jobs: Vec<Job>) -> rusqlite::Result<Vec<Recorded>> {
    let mut account = Account::default();
    let mut observed = Observed::default();
    let mut outcomes = Vec::with_capacity(jobs.len());
    let good = good_runs(&jobs);
    for job in jobs {
        let claim = &job.record.claim;
        let of_tenant = good.get(&claim.tenant).copied().unwrap_or(0);
        let Some(target) = target(tx, claim)? else {
            outcomes.push(Recorded::LostClaim);
            continue;
        };
        for fault in &job.record.faults {
            insert_fault(tx, claim.tenant, fault)?;
        }
        account.recorded(
            claim.tenant,
            target.held.lane,
            target.held.charged_us,
            job.record.cpu_us,
        );
        observed.run(tx, &job.record, target.entity_ref.as_str())?;
        let outcome = apply(tx, &job, &target, neighbours_wait_ms(of_tenant))?;
        ran_under(tx, &job.record)?;
        finish(tx, claim, outcome)?;
        outcomes.push(Recorded::Applied);
    }
    account.settle(tx)?;
    observed.settle(tx)?;
    Ok(outcomes)
}

/// How many runs of each tenant kept their results.
fn good_runs(jobs: &[Job]) -> HashMap<TenantId, usize> {
    let mut good = HashMap::new();
    for job in jobs {
        if let RunResult::Succeeded(_) = job.record.result {
            *good.entry(job.record.claim.tenant).or_default() += 1;
        }
    }
    good
}

/// Notes under which revisions the entity ran, if it ran.
fn ran_under(tx: &mut WriteTx<'_>, record: &RunRecord) -> rusqlite::Result<()> {
    if record.calls.unprocessed.is_none() {
        return Ok(());
    }
    let made = record.calls.made.iter();
    let revisions: Vec<_> = made.map(|made| (&made.processor, &made.revision)).collect();
    tx.run(
        "UPDATE refresh_state SET revisions = ?3
         WHERE tenant_id = ?1 AND entity_id = ?2 AND revisions <> ?3",
        params![
            record.claim.tenant.0,
            record.claim.uid.as_str(),
            to_json(&revisions)?
        ],
    )?;
    Ok(())
}

fn apply(
    tx: &mut WriteTx<'_>,
    job: &Job,
    target: &Target,
    neighbours_wait_ms: i64,
) -> rusqlite::Result<Finish> {
    let claim = &job.record.claim;
    match &job.record.result {
        RunResult::Succeeded(success) => {
            let placed = job.placed.as_ref();
            apply_success(tx, &job.record, target, success, placed, neighbours_wait_ms)
        }
        RunResult::Rejected(rejected) => failure::apply(tx, claim, target, rejected),
        RunResult::Skipped { due } => {
            if target.waiting {
                set_waiting(tx, claim.tenant, claim, None)?;
            }
            Ok(due.map_or(Finish::Done, |due| Finish::Due(Lane::Changed, due)))
        }
        RunResult::Waiting { retry_at, reason } => {
            set_waiting(tx, claim.tenant, claim, Some(reason))?;
            Ok(Finish::Due(target.held.lane, *retry_at))
        }
    }
}

fn apply_success(
    tx: &mut WriteTx<'_>,
    record: &RunRecord,
    target: &Target,
    success: &Success,
    placed: Option<&Placement>,
    neighbours_wait_ms: i64,
) -> rusqlite::Result<Finish> {
    let claim = &record.claim;
    // What a later fault on the same bytes is measured by: a result that no fault of a processor had a part in.
    let good = match record.faults.iter().any(FaultRecord::may_be_regression) {
        true => None,
        false => record.calls.unprocessed,
    };
    let placed_here;
    let placed = match placed {
        Some(placed) => placed,
        None => {
            placed_here = place_all(tx, claim, target, &success.children)?;
            &placed_here
        }
    };
    success::apply(tx, claim, target, success, placed, good, neighbours_wait_ms)?;
    let retry = placed.over.map(|_| tx.now().plus_ms(NO_ROOM_RETRY_MS));
    let due = success.due.into_iter().chain(retry).min();
    Ok(due.map_or(Finish::Done, |due| Finish::Due(Lane::Changed, due)))
}

fn set_waiting(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    claim: &Claim,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    tx.run(
        "UPDATE refresh_state SET waiting = ?3, attempts = attempts + (?3 IS NOT NULL)
         WHERE tenant_id = ?1 AND entity_id = ?2",
        params![tenant.0, claim.uid.as_str(), reason],
    )?;
    Ok(())
}
