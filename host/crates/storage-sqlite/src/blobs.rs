//! Blobs: component and artifact bytes in chunks.
//!
//! The chunks of a *version* are written in short transactions while the version is listed in `blob_staging`; the last
//! transaction points the blob at it and lists the version it replaces instead. So a blob is there whole or not at all,
//! and whatever a crash leaves behind is listed for the sweep. Bytes that no longer have the digest they were written
//! with are damage.

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_model::{Digest, TenantId};
use greenroom_storage::{Blob, BlobKind, BlobRepository, StorageError, UploadId};
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::damage::{damaged, digest, stored, unsigned, value};
use crate::sqlite_storage::SqliteStorage;
use crate::statement;
use crate::writer::WriteTx;

/// Bytes of a chunk (DESIGN §7).
const CHUNK: usize = 256 << 10;
/// Chunks of one transaction: 2 MiB, some 15 ms of the write lock.
const CHUNKS_AT_ONCE: usize = 8;

#[async_trait]
impl BlobRepository for SqliteStorage {
    async fn put_blob(
        &self,
        tenant: TenantId,
        blob: &Blob,
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        const OPERATION: &str = "store a blob";
        let version = Uuid::new_v4().to_string();
        let mut number = 0;
        for start in (0..bytes.len()).step_by(CHUNK * CHUNKS_AT_ONCE) {
            let part = bytes.slice(start..bytes.len().min(start + CHUNK * CHUNKS_AT_ONCE));
            let first = number;
            number += part.len().div_ceil(CHUNK);
            let version = version.clone();
            self.write(OPERATION, move |tx| {
                stage(tx, tenant, &version, first, &part)
            })
            .await?;
        }
        let blob = blob.clone();
        self.write(OPERATION, move |tx| {
            let content = (bytes.len() as u64, Digest::of(&bytes));
            publish(tx, tenant, &blob, &version, content)
        })
        .await?;
        self.sweep_replaced_blobs().await?;
        Ok(())
    }

    async fn stage_upload(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        number: u32,
        piece: Bytes,
    ) -> Result<(), StorageError> {
        let upload = upload.clone();
        self.write("store a piece of an upload", move |tx| {
            if piece.len() > CHUNK {
                return Err(damaged(
                    "blob_chunks.data",
                    "a piece is larger than a chunk",
                ));
            }
            stage(tx, tenant, &upload.0, number as usize, &piece)
        })
        .await
    }

    async fn drop_upload(&self, tenant: TenantId, upload: &UploadId) -> Result<(), StorageError> {
        let upload = upload.clone();
        self.write("drop an upload", move |tx| drop_upload(tx, tenant, &upload))
            .await?;
        self.sweep_replaced_blobs().await?;
        Ok(())
    }

    async fn get_blob(&self, tenant: TenantId, blob: &Blob) -> Result<Option<Bytes>, StorageError> {
        let blob = blob.clone();
        self.read("read a blob", move |conn| get(conn, tenant, &blob))
            .await
    }

    async fn delete_blob(&self, tenant: TenantId, blob: &Blob) -> Result<(), StorageError> {
        let blob = blob.clone();
        self.write("delete a blob", move |tx| {
            unpublish(tx, tenant, &blob)?;
            tx.run(
                "DELETE FROM blobs WHERE tenant_id = ?1 AND digest = ?2 AND engine = ?3",
                params![tenant.0, blob.digest.as_bytes(), engine(&blob.kind)],
            )
        })
        .await?;
        self.sweep_replaced_blobs().await?;
        Ok(())
    }
}

impl SqliteStorage {
    /// Removes the chunks of versions that were replaced; answers the number of rows removed.
    pub(crate) async fn sweep_replaced_blobs(&self) -> Result<u64, StorageError> {
        self.without_record()
            .repeat("remove replaced blobs", |tx| remove_unused(tx, 0))
            .await
    }

    /// Removes the chunks of versions that nobody has finished writing for an hour.
    pub(crate) async fn sweep_staged_blobs(&self) -> Result<u64, StorageError> {
        self.repeat("remove unfinished blobs", |tx| {
            let started_before = tx.now_ms().saturating_sub(3_600_000);
            remove_unused(tx, started_before)
        })
        .await
    }

    /// Removes blobs that no revision of their tenant names. A day old, because an upload stores its blob first.
    pub(crate) async fn sweep_unnamed_blobs(&self) -> Result<u64, StorageError> {
        self.repeat("remove blobs without a revision", |tx| {
            let created_before = tx.now_ms().saturating_sub(86_400_000);
            let unnamed = statement::all(
                tx,
                "SELECT tenant_id, digest, engine FROM blobs b WHERE created_at < ?1
                   AND tenant_id IN (SELECT tenant_id FROM tenants)
                   AND NOT EXISTS (SELECT 1 FROM processor_revisions r
                                   WHERE r.tenant_id = b.tenant_id AND r.digest = b.digest)
                 LIMIT 50",
                params![created_before],
                |row| {
                    let engine: String = value(row, 2, "blobs.engine")?;
                    let kind = if engine.is_empty() {
                        BlobKind::Component
                    } else {
                        BlobKind::Artifact(engine)
                    };
                    let digest = digest(row, 1, "blobs.digest")?;
                    Ok((
                        TenantId(value(row, 0, "blobs.tenant_id")?),
                        Blob { kind, digest },
                    ))
                },
            )?;
            for (tenant, blob) in &unnamed {
                unpublish(tx, *tenant, blob)?;
                tx.run(
                    "DELETE FROM blobs WHERE tenant_id = ?1 AND digest = ?2 AND engine = ?3",
                    params![tenant.0, blob.digest.as_bytes(), engine(&blob.kind)],
                )?;
            }
            Ok(unnamed.len())
        })
        .await
    }
}

/// Removes a component's bytes and artifacts at once, unless a revision of the tenant names them.
pub(crate) fn drop_unnamed(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    component: &Digest,
) -> rusqlite::Result<()> {
    let engines: Vec<String> = statement::all(
        tx,
        "SELECT engine FROM blobs b WHERE tenant_id = ?1 AND digest = ?2
           AND NOT EXISTS (SELECT 1 FROM processor_revisions r
                           WHERE r.tenant_id = b.tenant_id AND r.digest = b.digest)",
        params![tenant.0, component.as_bytes()],
        |row| value(row, 0, "blobs.engine"),
    )?;
    for engine in engines {
        let blob = Blob {
            kind: if engine.is_empty() {
                BlobKind::Component
            } else {
                BlobKind::Artifact(engine.clone())
            },
            digest: *component,
        };
        unpublish(tx, tenant, &blob)?;
        tx.run(
            "DELETE FROM blobs WHERE tenant_id = ?1 AND digest = ?2 AND engine = ?3",
            params![tenant.0, component.as_bytes(), engine],
        )?;
    }
    Ok(())
}

fn engine(kind: &BlobKind) -> &str {
    match kind {
        BlobKind::Component => "",
        BlobKind::Artifact(engine) => engine,
    }
}

fn stage(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    version: &str,
    first: usize,
    part: &Bytes,
) -> rusqlite::Result<()> {
    let now = tx.now_ms();
    tx.run(
        "INSERT INTO blob_staging (tenant_id, version, staged_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (tenant_id, version) DO UPDATE SET staged_at = excluded.staged_at",
        params![tenant.0, version, now],
    )?;
    for (index, chunk) in part.chunks(CHUNK).enumerate() {
        tx.run(
            "INSERT INTO blob_chunks (tenant_id, version, number, data) VALUES (?1, ?2, ?3, ?4)",
            params![tenant.0, version, stored((first + index) as u64), chunk],
        )?;
    }
    Ok(())
}

/// Lists an upload's chunks for removal. One whose first piece never came is not listed and has none.
pub(crate) fn drop_upload(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    upload: &UploadId,
) -> rusqlite::Result<()> {
    tx.run(
        "UPDATE blob_staging SET staged_at = -1 WHERE tenant_id = ?1 AND version = ?2",
        params![tenant.0, upload.0],
    )?;
    Ok(())
}

/// Points a blob at the chunks of a version, which hold `content`: their number of bytes and their digest.
pub(crate) fn publish(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    blob: &Blob,
    version: &str,
    content: (u64, Digest),
) -> rusqlite::Result<()> {
    unpublish(tx, tenant, blob)?;
    let now = tx.now_ms();
    tx.run(
        "INSERT OR REPLACE INTO blobs (tenant_id, digest, engine, version, bytes, content_digest, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            tenant.0,
            blob.digest.as_bytes(),
            engine(&blob.kind),
            version,
            stored(content.0),
            content.1.as_bytes(),
            now
        ],
    )?;
    tx.run(
        "DELETE FROM blob_staging WHERE tenant_id = ?1 AND version = ?2",
        params![tenant.0, version],
    )?;
    Ok(())
}

/// Lists the version a blob points at for removal.
fn unpublish(tx: &mut WriteTx<'_>, tenant: TenantId, blob: &Blob) -> rusqlite::Result<()> {
    tx.run(
        "INSERT INTO blob_staging (tenant_id, version, staged_at)
         SELECT tenant_id, version, -1 FROM blobs WHERE tenant_id = ?1 AND digest = ?2 AND engine = ?3",
        params![tenant.0, blob.digest.as_bytes(), engine(&blob.kind)],
    )?;
    Ok(())
}

/// Removes some chunks of a version listed before `listed_before`, or its listing after the last.
fn remove_unused(tx: &mut WriteTx<'_>, listed_before: i64) -> rusqlite::Result<usize> {
    let found = statement::one(
        tx,
        "SELECT tenant_id, version FROM blob_staging WHERE staged_at < ?1 ORDER BY staged_at LIMIT 1",
        params![listed_before],
        |row| {
            let version: String = value(row, 1, "blob_staging.version")?;
            Ok((value::<i64>(row, 0, "blob_staging.tenant_id")?, version))
        },
    )?;
    let Some((tenant, version)) = found else {
        return Ok(0);
    };
    let rows = tx.run(
        "DELETE FROM blob_chunks WHERE (tenant_id, version, number) IN
           (SELECT tenant_id, version, number FROM blob_chunks WHERE tenant_id = ?1 AND version = ?2 LIMIT 50)",
        params![tenant, version],
    )?;
    if rows > 0 {
        return Ok(rows);
    }
    tx.run(
        "DELETE FROM blob_staging WHERE tenant_id = ?1 AND version = ?2",
        params![tenant, version],
    )
}

fn get(conn: &Connection, tenant: TenantId, blob: &Blob) -> rusqlite::Result<Option<Bytes>> {
    let found = statement::one(
        conn,
        "SELECT version, bytes, content_digest FROM blobs WHERE tenant_id = ?1 AND digest = ?2 AND engine = ?3",
        params![tenant.0, blob.digest.as_bytes(), engine(&blob.kind)],
        |row| {
            let version: String = value(row, 0, "blobs.version")?;
            let size = unsigned(row, 1, "blobs.bytes")?;
            Ok((version, size, digest(row, 2, "blobs.content_digest")?))
        },
    )?;
    let Some((version, size, content_digest)) = found else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let mut statement = conn.prepare_cached(
        "SELECT data FROM blob_chunks WHERE tenant_id = ?1 AND version = ?2 ORDER BY number",
    )?;
    let mut rows = statement.query(params![tenant.0, version])?;
    while let Some(row) = rows.next()? {
        let chunk = row
            .get_ref(0)?
            .as_blob()
            .map_err(|error| damaged("blob_chunks.data", error))?;
        bytes.extend_from_slice(chunk);
    }
    if bytes.len() as u64 != size || Digest::of(&bytes) != content_digest {
        return Err(damaged(
            "blob_chunks.data",
            "the bytes do not have their digest",
        ));
    }
    Ok(Some(Bytes::from(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_storage::Maintenance;
    use greenroom_storage::conformance::tenant;

    use crate::sqlite_storage::tests::{block_on, new_storage};

    #[test]
    fn an_upload_that_was_cut_off_is_never_seen_and_swept_after_an_hour() {
        let (storage, clock, _directory) = new_storage();
        block_on(async {
            let tenant = tenant(&storage, "a").await;
            let blob = Blob {
                kind: BlobKind::Component,
                digest: Digest::of("x"),
            };
            let part = Bytes::from(vec![0; 600_000]);
            storage
                .write("stage", move |tx| stage(tx, tenant, "v", 0, &part))
                .await
                .unwrap();
            assert!(storage.get_blob(tenant, &blob).await.unwrap().is_none());
            assert_eq!(storage.sweep().await.unwrap(), 0);
            clock.advance(3_600_001);
            assert_eq!(storage.sweep().await.unwrap(), 4);
            assert_eq!(storage.sweep().await.unwrap(), 0);
        });
    }
}
