//! The work queue: claiming, releasing and queueing (DESIGN §2, §7; design notes P1-P3).
//!
//! Two levels: `tenant_lanes` says who is next, `work` what that tenant's oldest due items are. A lane is only ever
//! *promoted* to ready by a claim, so whoever queues needs to know no time and takes no part in scheduling: it leaves a
//! row in `work` and the earliest due time at the lane, in its own transaction.

mod bulk;
mod claim;
mod enqueue;
mod item;
mod lanes;
#[cfg(test)]
mod plans;
mod take;

use async_trait::async_trait;
use greenroom_model::{EntityRef, TenantId, Timestamp};
use greenroom_storage::{
    Claim, Claimed, Lane, Recorded, RunRecord, Slots, StorageError, WorkQueue, WorkerId,
};

use crate::SqliteStorage;
use crate::damage::unsigned;
use crate::entities::uid_of;
use crate::statement;

pub(crate) use bulk::touch_bulk;
pub(crate) use enqueue::{
    enqueue, enqueue_tenant, enqueue_users_of_read, read_lane, requeue_cleared,
};
pub(crate) use item::{Finish, HeldItem, finish, free, held_item};
pub(crate) use lanes::{Account, drop_held};

#[async_trait]
impl WorkQueue for SqliteStorage {
    async fn claim(
        &self,
        worker: &WorkerId,
        limit: u32,
        slots: Slots,
    ) -> Result<Vec<Claimed>, StorageError> {
        const OPERATION: &str = "claim work";
        let now = self.now();
        // A look on a reader first: an idle worker takes no write lock.
        let any = self
            .read(OPERATION, move |conn| lanes::any_ready(conn, now, slots))
            .await?;
        if !any || limit == 0 {
            return Ok(Vec::new());
        }
        let worker = worker.clone();
        self.write_unsynced(OPERATION, move |tx| {
            claim::claim(tx, &worker, limit as usize, slots)
        })
        .await
    }

    async fn release(&self, claims: &[Claim]) -> Result<(), StorageError> {
        let claims = claims.to_vec();
        self.write("release work", move |tx| {
            let mut account = Account::default();
            for claim in &claims {
                if let Some(held) = held_item(tx, claim)? {
                    free(tx, claim.tenant, &claim.uid, held.lane)?;
                    account.returned(claim.tenant, held.lane, held.charged_us);
                }
            }
            account.settle(tx)
        })
        .await
    }

    async fn record(&self, records: Vec<RunRecord>) -> Result<Vec<Recorded>, StorageError> {
        crate::record::record(self, records).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError> {
        self.read("find the next due work", lanes::next_due).await
    }

    async fn queue_depth(&self) -> Result<Vec<(Lane, u64)>, StorageError> {
        self.read("count work", |conn| {
            let mut counts = statement::all(
                conn,
                "SELECT lane, count(*) FROM work WHERE worker_id IS NULL GROUP BY lane ORDER BY lane",
                [],
                |row| Ok((read_lane(row, 0, "work.lane")?, unsigned(row, 1, "work")?)),
            )?;
            bulk::add_unexpanded(conn, &mut counts)?;
            Ok(counts)
        })
        .await
    }

    async fn redrive(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<bool, StorageError> {
        let entity_ref = entity_ref.clone();
        self.write("re-drive an entity", move |tx| {
            let Some(uid) = uid_of(tx, tenant, &entity_ref)? else {
                return Ok(false);
            };
            requeue_cleared(tx, tenant, &uid, Lane::OnRequest)?;
            Ok(true)
        })
        .await
    }

    async fn enqueue_all(&self, tenant: TenantId) -> Result<u64, StorageError> {
        self.write("queue a tenant", move |tx| {
            enqueue_tenant(tx, tenant, Lane::Bulk)
        })
        .await
    }
}
