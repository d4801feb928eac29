//! Turning "every entity of the tenant" into items of work, a chunk at a time.
//!
//! `tenant_lanes.bulk_after` is the whole task: the greatest uid already turned. So an activation costs one row whatever
//! the tenant's size, a crash loses nothing, and a later activation starts over. While the tenant has an open canary the
//! walk stands still and keeps its place.

use greenroom_model::TenantId;
use greenroom_storage::Lane;
use rusqlite::{Connection, params};

use crate::activations::canary_is_open;
use crate::damage::{uid, unsigned, value};
use crate::statement;
use crate::work::enqueue::{enqueue, lane_number, read_lane};
use crate::work::lanes;
use crate::writer::WriteTx;

/// Entities per chunk, the bound of a transaction (DESIGN §7).
const CHUNK: usize = 500;

/// Queues the next chunk of a lane. `true` if the lane had such a task.
pub(super) fn expand(tx: &mut WriteTx<'_>, tenant: TenantId, lane: Lane) -> rusqlite::Result<bool> {
    let after: Option<String> = statement::one(
        tx,
        "SELECT bulk_after FROM tenant_lanes WHERE tenant_id = ?1 AND lane = ?2",
        params![tenant.0, lane_number(lane)],
        |row| value(row, 0, "tenant_lanes.bulk_after"),
    )?
    .flatten();
    let Some(after) = after else { return Ok(false) };
    if canary_is_open(tx, tenant)? {
        return Ok(false);
    }
    let chunk = statement::all(
        tx,
        "SELECT entity_id FROM refresh_state WHERE tenant_id = ?1 AND entity_id > ?2
         ORDER BY entity_id LIMIT ?3",
        params![tenant.0, after, CHUNK as i64],
        |row| uid(row, 0, "refresh_state.entity_id"),
    )?;
    let now = tx.now();
    for entity in &chunk {
        enqueue(tx, tenant, entity, lane, now)?;
    }
    let reached = chunk.last().filter(|_| chunk.len() == CHUNK);
    tx.run(
        "UPDATE tenant_lanes SET bulk_after = ?3 WHERE tenant_id = ?1 AND lane = ?2",
        params![tenant.0, lane_number(lane), reached.map(|uid| uid.as_str())],
    )?;
    Ok(true)
}

/// Lets a walk that stood still go on.
pub(crate) fn touch_bulk(tx: &mut WriteTx<'_>, tenant: TenantId) -> rusqlite::Result<()> {
    let stands = statement::one(
        tx,
        "SELECT 1 FROM tenant_lanes WHERE tenant_id = ?1 AND lane = ?2 AND bulk_after IS NOT NULL",
        params![tenant.0, lane_number(Lane::Bulk)],
        |_| Ok(()),
    )?;
    if stands.is_some() {
        let now = tx.now();
        lanes::touch(tx, tenant, Lane::Bulk, now)?;
    }
    Ok(())
}

/// Adds what is still to be turned into items to the counts by lane.
pub(super) fn add_unexpanded(
    conn: &Connection,
    counts: &mut Vec<(Lane, u64)>,
) -> rusqlite::Result<()> {
    let tasks = statement::all(
        conn,
        "SELECT l.lane, (SELECT count(*) FROM refresh_state r
             WHERE r.tenant_id = l.tenant_id AND r.entity_id > l.bulk_after)
         FROM tenant_lanes l WHERE l.bulk_after IS NOT NULL",
        [],
        |row| {
            Ok((
                read_lane(row, 0, "tenant_lanes.lane")?,
                unsigned(row, 1, "refresh_state")?,
            ))
        },
    )?;
    for (lane, more) in tasks {
        match counts.iter_mut().find(|(counted, _)| *counted == lane) {
            Some((_, count)) => *count += more,
            None => counts.push((lane, more)),
        }
    }
    counts.sort_unstable();
    Ok(())
}
