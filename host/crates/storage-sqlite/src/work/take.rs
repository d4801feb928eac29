//! Taking a lane's oldest due items for a worker.

use greenroom_model::{EntityUid, TenantId};
use greenroom_storage::{Claim, Claimed, Lane, WorkerId};
use rusqlite::params;

use crate::damage::{json, optional_digest, stored, timestamp, uid, value};
use crate::entities::stored_ref;
use crate::statement;
use crate::work::enqueue::lane_number;
use crate::work::{bulk, lanes};
use crate::writer::WriteTx;

/// Takes up to `items`; with fewer, the lane is left with the time of its next item.
pub(super) fn take(
    tx: &mut WriteTx<'_>,
    worker: &WorkerId,
    tenant: TenantId,
    lane: Lane,
    items: usize,
) -> rusqlite::Result<Vec<Claimed>> {
    let mean: f64 = statement::one(
        tx,
        "SELECT mean_us FROM tenant_lanes WHERE tenant_id = ?1 AND lane = ?2",
        params![tenant.0, lane_number(lane)],
        |row| value(row, 0, "tenant_lanes.mean_us"),
    )?
    .unwrap_or(0.0);
    let mut taken = due(tx, worker, tenant, lane, items, mean)?;
    let mut unexpanded = false;
    if taken.len() < items {
        unexpanded = bulk::expand(tx, tenant, lane)?;
        if unexpanded {
            taken.extend(due(tx, worker, tenant, lane, items - taken.len(), mean)?);
        }
    }
    let charge = taken.len() as f64 * mean.round();
    tx.run(
        "UPDATE tenant_lanes SET
             held = held + ?3,
             pass = pass + ?4 / weight
                 * (SELECT sum(weight) FROM tenant_lanes l WHERE l.tenant_id = ?1 AND l.ready = 1)
         WHERE tenant_id = ?1 AND lane = ?2",
        params![
            tenant.0,
            lane_number(lane),
            stored(taken.len() as u64),
            charge
        ],
    )?;
    if taken.len() < items && !unexpanded {
        let next = lanes::oldest(tx, tenant, lane)?;
        tx.run(
            "UPDATE tenant_lanes SET ready = 0, ready_at = ?3 WHERE tenant_id = ?1 AND lane = ?2",
            params![tenant.0, lane_number(lane), next.map(|next| next.0)],
        )?;
    }
    Ok(taken)
}

fn due(
    tx: &mut WriteTx<'_>,
    worker: &WorkerId,
    tenant: TenantId,
    lane: Lane,
    items: usize,
    mean: f64,
) -> rusqlite::Result<Vec<Claimed>> {
    let found = statement::all(
        tx,
        "SELECT entity_id, due_at FROM work
         WHERE tenant_id = ?1 AND lane = ?2 AND worker_id IS NULL AND due_at <= ?3
         ORDER BY due_at LIMIT ?4",
        params![
            tenant.0,
            lane_number(lane),
            tx.now_ms(),
            stored(items as u64)
        ],
        |row| {
            Ok((
                uid(row, 0, "work.entity_id")?,
                timestamp(row, 1, "work.due_at")?,
            ))
        },
    )?;
    let mut claimed = Vec::with_capacity(found.len());
    for (uid, due_at) in found {
        let claim_no: Option<i64> = statement::one(
            tx,
            "UPDATE work SET worker_id = ?3, claim_no = claim_no + 1, charged_us = ?4
             WHERE tenant_id = ?1 AND entity_id = ?2 RETURNING claim_no",
            params![tenant.0, uid.as_str(), worker.0, mean.round() as i64],
            |row| value(row, 0, "work.claim_no"),
        )?;
        let Some(claim_no) = claim_no else { continue };
        let claim = Claim {
            tenant,
            uid,
            worker: worker.clone(),
            claim_no,
        };
        if let Some(item) = load(tx, &claim, lane, due_at)? {
            claimed.push(item);
        } else {
            remove(tx, tenant, &claim.uid)?;
        }
    }
    Ok(claimed)
}

fn load(
    tx: &WriteTx<'_>,
    claim: &Claim,
    lane: Lane,
    due_at: greenroom_model::Timestamp,
) -> rusqlite::Result<Option<Claimed>> {
    statement::one(
        tx,
        "SELECT entity_ref, attempts, unprocessed_entity, cache, memo, trace
         FROM refresh_state WHERE tenant_id = ?1 AND entity_id = ?2",
        params![claim.tenant.0, claim.uid.as_str()],
        |row| {
            Ok(Claimed {
                claim: claim.clone(),
                lane,
                attempts: value(row, 1, "refresh_state.attempts")?,
                entity_ref: stored_ref(row, 0, "refresh_state.entity_ref")?,
                unprocessed: value(row, 2, "refresh_state.unprocessed_entity")?,
                caches: value(row, 3, "refresh_state.cache")?,
                memo: optional_digest(row, 4, "refresh_state.memo")?,
                trace: json(row, 5, "refresh_state.trace")?,
                due_at,
            })
        },
    )
}

/// An item whose entity is gone; deletions take the item with them, so this heals only.
fn remove(tx: &mut WriteTx<'_>, tenant: TenantId, uid: &EntityUid) -> rusqlite::Result<()> {
    tx.run(
        "DELETE FROM work WHERE tenant_id = ?1 AND entity_id = ?2",
        params![tenant.0, uid.as_str()],
    )?;
    Ok(())
}
