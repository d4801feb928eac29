//! Taking the oldest due items of the lanes whose turn it is, and leaving the lanes as they are then.

use std::collections::HashMap;

use greenroom_model::{EntityUid, TenantId, Timestamp};
use greenroom_storage::{Claim, Claimed, Lane, StorageError, WorkerId};

use crate::damage::{
    json, optional_digest, stored, tenant_id, text, timestamp, uid, unsigned, value,
};
use crate::entities::{stored_ref, uid_texts};
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::enqueue::{lane_number, read_lane};
use crate::work::pick::Turn;

/// An item that was taken.
struct Taken {
    claim: Claim,
    lane: Lane,
    due_at: Timestamp,
}

/// Takes what the turn decided, in its order.
pub(super) async fn take(
    tx: &Transaction,
    worker: &WorkerId,
    turn: &Turn,
) -> Result<Vec<Claimed>, StorageError> {
    let rows: Vec<_> = turn.lanes.iter().filter(|row| row.taken > 0).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let tenants: Vec<i64> = rows.iter().map(|row| row.tenant.0).collect();
    let lanes: Vec<i64> = rows.iter().map(|row| lane_number(row.lane)).collect();
    let counts: Vec<i64> = rows.iter().map(|row| stored(row.taken)).collect();
    let charges: Vec<i64> = rows.iter().map(|row| row.mean_us.round() as i64).collect();
    // Says nothing new, but to the planner: a bound of a column it takes for a tenth of the table.
    let most = counts.iter().copied().max().unwrap_or(0);
    let mut taken = tx
        .all(
            "WITH due AS MATERIALIZED (
                 SELECT oldest.tenant_id, oldest.entity_id, look.charge
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                     AS look (tenant_id, lane, items, charge),
                 LATERAL (
                     SELECT tenant_id, entity_id FROM (
                         SELECT tenant_id, entity_id FROM work
                         WHERE tenant_id = look.tenant_id AND lane = look.lane AND worker_id IS NULL AND due_at <= $5
                         ORDER BY due_at LIMIT look.items FOR UPDATE SKIP LOCKED
                     ) locked LIMIT $7
                 ) oldest
             )
             UPDATE work w SET worker_id = $6, claim_no = w.claim_no + 1, charged_us = due.charge
             FROM due WHERE w.tenant_id = due.tenant_id AND w.entity_id = due.entity_id
             RETURNING w.tenant_id, w.entity_id, w.claim_no, w.lane, w.due_at",
            &[
                &tenants,
                &lanes,
                &counts,
                &charges,
                &tx.now_ms(),
                &Text(&worker.0),
                &most,
            ],
            |row| {
                Ok(Taken {
                    claim: Claim {
                        tenant: tenant_id(row, 0, "work.tenant_id")?,
                        uid: uid(row, 1, "work.entity_id")?,
                        worker: worker.clone(),
                        claim_no: value(row, 2, "work.claim_no")?,
                    },
                    lane: read_lane(row, 3, "work.lane")?,
                    due_at: timestamp(row, 4, "work.due_at")?,
                })
            },
        )
        .await?;
    taken.sort_by_key(|one| (one.lane, one.due_at));
    load(tx, taken).await
}

/// Loads what the runs start from. An item whose entity is gone is dropped: deletions take the item with them, so this
/// heals only.
async fn load(tx: &Transaction, taken: Vec<Taken>) -> Result<Vec<Claimed>, StorageError> {
    let tenants: Vec<i64> = taken.iter().map(|item| item.claim.tenant.0).collect();
    let uids = uid_texts(taken.iter().map(|item| &item.claim.uid));
    let rows = tx
        .rows(
            "SELECT item.n, r.entity_ref, r.attempts, r.unprocessed_entity, r.cache, r.memo, r.trace
             FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS item (tenant_id, entity_id, n)
             JOIN refresh_state r ON r.tenant_id = item.tenant_id AND r.entity_id = item.entity_id",
            &[&tenants, &uids],
        )
        .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        found.insert(unsigned(row, 0, "work")?, row);
    }
    let mut claimed = Vec::with_capacity(taken.len());
    let mut gone: Vec<&Claim> = Vec::new();
    for (item, n) in taken.iter().zip(1..) {
        let Some(row) = found.get(&n) else {
            gone.push(&item.claim);
            continue;
        };
        let attempts = unsigned(row, 2, "refresh_state.attempts")?;
        claimed.push(Claimed {
            claim: item.claim.clone(),
            lane: item.lane,
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            entity_ref: stored_ref(row, 1, "refresh_state.entity_ref")?,
            unprocessed: text(row, 3, "refresh_state.unprocessed_entity")?,
            caches: text(row, 4, "refresh_state.cache")?,
            memo: optional_digest(row, 5, "refresh_state.memo")?,
            trace: json(row, 6, "refresh_state.trace")?,
            due_at: item.due_at,
        });
    }
    if !gone.is_empty() {
        remove(tx, &gone).await?;
    }
    Ok(claimed)
}

async fn remove(tx: &Transaction, gone: &[&Claim]) -> Result<(), StorageError> {
    let tenants: Vec<i64> = gone.iter().map(|claim| claim.tenant.0).collect();
    let uids: Vec<&EntityUid> = gone.iter().map(|claim| &claim.uid).collect();
    tx.run(
        "DELETE FROM work w USING unnest($1::bigint[], $2::text[]) AS gone (tenant_id, entity_id)
         WHERE w.tenant_id = gone.tenant_id AND w.entity_id = gone.entity_id",
        &[&tenants, &uid_texts(uids)],
    )
    .await?;
    Ok(())
}

/// Writes the lanes back; one that ran dry is left with the time of its next item. Answers those that ran dry while their
/// tenant is being queued as a whole: they stay ready.
pub(super) async fn settle(
    tx: &Transaction,
    turn: &Turn,
) -> Result<Vec<(TenantId, Lane)>, StorageError> {
    let rows: Vec<_> = turn
        .lanes
        .iter()
        .filter(|row| row.taken > 0 || row.is_empty)
        .collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let tenants: Vec<i64> = rows.iter().map(|row| row.tenant.0).collect();
    let lanes: Vec<i64> = rows.iter().map(|row| lane_number(row.lane)).collect();
    let taken: Vec<i64> = rows.iter().map(|row| stored(row.taken)).collect();
    let passes: Vec<f64> = rows.iter().map(|row| row.pass).collect();
    let empty: Vec<bool> = rows.iter().map(|row| row.is_empty).collect();
    let left = tx
        .all(
            "UPDATE tenant_lanes l SET
                 held = l.held + look.taken, pass = look.pass,
                 ready = NOT look.dry OR look.unexpanded,
                 ready_at = CASE WHEN look.dry AND NOT look.unexpanded THEN
                     (SELECT w.due_at FROM work w WHERE w.tenant_id = look.tenant_id AND w.lane = look.lane
                         AND w.worker_id IS NULL ORDER BY w.due_at LIMIT 1) END
             FROM (
                 SELECT given.*, b.bulk_after IS NOT NULL AND NOT EXISTS (SELECT 1 FROM activations a
                     WHERE a.tenant_id = given.tenant_id AND a.state = 'canary') AS unexpanded
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::float8[], $5::boolean[])
                     AS given (tenant_id, lane, taken, pass, dry)
                 JOIN tenant_lanes b ON b.tenant_id = given.tenant_id AND b.lane = given.lane
             ) look
             WHERE l.tenant_id = look.tenant_id AND l.lane = look.lane
             RETURNING l.tenant_id, l.lane, look.dry AND look.unexpanded",
            &[&tenants, &lanes, &taken, &passes, &empty],
            |row| {
                let lane = (
                    tenant_id(row, 0, "tenant_lanes.tenant_id")?,
                    read_lane(row, 1, "tenant_lanes.lane")?,
                );
                Ok(value::<bool>(row, 2, "tenant_lanes.bulk_after")?.then_some(lane))
            },
        )
        .await?;
    Ok(left.into_iter().flatten().collect())
}
