//! Reads: what was read outside, and when it is looked at again.
//!
//! A body lies in a table of its own, so scheduling never rewrites one. A read that nobody uses is dropped when its time
//! comes, but not before ten minutes have passed: the run that made it may not be recorded yet.

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_model::{Digest, TenantId, Timestamp};
use greenroom_storage::{
    DueRead, ReadKey, ReadRepository, StorageError, StoredOutcome, StoredRead,
};
use rusqlite::{Connection, Row, params};

use crate::damage::{damaged, digest, from_json, stored, tenant_id, timestamp, to_json, value};
use crate::sqlite_storage::SqliteStorage;
use crate::statement;
use crate::tenants::is_alive;
use crate::work::enqueue_users_of_read;
use crate::writer::WriteTx;

/// Bodies above this are not kept; they are fetched again when needed.
const MAX_BODY: usize = 1 << 20;
/// How far a claim puts the next time ahead.
const CLAIM_MS: i64 = 60_000;
/// A run lives no longer (design note P2), so an older read that nobody uses is not going to be used.
const UNUSED_MS: i64 = 600_000;
/// Due reads looked at in one transaction.
const LOOKED_AT: u32 = 500;

#[async_trait]
impl ReadRepository for SqliteStorage {
    async fn find_reads(
        &self,
        tenant: TenantId,
        keys: &[ReadKey],
    ) -> Result<Vec<Option<StoredRead>>, StorageError> {
        let keys = keys.to_vec();
        self.read("find reads", move |conn| {
            keys.iter().map(|key| find(conn, tenant, key)).collect()
        })
        .await
    }

    async fn put_read(&self, tenant: TenantId, read: StoredRead) -> Result<(), StorageError> {
        self.write("store a read", move |tx| put(tx, tenant, &read))
            .await
    }

    async fn claim_due_reads(&self, limit: u32) -> Result<Vec<DueRead>, StorageError> {
        self.write("claim due reads", move |tx| claim(tx, limit as usize))
            .await
    }

    async fn reschedule_read(
        &self,
        tenant: TenantId,
        key: &ReadKey,
        next_due: Timestamp,
    ) -> Result<(), StorageError> {
        let key = key.clone();
        self.write("reschedule a read", move |tx| {
            let now = tx.now_ms();
            tx.run(
                "UPDATE reads SET next_due = ?4
                 WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3 AND next_due > ?5",
                params![tenant.0, key.credential, key.want, next_due.0, now],
            )?;
            Ok(())
        })
        .await
    }
}

/// The digest of the stored outcome; `None` if there is none.
pub(crate) fn stored_digest(
    conn: &Connection,
    tenant: TenantId,
    key: &ReadKey,
) -> rusqlite::Result<Option<Digest>> {
    statement::one(
        conn,
        "SELECT digest FROM reads WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3",
        params![tenant.0, key.credential, key.want],
        |row| digest(row, 0, "reads.digest"),
    )
}

fn put(tx: &mut WriteTx<'_>, tenant: TenantId, read: &StoredRead) -> rusqlite::Result<()> {
    if !is_alive(tx, tenant)? {
        return Ok(());
    }
    let before = stored_digest(tx, tenant, &read.key)?;
    let changed = before != Some(read.digest);
    let (kind, detail) = outcome_columns(&read.outcome)?;
    let now = tx.now_ms();
    tx.run(
        "INSERT INTO reads (tenant_id, credential, want, kind, detail, digest, etag, last_modified, next_due,
             stored_at, used_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)
         ON CONFLICT (tenant_id, credential, want) DO UPDATE SET kind = excluded.kind, detail = excluded.detail,
             digest = excluded.digest, etag = excluded.etag, last_modified = excluded.last_modified,
             next_due = iif(next_due <= excluded.stored_at, next_due, excluded.next_due),
             stored_at = excluded.stored_at, used_at = excluded.used_at",
        params![
            tenant.0,
            read.key.credential,
            read.key.want,
            kind,
            detail,
            read.digest.as_bytes(),
            read.etag,
            read.last_modified,
            read.next_due.0,
            now,
        ],
    )?;
    put_body(tx, tenant, read, changed)?;
    if before.is_some() && changed {
        enqueue_users_of_read(tx, tenant, &read.key)?;
    }
    Ok(())
}

/// Bytes with the same digest are the same: they are written only where they are missing, and kept where not given.
fn put_body(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    read: &StoredRead,
    changed: bool,
) -> rusqlite::Result<()> {
    if changed {
        delete_body(tx, tenant, &read.key)?;
    }
    if let StoredOutcome::Document {
        body: Some(body), ..
    } = &read.outcome
        && body.len() <= MAX_BODY
    {
        tx.run(
            "INSERT INTO read_bodies (tenant_id, credential, want, bytes, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (tenant_id, credential, want) DO NOTHING",
            params![
                tenant.0,
                read.key.credential,
                read.key.want,
                stored(body.len() as u64),
                body.as_ref(),
            ],
        )?;
    }
    Ok(())
}

/// Drops a body; the read stays and its bytes are fetched again when needed.
pub(crate) fn delete_body(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    key: &ReadKey,
) -> rusqlite::Result<usize> {
    tx.run(
        "DELETE FROM read_bodies WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3",
        params![tenant.0, key.credential, key.want],
    )
}

fn claim(tx: &mut WriteTx<'_>, limit: usize) -> rusqlite::Result<Vec<DueRead>> {
    let now = tx.now_ms();
    let due = statement::all(
        tx,
        "SELECT tenant_id, credential, want, stored_at FROM reads WHERE next_due <= ?1 ORDER BY next_due LIMIT ?2",
        params![now, LOOKED_AT],
        |row| {
            let key = read_key(row, 1)?;
            let tenant = tenant_id(row, 0, "reads.tenant_id")?;
            Ok((tenant, key, value::<i64>(row, 3, "reads.stored_at")?))
        },
    )?;
    let mut claimed = Vec::new();
    for (tenant, key, stored_at) in due {
        if claimed.len() == limit {
            break;
        }
        if !is_used(tx, tenant, &key)? {
            if now.saturating_sub(stored_at) > UNUSED_MS {
                drop_read(tx, tenant, &key)?;
            } else {
                set_next_due(tx, tenant, &key, now + CLAIM_MS)?;
            }
            continue;
        }
        tx.run(
            "UPDATE reads SET next_due = ?4, used_at = ?5 WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3",
            params![tenant.0, key.credential, key.want, now + CLAIM_MS, now],
        )?;
        claimed.extend(find_without_body(tx, tenant, &key)?.map(|read| DueRead { tenant, read }));
    }
    Ok(claimed)
}

fn is_used(conn: &Connection, tenant: TenantId, key: &ReadKey) -> rusqlite::Result<bool> {
    let user = statement::one(
        conn,
        "SELECT 1 FROM read_uses WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3 LIMIT 1",
        params![tenant.0, key.credential, key.want],
        |_| Ok(()),
    )?;
    Ok(user.is_some())
}

fn drop_read(tx: &mut WriteTx<'_>, tenant: TenantId, key: &ReadKey) -> rusqlite::Result<()> {
    delete_body(tx, tenant, key)?;
    tx.run(
        "DELETE FROM reads WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3",
        params![tenant.0, key.credential, key.want],
    )?;
    Ok(())
}

fn set_next_due(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    key: &ReadKey,
    next_due: i64,
) -> rusqlite::Result<()> {
    tx.run(
        "UPDATE reads SET next_due = ?4 WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3",
        params![tenant.0, key.credential, key.want, next_due],
    )?;
    Ok(())
}

fn find(
    conn: &Connection,
    tenant: TenantId,
    key: &ReadKey,
) -> rusqlite::Result<Option<StoredRead>> {
    let Some(mut read) = find_without_body(conn, tenant, key)? else {
        return Ok(None);
    };
    if let StoredOutcome::Document { body, .. } = &mut read.outcome {
        *body = statement::one(
            conn,
            "SELECT body FROM read_bodies WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3",
            params![tenant.0, key.credential, key.want],
            |row| value::<Vec<u8>>(row, 0, "read_bodies.body").map(Bytes::from),
        )?;
    }
    Ok(Some(read))
}

fn find_without_body(
    conn: &Connection,
    tenant: TenantId,
    key: &ReadKey,
) -> rusqlite::Result<Option<StoredRead>> {
    statement::one(
        conn,
        "SELECT credential, want, kind, detail, digest, etag, last_modified, next_due FROM reads
         WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3",
        params![tenant.0, key.credential, key.want],
        read_stored,
    )
}

fn read_stored(row: &Row<'_>) -> rusqlite::Result<StoredRead> {
    let kind: String = value(row, 2, "reads.kind")?;
    let detail: String = value(row, 3, "reads.detail")?;
    Ok(StoredRead {
        key: read_key(row, 0)?,
        outcome: match kind.as_str() {
            "document" => StoredOutcome::Document {
                body: None,
                final_url: detail,
            },
            "listing" => StoredOutcome::Listing(from_json(&detail, "reads.detail")?),
            "not-found" => StoredOutcome::NotFound,
            "refused" => StoredOutcome::Refused(detail),
            other => return Err(damaged("reads.kind", format!("`{other}` is no kind"))),
        },
        digest: digest(row, 4, "reads.digest")?,
        etag: value(row, 5, "reads.etag")?,
        last_modified: value(row, 6, "reads.last_modified")?,
        next_due: timestamp(row, 7, "reads.next_due")?,
    })
}

/// A key in two columns, the first of them at `index`.
fn read_key(row: &Row<'_>, index: usize) -> rusqlite::Result<ReadKey> {
    Ok(ReadKey {
        credential: value(row, index, "reads.credential")?,
        want: value(row, index + 1, "reads.want")?,
    })
}

fn outcome_columns(outcome: &StoredOutcome) -> rusqlite::Result<(&'static str, String)> {
    Ok(match outcome {
        StoredOutcome::Document { final_url, .. } => ("document", final_url.clone()),
        StoredOutcome::Listing(matches) => ("listing", to_json(matches)?),
        StoredOutcome::NotFound => ("not-found", String::new()),
        StoredOutcome::Refused(reason) => ("refused", reason.clone()),
    })
}
