//! Reads: what was read outside, and when it is looked at again.
//!
//! A body lies in a table of its own, so scheduling never rewrites one. A read that nobody uses is dropped when its time
//! comes, but not before ten minutes have passed: the run that made it may not be recorded yet.
//!
//! A read whose digest changes queues its users, and recording a run looks whether what it read is still what is stored.
//! Each would miss the other if both were under way, so a change takes the tenant's graph, as recording does. A read that
//! did not change takes no lock but its row's: most do not, and there are many. Claims hold rows of many tenants and wait
//! for nothing.

mod claim;
mod stored;

use async_trait::async_trait;
use greenroom_model::{TenantId, Timestamp};
use greenroom_storage::{
    DueRead, ReadKey, ReadRepository, StorageError, StoredOutcome, StoredRead,
};

use crate::damage::{optional_digest, stored as stored_number};
use crate::graph;
use crate::postgres_storage::PostgresStorage;
use crate::tenants::is_alive;
use crate::text::{Text, texts};
use crate::transaction::Transaction;
use crate::work::enqueue_users_of_reads;

pub(crate) use stored::digests;

/// Bodies above this are not kept; they are fetched again when needed.
const MAX_BODY: usize = 1 << 20;

#[async_trait]
impl ReadRepository for PostgresStorage {
    async fn find_reads(
        &self,
        tenant: TenantId,
        keys: &[ReadKey],
    ) -> Result<Vec<Option<StoredRead>>, StorageError> {
        self.read_all(
            "find reads",
            "SELECT r.credential, r.want, r.kind, r.detail, r.digest, r.etag, r.last_modified, r.next_due, b.body
             FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS k (credential, want, place)
             LEFT JOIN reads r
               ON r.tenant_id = $1 AND r.credential = k.credential AND r.want = k.want
             LEFT JOIN read_bodies b
               ON b.tenant_id = $1 AND b.credential = k.credential AND b.want = k.want
             ORDER BY k.place",
            &[&tenant.0, &credentials(keys), &wants(keys)],
            stored::read_with_body,
        )
        .await
    }

    async fn put_read(&self, tenant: TenantId, read: StoredRead) -> Result<(), StorageError> {
        let tx = self.begin("store a read").await?;
        // What found no row holds none, so the tenant's lock may be waited for.
        if !put_unchanged(&tx, tenant, &read).await? {
            graph::lock(&tx, tenant).await?;
            if is_alive(&tx, tenant).await? {
                put_changed(&tx, tenant, &read).await?;
            }
        }
        tx.commit().await
    }

    async fn claim_due_reads(&self, limit: u32) -> Result<Vec<DueRead>, StorageError> {
        let tx = self.begin("claim due reads").await?;
        let due = claim::claim(&tx, limit as usize).await?;
        tx.commit().await?;
        Ok(due)
    }

    async fn reschedule_read(
        &self,
        tenant: TenantId,
        key: &ReadKey,
        next_due: Timestamp,
    ) -> Result<(), StorageError> {
        let tx = self.begin("reschedule a read").await?;
        tx.run(
            "UPDATE reads SET next_due = $4
             WHERE tenant_id = $1 AND credential = $2 AND want = $3 AND next_due > $5",
            &[
                &tenant.0,
                &Text(&key.credential),
                &Text(&key.want),
                &next_due.0,
                &tx.now_ms(),
            ],
        )
        .await?;
        tx.commit().await
    }
}

/// The first parameter of keys.
fn credentials<'a>(keys: impl IntoIterator<Item = &'a ReadKey>) -> Vec<Text<'a>> {
    texts(keys.into_iter().map(|key| key.credential.as_str()))
}

/// The second parameter of keys.
fn wants<'a>(keys: impl IntoIterator<Item = &'a ReadKey>) -> Vec<Text<'a>> {
    texts(keys.into_iter().map(|key| key.want.as_str()))
}

/// Stores a read whose digest is the stored one; `false`, and nothing written, if it is not or there is none.
async fn put_unchanged(
    tx: &Transaction,
    tenant: TenantId,
    read: &StoredRead,
) -> Result<bool, StorageError> {
    let (kind, detail) = stored::columns(tx.operation(), &read.outcome)?;
    let rows = tx
        .run(
            "UPDATE reads SET kind = $5, detail = $6, etag = $7, last_modified = $8,
                 next_due = CASE WHEN next_due <= $10 THEN next_due ELSE $9 END, stored_at = $10, used_at = $10
             WHERE tenant_id = $1 AND credential = $2 AND want = $3 AND digest = $4",
            &[
                &tenant.0,
                &Text(&read.key.credential),
                &Text(&read.key.want),
                &read.digest.as_bytes().as_slice(),
                &Text(kind),
                &Text(&detail),
                &read.etag.as_deref().map(Text),
                &read.last_modified.as_deref().map(Text),
                &read.next_due.0,
                &tx.now_ms(),
            ],
        )
        .await?;
    if rows == 0 {
        return Ok(false);
    }
    keep_body(tx, tenant, read).await?;
    Ok(true)
}

/// Stores a new or changed read, and queues the users of what it was, under the tenant's lock.
async fn put_changed(
    tx: &Transaction,
    tenant: TenantId,
    read: &StoredRead,
) -> Result<(), StorageError> {
    let key = (Text(&read.key.credential), Text(&read.key.want));
    // Held, so that no claim drops it in between.
    let before = tx
        .one(
            "SELECT digest FROM reads WHERE tenant_id = $1 AND credential = $2 AND want = $3 FOR UPDATE",
            &[&tenant.0, &key.0, &key.1],
            |row| optional_digest(row, 0, "reads.digest"),
        )
        .await?
        .flatten();
    let (kind, detail) = stored::columns(tx.operation(), &read.outcome)?;
    tx.run(
        "INSERT INTO reads (tenant_id, credential, want, kind, detail, digest, etag, last_modified, next_due,
             stored_at, used_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
         ON CONFLICT (tenant_id, credential, want) DO UPDATE SET kind = excluded.kind, detail = excluded.detail,
             digest = excluded.digest, etag = excluded.etag, last_modified = excluded.last_modified,
             next_due = CASE WHEN reads.next_due <= excluded.stored_at THEN reads.next_due ELSE excluded.next_due END,
             stored_at = excluded.stored_at, used_at = excluded.used_at",
        &[
            &tenant.0,
            &key.0,
            &key.1,
            &Text(kind),
            &Text(&detail),
            &read.digest.as_bytes().as_slice(),
            &read.etag.as_deref().map(Text),
            &read.last_modified.as_deref().map(Text),
            &read.next_due.0,
            &tx.now_ms(),
        ],
    )
    .await?;
    let changed = before != Some(read.digest);
    if changed {
        tx.run(
            "DELETE FROM read_bodies WHERE tenant_id = $1 AND credential = $2 AND want = $3",
            &[&tenant.0, &key.0, &key.1],
        )
        .await?;
    }
    keep_body(tx, tenant, read).await?;
    if before.is_some() && changed {
        enqueue_users_of_reads(tx, tenant, std::slice::from_ref(&read.key)).await?;
    }
    Ok(())
}

/// Bytes with the same digest are the same: they are written only where they are missing, and kept where not given.
async fn keep_body(
    tx: &Transaction,
    tenant: TenantId,
    read: &StoredRead,
) -> Result<(), StorageError> {
    let StoredOutcome::Document {
        body: Some(body), ..
    } = &read.outcome
    else {
        return Ok(());
    };
    if body.len() > MAX_BODY {
        return Ok(());
    }
    tx.run(
        "INSERT INTO read_bodies (tenant_id, credential, want, bytes, body) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, credential, want) DO NOTHING",
        &[
            &tenant.0,
            &Text(&read.key.credential),
            &Text(&read.key.want),
            &stored_number(body.len() as u64),
            &body.as_ref(),
        ],
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use greenroom_model::Digest;
    use greenroom_storage::conformance::tenant;

    use crate::testing::run as on_new_database;

    fn read(bytes: &str) -> StoredRead {
        StoredRead {
            key: ReadKey {
                credential: String::new(),
                want: "get x".to_owned(),
            },
            outcome: StoredOutcome::NotFound,
            digest: Digest::of(bytes),
            etag: None,
            last_modified: None,
            next_due: Timestamp(0),
        }
    }

    /// What `record` does: it looks whether a read is what it was, and becomes its user.
    #[test]
    fn a_read_that_changes_while_a_run_is_recorded_queues_that_run() {
        on_new_database(async |storage, _| {
            let tenant = tenant(storage, "a").await;
            storage.put_read(tenant, read("before")).await.unwrap();
            let recording = storage.begin("record").await.unwrap();
            graph::lock(&recording, tenant).await.unwrap();
            let change = storage.put_read(tenant, read("after"));
            tokio::pin!(change);
            let early = tokio::time::timeout(Duration::from_millis(100), &mut change).await;
            assert!(
                early.is_err(),
                "a read changed under a run that is being recorded"
            );
            // One that did not change waits for nobody.
            storage.put_read(tenant, read("before")).await.unwrap();
            let uses = "INSERT INTO read_uses (tenant_id, credential, want, entity_id) VALUES ($1, '', 'get x', 'u')";
            recording.run(uses, &[&tenant.0]).await.unwrap();
            recording.commit().await.unwrap();
            change.await.unwrap();
            let tx = storage.begin("count").await.unwrap();
            let queued = tx.number("SELECT count(*) FROM work WHERE entity_id = 'u'", &[]);
            assert_eq!(queued.await.unwrap(), 1);
            tx.roll_back().await.unwrap();
        });
    }
}
