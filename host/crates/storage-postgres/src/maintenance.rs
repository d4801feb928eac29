//! Probing, watching for commits, and the sweep.

use async_trait::async_trait;
use greenroom_model::Timestamp;
use greenroom_storage::{Maintenance, StorageError, StorageFigures};

use crate::damage::value;
use crate::postgres_storage::PostgresStorage;
use crate::{moving, retention, tenant_deletion};

#[async_trait]
impl Maintenance for PostgresStorage {
    fn time(&self) -> Timestamp {
        self.known_time()
    }

    async fn ping(&self) -> Result<(), StorageError> {
        self.read_all("ping", "SELECT 1 FROM tenants LIMIT 1", &[], |_| Ok(()))
            .await?;
        Ok(())
    }

    /// Of what is visible now: the newest transaction that is over, and those before it that are not. Its end alone would not
    /// tell of one that took long and ended after a younger one. Commits of other databases of the same server change it
    /// too, which costs a follower a look.
    async fn data_version(&self) -> Result<u64, StorageError> {
        let version = self
            .read_one(
                "read the data version",
                "SELECT hashtextextended(pg_current_snapshot()::text, 0)",
                &[],
                |row| value::<i64>(row, 0, "pg_current_snapshot"),
            )
            .await?;
        Ok(version.unwrap_or_default().cast_unsigned())
    }

    async fn sweep(&self) -> Result<u64, StorageError> {
        Ok(moving::sweep(self).await?
            + tenant_deletion::sweep(self).await?
            + retention::sweep_changes(self).await?
            + retention::sweep_by_age(self).await?
            + self.sweep_replaced_blobs().await?
            + self.sweep_staged_blobs().await?
            + self.sweep_unnamed_blobs().await?
            + self.sweep_staged_mutations().await?
            + retention::sweep_read_bodies(self).await?)
    }

    async fn figures(&self) -> Result<StorageFigures, StorageError> {
        self.look().await
    }

    fn failures(&self) -> u64 {
        self.failed()
    }
}
