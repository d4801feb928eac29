//! Leases of worker processes: one row each, so that renewing costs the same however much a worker holds.
//!
//! Items are freed in transactions of [`CHUNK`], and the row goes with the last, so that a crash in between strands none.

use async_trait::async_trait;
use greenroom_model::EntityUid;
use greenroom_storage::{StorageError, WORKER_LEASE_MS, WorkerId, Workers};
use rusqlite::params;

use crate::SqliteStorage;
use crate::damage::{tenant_id, uid, value};
use crate::statement;
use crate::work::{Account, free, read_lane};
use crate::writer::WriteTx;

/// Items freed per transaction (DESIGN §7).
const CHUNK: usize = 500;

#[async_trait]
impl Workers for SqliteStorage {
    async fn renew_lease(&self, worker: &WorkerId) -> Result<(), StorageError> {
        let worker = worker.clone();
        self.write("renew a lease", move |tx| {
            let expires_at = tx.now_ms() + WORKER_LEASE_MS;
            tx.run(
                "INSERT INTO workers (worker_id, expires_at) VALUES (?1, ?2)
                 ON CONFLICT (worker_id) DO UPDATE SET expires_at = excluded.expires_at",
                params![worker.0, expires_at],
            )?;
            Ok(())
        })
        .await
    }

    async fn expire_worker(&self, worker: &WorkerId) -> Result<u64, StorageError> {
        let mut total = 0;
        loop {
            let worker = worker.clone();
            let freed = self
                .write("expire a worker", move |tx| free_chunk(tx, &worker))
                .await?;
            total += freed as u64;
            if freed < CHUNK {
                return Ok(total);
            }
        }
    }

    async fn release_expired(&self) -> Result<u64, StorageError> {
        const OPERATION: &str = "release expired workers";
        let now = self.now();
        let expired = self
            .read(OPERATION, move |conn| {
                statement::all(
                    conn,
                    "SELECT worker_id FROM workers WHERE expires_at <= ?1",
                    params![now.0],
                    |row| value(row, 0, "workers.worker_id").map(WorkerId),
                )
            })
            .await?;
        let mut total = 0;
        for worker in expired {
            loop {
                let worker = worker.clone();
                let freed = self
                    .write(OPERATION, move |tx| {
                        // It may have renewed since we looked.
                        if lease_is_over(tx, &worker)? {
                            free_chunk(tx, &worker)
                        } else {
                            Ok(0)
                        }
                    })
                    .await?;
                total += freed as u64;
                if freed < CHUNK {
                    break;
                }
            }
        }
        Ok(total)
    }
}

fn lease_is_over(tx: &WriteTx<'_>, worker: &WorkerId) -> rusqlite::Result<bool> {
    let over = statement::one(
        tx,
        "SELECT expires_at <= ?2 FROM workers WHERE worker_id = ?1",
        params![worker.0, tx.now_ms()],
        |row| value(row, 0, "workers.expires_at"),
    )?;
    Ok(over.unwrap_or(false))
}

/// Frees up to [`CHUNK`] items; with fewer, the lease goes too.
fn free_chunk(tx: &mut WriteTx<'_>, worker: &WorkerId) -> rusqlite::Result<usize> {
    let items = statement::all(
        tx,
        "SELECT tenant_id, entity_id, lane, charged_us FROM work WHERE worker_id = ?1 LIMIT ?2",
        params![worker.0, CHUNK as i64],
        |row| {
            Ok((
                tenant_id(row, 0, "work.tenant_id")?,
                uid(row, 1, "work.entity_id")?,
                read_lane(row, 2, "work.lane")?,
                value::<i64>(row, 3, "work.charged_us")?,
            ))
        },
    )?;
    let mut account = Account::default();
    for (tenant, uid, lane, charged_us) in &items {
        let uid: &EntityUid = uid;
        free(tx, *tenant, uid, *lane)?;
        account.returned(*tenant, *lane, *charged_us);
    }
    account.settle(tx)?;
    if items.len() < CHUNK {
        tx.run(
            "DELETE FROM workers WHERE worker_id = ?1",
            params![worker.0],
        )?;
    }
    Ok(items.len())
}
