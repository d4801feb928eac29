//! Probing, watching for commits, and the sweep.

use std::time::Duration;

use async_trait::async_trait;
use greenroom_model::Timestamp;
use greenroom_storage::{Maintenance, StorageError, StorageFigures};

use crate::busy::wait_for_others;
use crate::damage::storage_error;
use crate::sqlite_storage::SqliteStorage;
use crate::writer::WriteTx;

/// How long a checkpoint waits for readers, in which it holds other writers up.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(100);

#[async_trait]
impl Maintenance for SqliteStorage {
    /// That of the machine, which all processes of the file are on.
    fn time(&self) -> Timestamp {
        self.now()
    }

    async fn ping(&self) -> Result<(), StorageError> {
        self.read("ping", |conn| {
            conn.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM tenants LIMIT 1)")?
                .query_row([], |_| Ok(()))
        })
        .await
    }

    /// Also changes with this process's own commits: the connection asked is none that writes.
    async fn data_version(&self) -> Result<u64, StorageError> {
        self.commits_seen()
            .map_err(|error| storage_error("read the data version", error))
    }

    async fn sweep(&self) -> Result<u64, StorageError> {
        let rows = self.sweep_imports().await?
            + self.sweep_deleted_tenants().await?
            + self.sweep_changes().await?
            + self.sweep_by_age().await?
            + self.sweep_replaced_blobs().await?
            + self.sweep_staged_blobs().await?
            + self.sweep_unnamed_blobs().await?
            + self.sweep_staged_mutations().await?
            + self.sweep_read_bodies().await?;
        self.truncate_wal().await?;
        Ok(rows)
    }

    async fn figures(&self) -> Result<StorageFigures, StorageError> {
        self.look().await
    }

    fn failures(&self) -> u64 {
        self.failed()
    }
}

impl SqliteStorage {
    /// Runs a bounded step in transactions of its own until it removes nothing more; answers the number of rows.
    pub(crate) async fn repeat<F>(
        &self,
        operation: &'static str,
        step: F,
    ) -> Result<u64, StorageError>
    where
        F: Fn(&mut WriteTx<'_>) -> rusqlite::Result<usize> + Clone + Send + 'static,
    {
        let mut rows = 0;
        loop {
            let removed = self.write(operation, step.clone()).await?;
            if removed == 0 {
                return Ok(rows);
            }
            rows += removed as u64;
        }
    }

    /// Moves the WAL into the file and cuts it to nothing, unless a reader is in the way; then the next one does.
    async fn truncate_wal(&self) -> Result<(), StorageError> {
        self.on_writer("checkpoint", |conn| {
            let result = conn
                .busy_timeout(CHECKPOINT_WAIT)
                .and_then(|()| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
            let restored = wait_for_others(conn);
            (result.and(restored), false)
        })
        .await
    }
}
