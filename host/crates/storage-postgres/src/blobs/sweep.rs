//! Removing bytes that no blob points at, and blobs that no revision names, in short transactions.
//!
//! Any process sweeps at any time; a listed version is removed by whoever has its row, and others pass it by.

use greenroom_storage::StorageError;

use crate::blobs::{read_blob, remove};
use crate::damage::{tenant_id, text};
use crate::graph;
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;
use crate::transaction::Transaction;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl PostgresStorage {
    /// Removes the chunks of versions that were replaced; answers the number of rows removed.
    pub(crate) async fn sweep_replaced_blobs(&self) -> Result<u64, StorageError> {
        self.without_record()
            .remove_listed("remove replaced blobs", |_| 0)
            .await
    }

    /// Removes the chunks of versions that nobody has finished writing for an hour.
    pub(crate) async fn sweep_staged_blobs(&self) -> Result<u64, StorageError> {
        self.remove_listed("remove unfinished blobs", |now| now.saturating_sub(HOUR_MS))
            .await
    }

    async fn remove_listed(
        &self,
        operation: &'static str,
        listed_before: impl Fn(i64) -> i64,
    ) -> Result<u64, StorageError> {
        let mut rows = 0;
        loop {
            let tx = self.begin(operation).await?;
            let removed = remove_some(&tx, listed_before(tx.now_ms())).await?;
            tx.commit().await?;
            if removed == 0 {
                return Ok(rows);
            }
            rows += removed;
        }
    }

    /// Removes blobs that no revision of their tenant names. A day old, because an upload stores its blob first.
    pub(crate) async fn sweep_unnamed_blobs(&self) -> Result<u64, StorageError> {
        const OPERATION: &str = "remove blobs without a revision";
        let tx = self.begin(OPERATION).await?;
        let created_before = tx.now_ms().saturating_sub(DAY_MS);
        let tenants = tx
            .all(
                "SELECT DISTINCT b.tenant_id FROM blobs b WHERE b.created_at < $1
                   AND NOT EXISTS (SELECT 1 FROM processor_revisions r
                                   WHERE r.tenant_id = b.tenant_id AND r.digest = b.digest)",
                &[&created_before],
                |row| tenant_id(row, 0, "blobs.tenant_id"),
            )
            .await?;
        tx.commit().await?;
        let mut rows = 0;
        for tenant in tenants {
            let tx = self.begin(OPERATION).await?;
            graph::lock(&tx, tenant).await?;
            let unnamed = tx
                .all(
                    "SELECT digest, engine FROM blobs b WHERE tenant_id = $1 AND created_at < $2
                       AND NOT EXISTS (SELECT 1 FROM processor_revisions r
                                       WHERE r.tenant_id = b.tenant_id AND r.digest = b.digest)
                     LIMIT 500",
                    &[&tenant.0, &created_before],
                    read_blob,
                )
                .await?;
            remove(&tx, tenant, &unnamed).await?;
            tx.commit().await?;
            rows += unnamed.len() as u64;
        }
        Ok(rows)
    }
}

/// Removes some chunks of a version listed before `listed_before`, or its listing after the last.
async fn remove_some(tx: &Transaction, listed_before: i64) -> Result<u64, StorageError> {
    let found = tx
        .one(
            "SELECT tenant_id, version FROM blob_staging WHERE staged_at < $1
             ORDER BY staged_at LIMIT 1 FOR UPDATE SKIP LOCKED",
            &[&listed_before],
            |row| {
                Ok((
                    tenant_id(row, 0, "blob_staging.tenant_id")?,
                    text(row, 1, "blob_staging.version")?,
                ))
            },
        )
        .await?;
    let Some((tenant, version)) = found else {
        return Ok(0);
    };
    let rows = tx
        .run(
            "DELETE FROM blob_chunks WHERE (tenant_id, version, number) IN
               (SELECT tenant_id, version, number FROM blob_chunks
                WHERE tenant_id = $1 AND version = $2 ORDER BY number LIMIT 50)",
            &[&tenant.0, &Text(&version)],
        )
        .await?;
    if rows > 0 {
        return Ok(rows);
    }
    tx.run(
        "DELETE FROM blob_staging WHERE tenant_id = $1 AND version = $2",
        &[&tenant.0, &Text(&version)],
    )
    .await
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use greenroom_model::Digest;
    use greenroom_storage::conformance::tenant;
    use greenroom_storage::{Blob, BlobKind, BlobRepository, Maintenance};

    use crate::blobs::stage;
    use crate::testing::run as on_new_database;

    fn component() -> Blob {
        Blob {
            kind: BlobKind::Component,
            digest: Digest::of("x"),
        }
    }

    #[test]
    fn an_upload_that_was_cut_off_is_never_seen_and_swept_after_an_hour() {
        on_new_database(async |storage, clock| {
            let tenant = tenant(storage, "a").await;
            let tx = storage.begin("stage").await.unwrap();
            stage(&tx, tenant, "v", 0, &[0; 600_000]).await.unwrap();
            tx.commit().await.unwrap();
            let found = storage.get_blob(tenant, &component()).await.unwrap();
            assert!(found.is_none());
            assert_eq!(storage.sweep().await.unwrap(), 0);
            clock.advance(3_600_001);
            assert_eq!(storage.sweep().await.unwrap(), 4);
            assert_eq!(storage.sweep().await.unwrap(), 0);
        });
    }

    #[test]
    fn of_a_blob_that_is_stored_by_several_at_once_one_is_left_whole() {
        on_new_database(async |storage, clock| {
            let tenant = tenant(storage, "a").await;
            let put = |byte: u8| async move {
                let bytes = Bytes::from(vec![byte; 300_000]);
                storage.put_blob(tenant, &component(), bytes).await.unwrap();
            };
            tokio::join!(put(1), put(2), put(3), put(4));
            let found = storage.get_blob(tenant, &component()).await.unwrap();
            assert_eq!(found.unwrap().len(), 300_000);
            clock.advance(3_600_001);
            storage.sweep_replaced_blobs().await.unwrap();
            storage.sweep_staged_blobs().await.unwrap();
            let tx = storage.begin("count").await.unwrap();
            let chunks = tx.number("SELECT count(*) FROM blob_chunks", &[]).await;
            assert_eq!(chunks.unwrap(), 2);
            tx.roll_back().await.unwrap();
        });
    }
}
