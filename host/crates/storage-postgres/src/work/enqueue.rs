//! Putting work into the queue, from inside whatever transaction makes it necessary.
//!
//! Queueing an item twice is queueing it once, in the better lane and at the earlier time. Queueing one that a worker
//! holds marks it to run `again`: its run may have read what has just changed.
//!
//! A transaction gathers what it queues in a [`Queueing`] and writes that once, late: a row of `tenant_lanes` that it has
//! touched is skipped by every claim until it commits.

use std::collections::BTreeMap;

use greenroom_model::{EntityUid, TenantId};
use greenroom_storage::{Lane, ReadKey, StorageError};
use tokio_postgres::Row;

use crate::damage::{damaged, uid, unsigned, value};
use crate::text::{Text, texts};
use crate::transaction::Transaction;
use crate::work::lanes;

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
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<Lane, StorageError> {
    match value::<i64>(row, index, column)? {
        0 => Ok(Lane::OnRequest),
        1 => Ok(Lane::New),
        2 => Ok(Lane::Changed),
        3 => Ok(Lane::Bulk),
        other => Err(damaged(column, format!("{other} is no lane"))),
    }
}

/// Entities of one tenant that are to be queued.
#[derive(Debug, Default)]
pub(crate) struct Queueing(BTreeMap<String, Queued>);

#[derive(Debug)]
struct Queued {
    lane: i64,
    due_at: i64,
    clear_memo: bool,
}

impl Queueing {
    /// Adds an entity, due at `due_ms`. With `clear_memo` its next run is not skipped, and a run under way does not store
    /// its own memo.
    pub(crate) fn add(&mut self, uid: &EntityUid, lane: Lane, due_ms: i64, clear_memo: bool) {
        let lane = lane_number(lane);
        match self.0.get_mut(uid.as_str()) {
            Some(queued) => {
                queued.lane = queued.lane.min(lane);
                queued.due_at = queued.due_at.min(due_ms);
                queued.clear_memo |= clear_memo;
            }
            None => {
                let queued = Queued {
                    lane,
                    due_at: due_ms,
                    clear_memo,
                };
                self.0.insert(uid.as_str().to_owned(), queued);
            }
        }
    }

    /// Leaves out entities that have gone since they were added.
    pub(crate) fn forget(&mut self, uids: &[EntityUid]) {
        for uid in uids {
            self.0.remove(uid.as_str());
        }
    }

    /// Queues them. The tenant's graph is locked.
    pub(crate) async fn write(
        self,
        tx: &Transaction,
        tenant: TenantId,
    ) -> Result<(), StorageError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let cleared = self.0.iter().filter(|(_, queued)| queued.clear_memo);
        let cleared = texts(cleared.map(|(uid, _)| uid.as_str()));
        if !cleared.is_empty() {
            clear_memos(tx, tenant, &cleared).await?;
        }
        let lanes: Vec<i64> = self.0.values().map(|queued| queued.lane).collect();
        let dues: Vec<i64> = self.0.values().map(|queued| queued.due_at).collect();
        // No row comes back where nothing is better than before.
        tx.run(
            "WITH queued AS (
                 INSERT INTO work (tenant_id, entity_id, lane, due_at, claim_no)
                 SELECT $1, new.entity_id, new.lane, new.due_at, (random() * 1e15)::bigint
                 FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS new (entity_id, lane, due_at)
                 ON CONFLICT (tenant_id, entity_id) DO UPDATE SET
                     lane = CASE WHEN work.worker_id IS NULL THEN least(work.lane, excluded.lane) ELSE work.lane END,
                     due_at = CASE WHEN work.worker_id IS NULL THEN least(work.due_at, excluded.due_at)
                         ELSE work.due_at END,
                     again = CASE WHEN work.worker_id IS NULL THEN 0 ELSE greatest(work.again, 1) END,
                     again_lane = CASE WHEN work.worker_id IS NULL THEN NULL
                         ELSE least(work.again_lane, excluded.lane) END,
                     again_due = CASE WHEN work.worker_id IS NULL THEN NULL
                         ELSE least(work.again_due, excluded.due_at) END
                 WHERE work.worker_id IS NOT NULL OR excluded.lane < work.lane OR excluded.due_at < work.due_at
                 RETURNING lane, due_at, worker_id
             )
             INSERT INTO tenant_lanes (tenant_id, lane, ready_at, weight)
             SELECT $1, lane, min(due_at), ($5::float8[])[lane + 1] FROM queued
             WHERE worker_id IS NULL GROUP BY lane ORDER BY lane
             ON CONFLICT (tenant_id, lane) DO UPDATE SET ready_at = excluded.ready_at
             WHERE NOT tenant_lanes.ready
                 AND (tenant_lanes.ready_at IS NULL OR tenant_lanes.ready_at > excluded.ready_at)",
            &[
                &tenant.0,
                &texts(self.0.keys().map(String::as_str)),
                &lanes,
                &dues,
                &lanes::WEIGHTS.as_slice(),
            ],
        )
        .await?;
        if !cleared.is_empty() {
            tx.run(
                "UPDATE work SET again = 2
                 WHERE tenant_id = $1 AND entity_id = ANY($2::text[]) AND worker_id IS NOT NULL",
                &[&tenant.0, &cleared],
            )
            .await?;
        }
        Ok(())
    }
}

async fn clear_memos(
    tx: &Transaction,
    tenant: TenantId,
    uids: &[Text<'_>],
) -> Result<(), StorageError> {
    tx.run(
        "UPDATE refresh_state SET memo = NULL
         WHERE tenant_id = $1 AND entity_id = ANY($2::text[]) AND memo IS NOT NULL",
        &[&tenant.0, &uids],
    )
    .await?;
    Ok(())
}

/// Queues entities, as a [`Queueing`] of them does.
pub(crate) async fn enqueue(
    tx: &Transaction,
    tenant: TenantId,
    lane: Lane,
    uids: &[EntityUid],
    due_ms: i64,
    clear_memo: bool,
) -> Result<(), StorageError> {
    let mut queueing = Queueing::default();
    for uid in uids {
        queueing.add(uid, lane, due_ms, clear_memo);
    }
    queueing.write(tx, tenant).await
}

/// Queues every entity of a tenant; answers how many. One row now; claims turn it into items 500 at a time, in order of
/// uid. Asking again before that is done starts over.
pub(crate) async fn enqueue_tenant(
    tx: &Transaction,
    tenant: TenantId,
    lane: Lane,
) -> Result<u64, StorageError> {
    let entities = tx
        .one(
            "SELECT count(*) FROM refresh_state WHERE tenant_id = $1",
            &[&tenant.0],
            |row| unsigned(row, 0, "refresh_state"),
        )
        .await?
        .unwrap_or(0);
    if entities > 0 {
        lanes::touch(tx, tenant, lane, tx.now_ms()).await?;
        tx.run(
            "UPDATE tenant_lanes SET bulk_after = '' WHERE tenant_id = $1 AND lane = $2",
            &[&tenant.0, &lane_number(lane)],
        )
        .await?;
    }
    Ok(entities)
}

/// Queues the users of reads (through `read_uses`) in lane *changed*; answers how many. The tenant's graph is locked.
pub(crate) async fn enqueue_users_of_reads(
    tx: &Transaction,
    tenant: TenantId,
    keys: &[ReadKey],
) -> Result<u64, StorageError> {
    let users = tx
        .all(
            "SELECT DISTINCT u.entity_id
             FROM unnest($2::text[], $3::text[]) AS read (credential, want)
             JOIN read_uses u ON u.tenant_id = $1 AND u.credential = read.credential AND u.want = read.want",
            &[
                &tenant.0,
                &texts(keys.iter().map(|key| key.credential.as_str())),
                &texts(keys.iter().map(|key| key.want.as_str())),
            ],
            |row| uid(row, 0, "read_uses.entity_id"),
        )
        .await?;
    enqueue(tx, tenant, Lane::Changed, &users, tx.now_ms(), false).await?;
    Ok(users.len() as u64)
}
