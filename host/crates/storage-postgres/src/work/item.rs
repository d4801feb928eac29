//! Held items: the fence of every write of a run, and the ways they stop being held.

use greenroom_model::{EntityUid, TenantId, Timestamp};
use greenroom_storage::{Claim, Lane, StorageError, WorkerId};
use tokio_postgres::Row;

use crate::damage::{uid, value};
use crate::entities::uid_texts;
use crate::text::{Text, texts};
use crate::transaction::Transaction;
use crate::work::enqueue::{lane_number, read_lane};
use crate::work::lanes::{Account, WEIGHTS};

/// What becomes of an item when its run is recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Finish {
    /// Nothing more to do.
    Done,
    /// Due again.
    Due(Lane, Timestamp),
}

/// Ends the hold on fenced items after their runs. One that was queued meanwhile runs once more.
pub(crate) async fn finish(
    tx: &Transaction,
    tenant: TenantId,
    items: &[(EntityUid, Finish)],
) -> Result<(), StorageError> {
    let done: Vec<&EntityUid> = items
        .iter()
        .filter(|(_, finish)| matches!(finish, Finish::Done))
        .map(|(uid, _)| uid)
        .collect();
    let mut gone = 0;
    if !done.is_empty() {
        gone = tx
            .run(
                "DELETE FROM work WHERE tenant_id = $1 AND entity_id = ANY($2::text[]) AND again = 0",
                &[&tenant.0, &uid_texts(done.iter().copied())],
            )
            .await?;
    }
    if gone == items.len() as u64 {
        return Ok(());
    }
    let freed = items.iter().map(|(uid, finish)| match finish {
        Finish::Done => (uid, None, None),
        Finish::Due(lane, due) => (uid, Some(lane_number(*lane)), Some(due.0)),
    });
    requeue(tx, tenant, &freed.collect::<Vec<_>>()).await
}

/// A held item, with where it was claimed and what it was charged.
#[derive(Debug)]
pub(crate) struct HeldItem {
    /// The entity.
    pub(crate) uid: EntityUid,
    /// Where it was claimed.
    pub(crate) lane: Lane,
    /// CPU time charged for it.
    pub(crate) charged_us: i64,
}

/// Gives items back unrun, due now.
pub(crate) async fn free(
    tx: &Transaction,
    tenant: TenantId,
    items: &[HeldItem],
) -> Result<(), StorageError> {
    let now = Some(tx.now_ms());
    let freed = items
        .iter()
        .map(|item| (&item.uid, Some(lane_number(item.lane)), now));
    requeue(tx, tenant, &freed.collect::<Vec<_>>()).await?;
    let mut account = Account::default();
    for item in items {
        account.returned(item.lane, item.charged_us);
    }
    account.settle(tx, tenant).await
}

/// Frees rows at the better of the given lane and time and those they were queued with while they were held.
async fn requeue(
    tx: &Transaction,
    tenant: TenantId,
    items: &[(&EntityUid, Option<i64>, Option<i64>)],
) -> Result<(), StorageError> {
    if items.is_empty() {
        return Ok(());
    }
    let lanes: Vec<Option<i64>> = items.iter().map(|(_, lane, _)| *lane).collect();
    let dues: Vec<Option<i64>> = items.iter().map(|(_, _, due)| *due).collect();
    tx.run(
        "WITH freed AS (
             UPDATE work w SET
                 worker_id = NULL, charged_us = 0, again = 0, again_lane = NULL, again_due = NULL,
                 lane = coalesce(least(free.lane, w.again_lane), w.lane),
                 due_at = coalesce(least(free.due_at, w.again_due), w.due_at)
             FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS free (entity_id, lane, due_at)
             WHERE w.tenant_id = $1 AND w.entity_id = free.entity_id
             RETURNING w.lane, w.due_at
         )
         INSERT INTO tenant_lanes (tenant_id, lane, ready_at, weight)
         SELECT $1, lane, min(due_at), ($5::float8[])[lane + 1] FROM freed GROUP BY lane ORDER BY lane
         ON CONFLICT (tenant_id, lane) DO UPDATE SET ready_at = excluded.ready_at
         WHERE NOT tenant_lanes.ready
             AND (tenant_lanes.ready_at IS NULL OR tenant_lanes.ready_at > excluded.ready_at)",
        &[
            &tenant.0,
            &uid_texts(items.iter().map(|(uid, _, _)| *uid)),
            &lanes,
            &dues,
            &WEIGHTS.as_slice(),
        ],
    )
    .await?;
    Ok(())
}

/// Removes the items of entities that go; those that were held are no longer.
pub(crate) async fn drop_items(
    tx: &Transaction,
    tenant: TenantId,
    uids: &[EntityUid],
) -> Result<(), StorageError> {
    let gone = tx
        .all(
            "DELETE FROM work WHERE tenant_id = $1 AND entity_id = ANY($2::text[])
             RETURNING lane, worker_id IS NOT NULL",
            &[&tenant.0, &texts(uids.iter().map(EntityUid::as_str))],
            |row| {
                Ok((
                    read_lane(row, 0, "work.lane")?,
                    value::<bool>(row, 1, "work.worker_id")?,
                ))
            },
        )
        .await?;
    let mut account = Account::default();
    for (lane, held) in gone {
        if held {
            account.returned(lane, 0);
        }
    }
    account.settle(tx, tenant).await
}

/// Those of the claims that still hold, with their items locked.
pub(super) async fn held(
    tx: &Transaction,
    tenant: TenantId,
    claims: &[&Claim],
) -> Result<Vec<HeldItem>, StorageError> {
    let numbers: Vec<i64> = claims.iter().map(|claim| claim.claim_no).collect();
    tx.all(
        "SELECT w.entity_id, w.lane, w.charged_us
         FROM unnest($2::text[], $3::text[], $4::bigint[]) AS claim (entity_id, worker_id, claim_no)
         JOIN work w ON w.tenant_id = $1 AND w.entity_id = claim.entity_id
             AND w.worker_id = claim.worker_id AND w.claim_no = claim.claim_no
         FOR UPDATE OF w",
        &[
            &tenant.0,
            &uid_texts(claims.iter().map(|claim| &claim.uid)),
            &texts(claims.iter().map(|claim| claim.worker.0.as_str())),
            &numbers,
        ],
        read_held,
    )
    .await
}

/// Up to `limit` items of a tenant that a worker holds, locked.
pub(crate) async fn held_by(
    tx: &Transaction,
    tenant: TenantId,
    worker: &WorkerId,
    limit: i64,
) -> Result<Vec<HeldItem>, StorageError> {
    tx.all(
        "SELECT entity_id, lane, charged_us FROM work
         WHERE worker_id = $2 AND tenant_id = $1 LIMIT $3 FOR UPDATE",
        &[&tenant.0, &Text(&worker.0), &limit],
        read_held,
    )
    .await
}

fn read_held(row: &Row) -> Result<HeldItem, StorageError> {
    Ok(HeldItem {
        uid: uid(row, 0, "work.entity_id")?,
        lane: read_lane(row, 1, "work.lane")?,
        charged_us: value(row, 2, "work.charged_us")?,
    })
}
