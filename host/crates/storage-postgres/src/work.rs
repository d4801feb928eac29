//! The work queue: claiming, releasing and queueing (DESIGN §2, §7; design notes P1-P3).
//!
//! Two levels: `tenant_lanes` says who is next, `work` what that tenant's oldest due items are. A lane is only ever
//! *promoted* to ready by a claim, so whoever queues needs to know no time and takes no part in scheduling: it leaves a
//! row in `work` and the earliest due time at the lane, in its own transaction.
//!
//! What runs beside what, and why nothing is lost and nobody waits in a circle:
//!
//! - Rows of `work` are written by whoever holds the tenant's graph, and by claims. A claim takes only rows that are not
//!   locked (`SKIP LOCKED`), and so never waits for one. Who holds the graph may wait for a claim, which ends without it.
//! - Rows of `tenant_lanes` are locked after those of `work`, by whoever holds the graph, and before them by a claim, which
//!   skips here too. Only a claim that has locked nothing yet waits for a lane (see `claim`).
//! - **No wake is lost.** Queueing locks the lane even where it has nothing to note (`ON CONFLICT DO UPDATE` does). So what
//!   a claim does not see when it looks for the next due time, under its lock of the lane, is noted after it.

mod bulk;
mod claim;
mod enqueue;
mod item;
mod lanes;
mod pick;
mod take;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use async_trait::async_trait;
use greenroom_model::{EntityRef, TenantId, Timestamp};
use greenroom_storage::{
    Claim, Claimed, Lane, Recorded, RunRecord, Slots, StorageError, WorkQueue, WorkerId,
};

use crate::damage::{optional_timestamp, unsigned};
use crate::entities::uid_of;
use crate::graph;
use crate::postgres_storage::PostgresStorage;

pub(crate) use bulk::touch_bulk;
pub(crate) use enqueue::{Queueing, enqueue, enqueue_tenant, enqueue_users_of_reads, read_lane};
pub(crate) use item::{Finish, drop_items, finish, free, held_by};
pub(crate) use lanes::Account;

#[async_trait]
impl WorkQueue for PostgresStorage {
    async fn claim(
        &self,
        worker: &WorkerId,
        limit: u32,
        slots: Slots,
    ) -> Result<Vec<Claimed>, StorageError> {
        claim::claim(self, worker, limit as usize, slots).await
    }

    async fn release(&self, claims: &[Claim]) -> Result<(), StorageError> {
        let mut tenants: BTreeMap<TenantId, Vec<&Claim>> = BTreeMap::new();
        for claim in claims {
            tenants.entry(claim.tenant).or_default().push(claim);
        }
        for (tenant, claims) in tenants {
            let tx = self.begin("release work").await?;
            graph::lock(&tx, tenant).await?;
            let held = item::held(&tx, tenant, &claims).await?;
            free(&tx, tenant, &held).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn record(&self, records: Vec<RunRecord>) -> Result<Vec<Recorded>, StorageError> {
        crate::record::record(self, records).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError> {
        // Of lanes that are ready, what those next in turn have; an empty one is found out by the next claim.
        let due = self
            .read_one(
                "find the next due work",
                "SELECT least(
                     (SELECT min(ready_at) FROM tenant_lanes WHERE NOT ready AND ready_at IS NOT NULL),
                     (SELECT min(CASE WHEN l.bulk_after IS NOT NULL THEN 0 ELSE
                             (SELECT w.due_at FROM work w WHERE w.tenant_id = l.tenant_id AND w.lane = l.lane
                                 AND w.worker_id IS NULL ORDER BY w.due_at LIMIT 1) END)
                         FROM (SELECT tenant_id, lane, bulk_after FROM tenant_lanes WHERE ready
                             ORDER BY pass LIMIT 64) l))",
                &[],
                |row| optional_timestamp(row, 0, "tenant_lanes.ready_at"),
            )
            .await?;
        Ok(due.flatten())
    }

    async fn queue_depth(&self) -> Result<Vec<(Lane, u64)>, StorageError> {
        self.read_all(
            "count work",
            "SELECT lane, sum(items)::bigint FROM (
                 SELECT lane, count(*) AS items FROM work WHERE worker_id IS NULL GROUP BY lane
                 UNION ALL
                 SELECT l.lane, (SELECT count(*) FROM refresh_state r
                     WHERE r.tenant_id = l.tenant_id AND r.entity_id > l.bulk_after)
                 FROM tenant_lanes l WHERE l.bulk_after IS NOT NULL
             ) counts GROUP BY lane ORDER BY lane",
            &[],
            |row| Ok((read_lane(row, 0, "work.lane")?, unsigned(row, 1, "work")?)),
        )
        .await
    }

    async fn redrive(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<bool, StorageError> {
        let tx = self.begin("re-drive an entity").await?;
        graph::lock(&tx, tenant).await?;
        let Some(uid) = uid_of(&tx, tenant, entity_ref).await? else {
            tx.roll_back().await?;
            return Ok(false);
        };
        enqueue(&tx, tenant, Lane::OnRequest, &[uid], tx.now_ms(), true).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn enqueue_all(&self, tenant: TenantId) -> Result<u64, StorageError> {
        let tx = self.begin("queue a tenant").await?;
        graph::lock(&tx, tenant).await?;
        let entities = enqueue_tenant(&tx, tenant, Lane::Bulk).await?;
        tx.commit().await?;
        Ok(entities)
    }
}
