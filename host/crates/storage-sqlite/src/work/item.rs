//! A held item: the fence of every write of a run, and the ways it stops being held.

use greenroom_model::{EntityUid, TenantId, Timestamp};
use greenroom_storage::{Claim, Lane};
use rusqlite::params;

use crate::damage::value;
use crate::statement;
use crate::work::enqueue::{lane_number, read_lane};
use crate::work::lanes;
use crate::writer::WriteTx;

/// What a fence found.
#[derive(Debug)]
pub(crate) struct HeldItem {
    /// Where it was claimed.
    pub(crate) lane: Lane,
    /// CPU time charged for it.
    pub(crate) charged_us: i64,
    /// Whether its memo was cleared while it was held: then the run's own is not stored.
    pub(crate) memo_cleared: bool,
}

/// What becomes of an item when its run is recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Finish {
    /// Nothing more to do.
    Done,
    /// Due again.
    Due(Lane, Timestamp),
}

/// The item, if it is still that claim's.
pub(crate) fn held_item(tx: &WriteTx<'_>, claim: &Claim) -> rusqlite::Result<Option<HeldItem>> {
    statement::one(
        tx,
        "SELECT lane, charged_us, again = 2 FROM work
         WHERE tenant_id = ?1 AND entity_id = ?2 AND worker_id = ?3 AND claim_no = ?4",
        params![
            claim.tenant.0,
            claim.uid.as_str(),
            claim.worker.0,
            claim.claim_no
        ],
        |row| {
            Ok(HeldItem {
                lane: read_lane(row, 0, "work.lane")?,
                charged_us: value(row, 1, "work.charged_us")?,
                memo_cleared: value(row, 2, "work.again")?,
            })
        },
    )
}

/// Ends the hold on a fenced item after its run. One that was queued meanwhile runs once more.
pub(crate) fn finish(tx: &mut WriteTx<'_>, claim: &Claim, outcome: Finish) -> rusqlite::Result<()> {
    let key = params![claim.tenant.0, claim.uid.as_str()];
    if let Finish::Done = outcome {
        let gone = tx.run(
            "DELETE FROM work WHERE tenant_id = ?1 AND entity_id = ?2 AND again = 0",
            key,
        )?;
        if gone > 0 {
            return Ok(());
        }
    }
    let (lane, due_at) = match outcome {
        Finish::Done => (None, None),
        Finish::Due(lane, due_at) => (Some(lane_number(lane)), Some(due_at.0)),
    };
    requeue(tx, claim.tenant, &claim.uid, lane, due_at)
}

/// Gives an item back unrun, due now.
pub(crate) fn free(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    uid: &EntityUid,
    lane: Lane,
) -> rusqlite::Result<()> {
    let now = tx.now_ms();
    requeue(tx, tenant, uid, Some(lane_number(lane)), Some(now))
}

/// Frees the row at the better of the given lane and time and those it was queued with while it was held.
fn requeue(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    uid: &EntityUid,
    lane: Option<i64>,
    due_at: Option<i64>,
) -> rusqlite::Result<()> {
    let queued = statement::one(
        tx,
        "UPDATE work SET
             worker_id = NULL, charged_us = 0, again = 0, again_lane = NULL, again_due = NULL,
             lane = min(coalesce(?3, again_lane, lane), coalesce(again_lane, ?3, lane)),
             due_at = min(coalesce(?4, again_due, due_at), coalesce(again_due, ?4, due_at))
         WHERE tenant_id = ?1 AND entity_id = ?2 RETURNING lane, due_at",
        params![tenant.0, uid.as_str(), lane, due_at],
        |row| {
            Ok((
                read_lane(row, 0, "work.lane")?,
                crate::damage::timestamp(row, 1, "work.due_at")?,
            ))
        },
    )?;
    match queued {
        Some((lane, due_at)) => lanes::touch(tx, tenant, lane, due_at),
        None => Ok(()),
    }
}
