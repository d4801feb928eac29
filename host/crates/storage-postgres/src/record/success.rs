//! Runs that kept their results: everything but their children, which are placed already.

use std::collections::{BTreeSet, HashMap, HashSet};

use greenroom_model::{Digest, EntityRef, EntityUid, Relation, TenantId};
use greenroom_storage::{
    FaultRecord, RunResult, StorageError, Success, chain_too_long, left_digest, neighbours_wait_ms,
    no_room_for,
};

use crate::children::conflicts;
use crate::children::edges::{self, Edge, Source};
use crate::damage::{optional_text, to_json};
use crate::entities::{stored_ref, uid_texts};
use crate::orphans;
use crate::record::{OPERATION, Run, keys, relations, state};
use crate::stitching;
use crate::text::{Text, texts};
use crate::transaction::Transaction;
use crate::work::Queueing;

/// Stored numbers of `refresh_state.status`.
const OK: i64 = 1;
pub(crate) const PARTIAL: i64 = 2;

/// What is written of a good run.
struct Row<'a> {
    run: &'a Run<'a>,
    success: &'a Success,
    complete: bool,
    memo: Option<&'a [u8]>,
    trace: String,
    told: String,
    /// The digest of the bytes it ran on, if the result is one that a later fault is a regression from.
    good: Option<&'a [u8]>,
    revisions: Option<String>,
    /// Targets that lose their edge from it.
    lost: Vec<EntityRef>,
    left: Digest,
}

/// Writes bodies and their state, relations and keys by difference, and what the changes make necessary.
pub(super) async fn apply(
    tx: &Transaction,
    tenant: TenantId,
    runs: &[Run<'_>],
    queueing: &mut Queueing,
) -> Result<(), StorageError> {
    let good: Vec<(&Run<'_>, &Success)> = runs
        .iter()
        .filter_map(|run| match &run.record.result {
            RunResult::Succeeded(success) => Some((run, success.as_ref())),
            _ => None,
        })
        .collect();
    if good.is_empty() {
        return Ok(());
    }
    let parents: Vec<EntityRef> = good
        .iter()
        .map(|(run, _)| run.target.entity_ref.clone())
        .collect();
    let mut targets = edges::children_of(tx, tenant, &parents).await?;
    let mut rows = Vec::with_capacity(good.len());
    for (run, success) in good {
        let targets = targets.remove(&run.target.entity_ref).unwrap_or_default();
        rows.push(row(run, success, targets)?);
    }
    let mut stitches = write(tx, tenant, &rows).await?;
    let uids: Vec<&str> = rows.iter().map(|row| row.run.uid().as_str()).collect();
    let wanted = rows.iter().flat_map(|row| {
        let keys = row.success.refresh_keys.iter();
        keys.map(|key| (row.run.uid().as_str(), key.as_str()))
    });
    keys::replace(tx, tenant, &uids, wanted.collect()).await?;
    let related: Vec<(&EntityUid, &[Relation])> = rows
        .iter()
        .map(|row| (row.run.uid(), row.success.relations.as_slice()))
        .collect();
    stitches.extend(relations::replace(tx, tenant, &related).await?);
    let ran: HashSet<&EntityRef> = rows.iter().map(|row| &row.run.target.entity_ref).collect();
    let neighbours_wait_ms = neighbours_wait_ms(rows.len());
    let wait_ms = |one| {
        if ran.contains(one) {
            0
        } else {
            neighbours_wait_ms
        }
    };
    let waits_ms: Vec<i64> = stitches.iter().map(wait_ms).collect();
    let stitches: Vec<EntityRef> = stitches.iter().cloned().collect();
    stitching::queue_in(tx, tenant, &stitches, &waits_ms).await?;
    remove_edges(tx, tenant, &rows, queueing).await
}

fn row<'a>(
    run: &'a Run<'a>,
    success: &'a Success,
    targets: BTreeSet<EntityRef>,
) -> Result<Row<'a>, StorageError> {
    let too_far = &run.placed.too_far;
    let mut diagnostics = success.diagnostics.clone();
    if let Some((first, others)) = too_far.split_first() {
        diagnostics.push(chain_too_long(first, others.len()));
    }
    if let (Some((first, others)), Some(over)) =
        (run.placed.no_room.split_first(), &run.placed.over)
    {
        diagnostics.push(no_room_for(first, others.len(), over));
    }
    let complete = success.complete && run.placed.is_whole();
    // How far it is from its origin is no part of a memo, nor is a quota, so what was refused for them is tried again by the next run.
    let keeps_memo = !run.target.memo_cleared && run.placed.is_whole();
    let faulted = run.record.faults.iter().any(FaultRecord::may_be_regression);
    let good = run.record.calls.unprocessed.as_ref().filter(|_| !faulted);
    // A run with errors removes nothing.
    let accepted: HashSet<&EntityRef> = run.placed.accepted.iter().collect();
    let (kept, lost): (Vec<EntityRef>, Vec<EntityRef>) = targets
        .into_iter()
        .partition(|target| !complete || accepted.contains(target));
    Ok(Row {
        run,
        success,
        complete,
        memo: keeps_memo.then_some(success.memo.as_bytes().as_slice()),
        trace: to_json(OPERATION, &success.trace)?,
        told: to_json(OPERATION, &diagnostics)?,
        good: good.map(|good| good.as_bytes().as_slice()),
        revisions: state::revisions(run.record)?,
        left: left_digest(&kept, &success.relations),
        lost,
    })
}

/// Writes the rows; answers the refs whose body or diagnostics changed. A body that is the same is not stored anew: what is
/// large lies beside its row and stays there.
async fn write(
    tx: &Transaction,
    tenant: TenantId,
    rows: &[Row<'_>],
) -> Result<BTreeSet<EntityRef>, StorageError> {
    let memos: Vec<Option<&[u8]>> = rows.iter().map(|row| row.memo).collect();
    let statuses: Vec<i64> = rows
        .iter()
        .map(|row| if row.complete { OK } else { PARTIAL })
        .collect();
    let good: Vec<Option<&[u8]>> = rows.iter().map(|row| row.good).collect();
    let left: Vec<&[u8]> = rows
        .iter()
        .map(|row| row.left.as_bytes().as_slice())
        .collect();
    let revisions: Vec<Option<Text<'_>>> = rows
        .iter()
        .map(|row| row.revisions.as_deref().map(Text))
        .collect();
    let changed = tx
        .all(
            "UPDATE refresh_state r SET
                 processed_entity = CASE WHEN r.processed_entity = run.processed THEN r.processed_entity
                     ELSE run.processed END,
                 cache = run.cache, memo = run.memo, trace = run.trace, diagnostics = run.told, status = run.status,
                 dead_letter = false, attempts = 0, waiting = NULL, last_run_at = $12, left_digest = run.left_digest,
                 good_digest = coalesce(run.good, r.good_digest),
                 good_trace = CASE WHEN run.good IS NULL AND r.good_digest IS NOT NULL
                     THEN coalesce(r.good_trace, r.trace) END,
                 revisions = coalesce(run.revisions, r.revisions)
             FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::bigint[],
                     $9::bytea[], $10::bytea[], $11::text[])
                 AS run (entity_id, processed, cache, memo, trace, told, status, good, left_digest, revisions)
             JOIN refresh_state old ON old.tenant_id = $1 AND old.entity_id = run.entity_id
             WHERE r.tenant_id = $1 AND r.entity_id = run.entity_id
             RETURNING CASE WHEN old.processed_entity IS DISTINCT FROM run.processed OR old.diagnostics <> run.told
                 THEN r.entity_ref END",
            &[
                &tenant.0,
                &uid_texts(rows.iter().map(|row| row.run.uid())),
                &texts(rows.iter().map(|row| row.success.processed.as_str())),
                &texts(rows.iter().map(|row| row.success.caches.as_str())),
                &memos,
                &texts(rows.iter().map(|row| row.trace.as_str())),
                &texts(rows.iter().map(|row| row.told.as_str())),
                &statuses,
                &good,
                &left,
                &revisions,
                &tx.now_ms(),
            ],
            |row| match optional_text(row, 0, "refresh_state.entity_ref")? {
                Some(_) => stored_ref(row, 0, "refresh_state.entity_ref").map(Some),
                None => Ok(None),
            },
        )
        .await?;
    Ok(changed.into_iter().flatten().collect())
}

/// Removes the edges of complete runs to what they no longer emit, and looks after the targets.
async fn remove_edges(
    tx: &Transaction,
    tenant: TenantId,
    rows: &[Row<'_>],
    queueing: &mut Queueing,
) -> Result<(), StorageError> {
    let lost: Vec<Edge<'_>> = rows
        .iter()
        .flat_map(|row| {
            let source = Source::Parent(&row.run.target.entity_ref);
            row.lost.iter().map(move |target| (source, target))
        })
        .collect();
    let gone: BTreeSet<EntityRef> = edges::remove(tx, tenant, &lost)
        .await?
        .into_iter()
        .collect();
    let gone: Vec<EntityRef> = gone.into_iter().collect();
    orphans::queue_checks(tx, tenant, &gone, tx.now_ms()).await?;
    // The bytes may be theirs; another parent's are to be placed over them.
    edges::requeue_parents(tx, tenant, &gone, queueing).await?;
    let emitted: HashMap<Source<'_>, HashSet<&EntityRef>> = rows
        .iter()
        .filter(|row| row.complete)
        .map(|row| {
            let children = row.success.children.iter().map(|child| &child.entity_ref);
            (
                Source::Parent(&row.run.target.entity_ref),
                children.collect(),
            )
        })
        .collect();
    let emitted: Vec<_> = emitted.into_iter().collect();
    conflicts::retain(tx, tenant, &emitted).await
}
