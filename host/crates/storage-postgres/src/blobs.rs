//! Blobs: component and artifact bytes in chunks.
//!
//! The chunks of a *version* are written in short transactions while the version is listed in `blob_staging`; the last
//! transaction points the blob at it and lists the version it replaces instead. So a blob is there whole or not at all,
//! and whatever a crash leaves behind is listed for the sweep. Bytes that no longer have the digest they were written
//! with are damage. What points a blob at another version holds the tenant's lock, so that no version is replaced unlisted.

mod sweep;

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_model::{Digest, TenantId};
use greenroom_storage::{Blob, BlobKind, BlobRepository, StorageError, UploadId};
use uuid::Uuid;

use crate::damage::{damaged, digest, stored, text, unsigned, value};
use crate::graph;
use crate::postgres_storage::PostgresStorage;
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// Bytes of a chunk (DESIGN §7).
const CHUNK: usize = 256 << 10;
/// Chunks of one transaction: 2 MiB.
const CHUNKS_AT_ONCE: usize = 8;

#[async_trait]
impl BlobRepository for PostgresStorage {
    async fn put_blob(
        &self,
        tenant: TenantId,
        blob: &Blob,
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        const OPERATION: &str = "store a blob";
        let version = Uuid::new_v4().to_string();
        let mut first = 0;
        for part in bytes.chunks(CHUNK * CHUNKS_AT_ONCE) {
            let tx = self.begin(OPERATION).await?;
            stage(&tx, tenant, &version, first, part).await?;
            tx.commit().await?;
            first += part.len().div_ceil(CHUNK);
        }
        let content = (bytes.len() as u64, Digest::of(&bytes));
        let tx = self.begin(OPERATION).await?;
        graph::lock(&tx, tenant).await?;
        publish(&tx, tenant, blob, &version, content).await?;
        tx.commit().await?;
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
        if piece.len() > CHUNK {
            return Err(damaged(
                "blob_chunks.data",
                "a piece is larger than a chunk",
            ));
        }
        let tx = self.begin("store a piece of an upload").await?;
        stage(&tx, tenant, &upload.0, number as usize, &piece).await?;
        tx.commit().await
    }

    async fn drop_upload(&self, tenant: TenantId, upload: &UploadId) -> Result<(), StorageError> {
        let tx = self.begin("drop an upload").await?;
        drop_upload(&tx, tenant, upload).await?;
        tx.commit().await?;
        self.sweep_replaced_blobs().await?;
        Ok(())
    }

    async fn get_blob(&self, tenant: TenantId, blob: &Blob) -> Result<Option<Bytes>, StorageError> {
        // One state of both tables: a version that is replaced meanwhile is still whole in it.
        let tx = self.snapshot("read a blob").await?;
        let bytes = get(&tx, tenant, blob).await?;
        tx.commit().await?;
        Ok(bytes)
    }

    async fn delete_blob(&self, tenant: TenantId, blob: &Blob) -> Result<(), StorageError> {
        let tx = self.begin("delete a blob").await?;
        graph::lock(&tx, tenant).await?;
        remove(&tx, tenant, std::slice::from_ref(blob)).await?;
        tx.commit().await?;
        self.sweep_replaced_blobs().await?;
        Ok(())
    }
}

/// Removes the bytes and artifacts of components at once, unless a revision of the tenant names them.
pub(crate) async fn drop_unnamed(
    tx: &Transaction,
    tenant: TenantId,
    components: &[&Digest],
) -> Result<(), StorageError> {
    let digests: Vec<&[u8]> = components
        .iter()
        .map(|digest| digest.as_bytes().as_slice())
        .collect();
    let unnamed = tx
        .all(
            "SELECT digest, engine FROM blobs b WHERE tenant_id = $1 AND digest = ANY ($2::bytea[])
               AND NOT EXISTS (SELECT 1 FROM processor_revisions r
                               WHERE r.tenant_id = b.tenant_id AND r.digest = b.digest)",
            &[&tenant.0, &digests],
            read_blob,
        )
        .await?;
    remove(tx, tenant, &unnamed).await
}

fn engine(kind: &BlobKind) -> &str {
    match kind {
        BlobKind::Component => "",
        BlobKind::Artifact(engine) => engine,
    }
}

/// A blob's identity: digest and engine.
fn read_blob(row: &tokio_postgres::Row) -> Result<Blob, StorageError> {
    let engine = text(row, 1, "blobs.engine")?;
    Ok(Blob {
        kind: if engine.is_empty() {
            BlobKind::Component
        } else {
            BlobKind::Artifact(engine)
        },
        digest: digest(row, 0, "blobs.digest")?,
    })
}

async fn stage(
    tx: &Transaction,
    tenant: TenantId,
    version: &str,
    first: usize,
    part: &[u8],
) -> Result<(), StorageError> {
    tx.run(
        "INSERT INTO blob_staging (tenant_id, version, staged_at) VALUES ($1, $2, $3)
         ON CONFLICT (tenant_id, version) DO UPDATE SET staged_at = excluded.staged_at",
        &[&tenant.0, &Text(version), &tx.now_ms()],
    )
    .await?;
    let chunks: Vec<&[u8]> = part.chunks(CHUNK).collect();
    tx.run(
        "INSERT INTO blob_chunks (tenant_id, version, number, data)
         SELECT $1, $2, $3::bigint + c.place - 1, c.data
         FROM unnest($4::bytea[]) WITH ORDINALITY AS c (data, place)",
        &[&tenant.0, &Text(version), &stored(first as u64), &chunks],
    )
    .await?;
    Ok(())
}

/// Lists an upload's chunks for removal. One whose first piece never came is not listed and has none.
pub(crate) async fn drop_upload(
    tx: &Transaction,
    tenant: TenantId,
    upload: &UploadId,
) -> Result<(), StorageError> {
    tx.run(
        "UPDATE blob_staging SET staged_at = -1 WHERE tenant_id = $1 AND version = $2",
        &[&tenant.0, &Text(&upload.0)],
    )
    .await?;
    Ok(())
}

/// Points a blob at the chunks of a version, which hold `content`: their number of bytes and their digest.
pub(crate) async fn publish(
    tx: &Transaction,
    tenant: TenantId,
    blob: &Blob,
    version: &str,
    content: (u64, Digest),
) -> Result<(), StorageError> {
    list_replaced(tx, tenant, std::slice::from_ref(blob)).await?;
    tx.run(
        "INSERT INTO blobs (tenant_id, digest, engine, version, bytes, content_digest, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant_id, digest, engine) DO UPDATE SET version = excluded.version,
             bytes = excluded.bytes, content_digest = excluded.content_digest, created_at = excluded.created_at",
        &[
            &tenant.0,
            &blob.digest.as_bytes().as_slice(),
            &Text(engine(&blob.kind)),
            &Text(version),
            &stored(content.0),
            &content.1.as_bytes().as_slice(),
            &tx.now_ms(),
        ],
    )
    .await?;
    tx.run(
        "DELETE FROM blob_staging WHERE tenant_id = $1 AND version = $2",
        &[&tenant.0, &Text(version)],
    )
    .await?;
    Ok(())
}

/// Removes blobs, and lists their versions for removal. Silent where there is none.
async fn remove(tx: &Transaction, tenant: TenantId, blobs: &[Blob]) -> Result<(), StorageError> {
    if blobs.is_empty() {
        return Ok(());
    }
    list_replaced(tx, tenant, blobs).await?;
    let (digests, engines) = keys(blobs);
    tx.run(
        "DELETE FROM blobs b USING unnest($2::bytea[], $3::text[]) AS k (digest, engine)
         WHERE b.tenant_id = $1 AND b.digest = k.digest AND b.engine = k.engine",
        &[&tenant.0, &digests, &engines],
    )
    .await?;
    Ok(())
}

/// Lists the versions that blobs point at for removal.
async fn list_replaced(
    tx: &Transaction,
    tenant: TenantId,
    blobs: &[Blob],
) -> Result<(), StorageError> {
    let (digests, engines) = keys(blobs);
    tx.run(
        "INSERT INTO blob_staging (tenant_id, version, staged_at)
         SELECT b.tenant_id, b.version, -1
         FROM unnest($2::bytea[], $3::text[]) AS k (digest, engine)
         JOIN blobs b ON b.tenant_id = $1 AND b.digest = k.digest AND b.engine = k.engine",
        &[&tenant.0, &digests, &engines],
    )
    .await?;
    Ok(())
}

/// The parameters that name blobs.
fn keys(blobs: &[Blob]) -> (Vec<&[u8]>, Vec<Text<'_>>) {
    (
        blobs
            .iter()
            .map(|blob| blob.digest.as_bytes().as_slice())
            .collect(),
        texts(blobs.iter().map(|blob| engine(&blob.kind))),
    )
}

async fn get(
    tx: &Transaction,
    tenant: TenantId,
    blob: &Blob,
) -> Result<Option<Bytes>, StorageError> {
    let found = tx
        .one(
            "SELECT version, bytes, content_digest FROM blobs
             WHERE tenant_id = $1 AND digest = $2 AND engine = $3",
            &[
                &tenant.0,
                &blob.digest.as_bytes().as_slice(),
                &Text(engine(&blob.kind)),
            ],
            |row| {
                let version = text(row, 0, "blobs.version")?;
                let size = unsigned(row, 1, "blobs.bytes")?;
                Ok((version, size, digest(row, 2, "blobs.content_digest")?))
            },
        )
        .await?;
    let Some((version, size, content_digest)) = found else {
        return Ok(None);
    };
    let chunks = tx
        .rows(
            "SELECT data FROM blob_chunks WHERE tenant_id = $1 AND version = $2 ORDER BY number",
            &[&tenant.0, &Text(&version)],
        )
        .await?;
    let mut bytes = Vec::new();
    for chunk in &chunks {
        bytes.extend_from_slice(value(chunk, 0, "blob_chunks.data")?);
    }
    if bytes.len() as u64 != size || Digest::of(&bytes) != content_digest {
        return Err(damaged(
            "blob_chunks.data",
            "the bytes do not have their digest",
        ));
    }
    Ok(Some(Bytes::from(bytes)))
}
