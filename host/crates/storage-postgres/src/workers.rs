//! Leases of worker processes: one row each, so that renewing costs the same however much a worker holds.
//!
//! Items are freed tenant by tenant, in transactions of [`CHUNK`], because they are written under their tenant's graph. The
//! row goes last, and only while nothing is held, so that a crash in between strands none.

use async_trait::async_trait;
use greenroom_model::TenantId;
use greenroom_storage::{StorageError, WORKER_LEASE_MS, WorkerId, Workers};

use crate::damage::{tenant_id, text, value};
use crate::graph;
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::{free, held_by};

/// Items freed per transaction (DESIGN §7).
const CHUNK: usize = 500;

#[async_trait]
impl Workers for PostgresStorage {
    async fn renew_lease(&self, worker: &WorkerId) -> Result<(), StorageError> {
        let tx = self.begin("renew a lease").await?;
        tx.run(
            "INSERT INTO workers (worker_id, expires_at) VALUES ($1, $2)
             ON CONFLICT (worker_id) DO UPDATE SET expires_at = excluded.expires_at",
            &[&Text(&worker.0), &(tx.now_ms() + WORKER_LEASE_MS)],
        )
        .await?;
        tx.commit().await
    }

    async fn expire_worker(&self, worker: &WorkerId) -> Result<u64, StorageError> {
        free_all(self, "expire a worker", worker, Ends::Now).await
    }

    async fn release_expired(&self) -> Result<u64, StorageError> {
        const OPERATION: &str = "release expired workers";
        let tx = self.begin(OPERATION).await?;
        let expired = tx
            .all(
                "SELECT worker_id FROM workers WHERE expires_at <= $1",
                &[&tx.now_ms()],
                |row| text(row, 0, "workers.worker_id").map(WorkerId),
            )
            .await?;
        tx.roll_back().await?;
        let mut total = 0;
        for worker in expired {
            total += free_all(self, OPERATION, &worker, Ends::IfOver).await?;
        }
        Ok(total)
    }
}

/// When a lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// Whatever its time: the process is known to be gone.
    Now,
    /// Only if its time is over: it may have renewed since we looked.
    IfOver,
}

/// Frees everything a worker holds, then ends its lease; answers how many items were freed.
async fn free_all(
    storage: &PostgresStorage,
    operation: &'static str,
    worker: &WorkerId,
    ends: Ends,
) -> Result<u64, StorageError> {
    let mut total = 0;
    loop {
        let tx = storage.begin(operation).await?;
        if ends == Ends::IfOver && !lease_is_over(&tx, worker).await? {
            tx.roll_back().await?;
            return Ok(total);
        }
        let Some(tenant) = holds_of(&tx, worker).await? else {
            end(&tx, worker, ends).await?;
            tx.commit().await?;
            return Ok(total);
        };
        graph::lock(&tx, tenant).await?;
        let items = held_by(&tx, tenant, worker, CHUNK as i64).await?;
        free(&tx, tenant, &items).await?;
        tx.commit().await?;
        total += items.len() as u64;
    }
}

async fn lease_is_over(tx: &Transaction, worker: &WorkerId) -> Result<bool, StorageError> {
    let over = tx
        .one(
            "SELECT expires_at <= $2 FROM workers WHERE worker_id = $1",
            &[&Text(&worker.0), &tx.now_ms()],
            |row| value(row, 0, "workers.expires_at"),
        )
        .await?;
    Ok(over.unwrap_or(false))
}

/// A tenant of which the worker holds something.
async fn holds_of(tx: &Transaction, worker: &WorkerId) -> Result<Option<TenantId>, StorageError> {
    tx.one(
        "SELECT tenant_id FROM work WHERE worker_id = $1 LIMIT 1",
        &[&Text(&worker.0)],
        |row| tenant_id(row, 0, "work.tenant_id"),
    )
    .await
}

/// Ends a lease unless a claim has renewed it, or holds something, since we looked. A claim of the same worker that is
/// under way has written the row, so it is waited for before its items are looked for; one that comes later waits for us and
/// makes the row anew.
async fn end(tx: &Transaction, worker: &WorkerId, ends: Ends) -> Result<(), StorageError> {
    tx.rows(
        "SELECT 1 FROM workers WHERE worker_id = $1 FOR UPDATE",
        &[&Text(&worker.0)],
    )
    .await?;
    tx.run(
        "DELETE FROM workers WHERE worker_id = $1 AND ($2 OR expires_at <= $3)
             AND NOT EXISTS (SELECT 1 FROM work WHERE work.worker_id = $1)",
        &[&Text(&worker.0), &(ends == Ends::Now), &tx.now_ms()],
    )
    .await?;
    Ok(())
}
