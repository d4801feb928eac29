//! Putting work into the queue, from inside whatever transaction makes it necessary.
//!
//! Queueing an item twice is queueing it once, in the better lane and at the earlier time. Queueing one that a worker
//! holds marks it to run `again`: its run may have read what has just changed.

use greenroom_model::{EntityUid, TenantId, Timestamp};
use greenroom_storage::{Lane, ReadKey};
use rusqlite::{Row, params};

use crate::damage::{damaged, timestamp, uid, unsigned, value};
use crate::statement;
use crate::work::lanes;
use crate::writer::WriteTx;

/// The stored number of a lane; lower goes first where two meet.
pub(crate) fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::OnRequest => 0,
        Lane::New => 1,
        Lane::Changed => 2,
        Lane::Bulk => 3,
    }
}

/// A column that holds a lane's number.
pub(crate) fn read_lane(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<Lane> {
    match value::<i64>(row, index, column)? {
        0 => Ok(Lane::OnRequest),
        1 => Ok(Lane::New),
        2 => Ok(Lane::Changed),
        3 => Ok(Lane::Bulk),
        other => Err(damaged(column, format!("{other} is no lane"))),
    }
}

/// Queues an entity.
pub(crate) fn enqueue(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    uid: &EntityUid,
    lane: Lane,
    due_at: Timestamp,
) -> rusqlite::Result<()> {
    // No row comes back where nothing is better than before, or where the item is held.
    let queued = statement::one(
        tx,
        "INSERT INTO work (tenant_id, entity_id, lane, due_at, claim_no)
         VALUES (?1, ?2, ?3, ?4, random() / 4)
         ON CONFLICT (tenant_id, entity_id) DO UPDATE SET
             lane = CASE WHEN worker_id IS NULL THEN min(lane, excluded.lane) ELSE lane END,
             due_at = CASE WHEN worker_id IS NULL THEN min(due_at, excluded.due_at) ELSE due_at END,
             again = CASE WHEN worker_id IS NULL THEN 0 ELSE max(again, 1) END,
             again_lane = CASE WHEN worker_id IS NULL THEN NULL
                 ELSE min(coalesce(again_lane, excluded.lane), excluded.lane) END,
             again_due = CASE WHEN worker_id IS NULL THEN NULL
                 ELSE min(coalesce(again_due, excluded.due_at), excluded.due_at) END
         WHERE worker_id IS NOT NULL OR excluded.lane < lane OR excluded.due_at < due_at
         RETURNING lane, due_at, worker_id IS NOT NULL",
        params![tenant.0, uid.as_str(), lane_number(lane), due_at.0],
        |row| {
            Ok((
                read_lane(row, 0, "work.lane")?,
                timestamp(row, 1, "work.due_at")?,
                value::<bool>(row, 2, "work.worker_id")?,
            ))
        },
    )?;
    match queued {
        Some((lane, due_at, false)) => lanes::touch(tx, tenant, lane, due_at),
        Some((_, _, true)) | None => Ok(()),
    }
}

/// Queues an entity with its memo cleared, so that its next run is not skipped. A run under way does not store its own.
pub(crate) fn requeue_cleared(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    uid: &EntityUid,
    lane: Lane,
) -> rusqlite::Result<()> {
    tx.run(
        "UPDATE refresh_state SET memo = NULL WHERE tenant_id = ?1 AND entity_id = ?2 AND memo IS NOT NULL",
        params![tenant.0, uid.as_str()],
    )?;
    let now = tx.now();
    enqueue(tx, tenant, uid, lane, now)?;
    tx.run(
        "UPDATE work SET again = 2 WHERE tenant_id = ?1 AND entity_id = ?2 AND worker_id IS NOT NULL",
        params![tenant.0, uid.as_str()],
    )?;
    Ok(())
}

/// Queues every entity of a tenant; answers how many. One row now; claims turn it into items 500 at a time, in order of
/// uid. Asking again before that is done starts over.
pub(crate) fn enqueue_tenant(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    lane: Lane,
) -> rusqlite::Result<u64> {
    let entities = statement::one(
        tx,
        "SELECT count(*) FROM refresh_state WHERE tenant_id = ?1",
        params![tenant.0],
        |row| unsigned(row, 0, "refresh_state"),
    )?
    .unwrap_or(0);
    if entities > 0 {
        let now = tx.now();
        lanes::touch(tx, tenant, lane, now)?;
        tx.run(
            "UPDATE tenant_lanes SET bulk_after = '' WHERE tenant_id = ?1 AND lane = ?2",
            params![tenant.0, lane_number(lane)],
        )?;
    }
    Ok(entities)
}

/// Queues the users of a read (through `read_uses`) in lane *changed*; answers how many.
pub(crate) fn enqueue_users_of_read(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    key: &ReadKey,
) -> rusqlite::Result<u64> {
    let users = statement::all(
        tx,
        "SELECT entity_id FROM read_uses WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3",
        params![tenant.0, key.credential, key.want],
        |row| uid(row, 0, "read_uses.entity_id"),
    )?;
    let now = tx.now();
    for user in &users {
        enqueue(tx, tenant, user, Lane::Changed, now)?;
    }
    Ok(users.len() as u64)
}
