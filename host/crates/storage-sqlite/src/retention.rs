//! What is kept for how long (DESIGN §7), in short transactions. Blobs and deleted tenants have their own files.

use greenroom_model::TenantId;
use greenroom_storage::{ReadKey, Retention, StorageError};
use rusqlite::params;

use crate::damage::{stored, unsigned, value};
use crate::log::last_seq;
use crate::reads::delete_body;
use crate::sqlite_storage::SqliteStorage;
use crate::statement;
use crate::writer::WriteTx;

/// Rows of one transaction.
const ROWS: i64 = 500;

/// Statements that delete rows from before ?1, at most ?2 at once, and the age in milliseconds.
const BY_AGE: &[(&str, i64)] = &[
    (
        "DELETE FROM faults WHERE rowid IN (SELECT rowid FROM faults WHERE at < ?1 LIMIT ?2)",
        Retention::FAULTS_MS,
    ),
    (
        "DELETE FROM runs WHERE rowid IN (SELECT rowid FROM runs WHERE created_at < ?1 LIMIT ?2)",
        Retention::RUNS_MS,
    ),
    (
        "DELETE FROM audit WHERE audit_id IN (SELECT audit_id FROM audit WHERE at < ?1 LIMIT ?2)",
        Retention::AUDIT_MS,
    ),
    (
        "DELETE FROM tokens WHERE rowid IN
           (SELECT rowid FROM tokens WHERE revoked_at < ?1 OR expires_at < ?1 LIMIT ?2)",
        Retention::TOKENS_MS,
    ),
];

impl SqliteStorage {
    /// Faults, runs, audit records, and tokens that are long dead, past their age.
    pub(crate) async fn sweep_by_age(&self) -> Result<u64, StorageError> {
        let mut rows = 0;
        for (sql, age_ms) in BY_AGE {
            rows += self
                .repeat("remove what is past its age", move |tx| {
                    let before = tx.now_ms().saturating_sub(*age_ms);
                    tx.run(sql, params![before, ROWS])
                })
                .await?;
        }
        Ok(rows)
    }

    /// Changes past 7 days or 10 M of a tenant, from the front.
    pub(crate) async fn sweep_changes(&self) -> Result<u64, StorageError> {
        let mut rows = 0;
        for tenant in self.tenants_with_a_log().await? {
            rows += self
                .repeat("trim a change log", move |tx| trim_changes(tx, tenant))
                .await?;
        }
        Ok(rows)
    }

    /// Bodies of reads beyond a tenant's bytes, those used longest ago first.
    pub(crate) async fn sweep_read_bodies(&self) -> Result<u64, StorageError> {
        let mut rows = 0;
        for tenant in self.tenants_with_a_log().await? {
            rows += self
                .repeat("drop bodies of reads", move |tx| {
                    drop_bodies(tx, tenant, Retention::READ_BYTES)
                })
                .await?;
        }
        Ok(rows)
    }

    async fn tenants_with_a_log(&self) -> Result<Vec<TenantId>, StorageError> {
        self.read("list tenants to sweep", |conn| {
            statement::all(conn, "SELECT tenant_id FROM tenant_seq", [], |row| {
                value(row, 0, "tenant_seq.tenant_id").map(TenantId)
            })
        })
        .await
    }
}

/// Removes some of what lies before the first change that is young enough, so that the rest has no gap even where the
/// clock was set back.
fn trim_changes(tx: &mut WriteTx<'_>, tenant: TenantId) -> rusqlite::Result<usize> {
    let last = last_seq(tx, tenant)?;
    let young = statement::one(
        tx,
        "SELECT seq FROM changes WHERE tenant_id = ?1 AND at >= ?2 ORDER BY seq LIMIT 1",
        params![tenant.0, tx.now_ms().saturating_sub(Retention::CHANGES_MS)],
        |row| unsigned(row, 0, "changes.seq"),
    )?;
    let keep_from = young
        .unwrap_or(last + 1)
        .max(last.saturating_sub(Retention::CHANGES) + 1);
    tx.run(
        "DELETE FROM changes WHERE (tenant_id, seq) IN
           (SELECT tenant_id, seq FROM changes WHERE tenant_id = ?1 AND seq < ?2 ORDER BY seq LIMIT ?3)",
        params![tenant.0, stored(keep_from), ROWS],
    )
}

fn drop_bodies(tx: &mut WriteTx<'_>, tenant: TenantId, max_bytes: u64) -> rusqlite::Result<usize> {
    let total = statement::one(
        tx,
        "SELECT coalesce(sum(bytes), 0) FROM read_bodies WHERE tenant_id = ?1",
        params![tenant.0],
        |row| unsigned(row, 0, "read_bodies.bytes"),
    )?;
    let mut excess = total.unwrap_or(0).saturating_sub(max_bytes);
    if excess == 0 {
        return Ok(0);
    }
    let oldest = statement::all(
        tx,
        "SELECT b.credential, b.want, b.bytes FROM read_bodies b
         LEFT JOIN reads r USING (tenant_id, credential, want)
         WHERE b.tenant_id = ?1 ORDER BY r.used_at, b.credential, b.want LIMIT 20",
        params![tenant.0],
        |row| {
            let key = ReadKey {
                credential: value(row, 0, "read_bodies.credential")?,
                want: value(row, 1, "read_bodies.want")?,
            };
            Ok((key, unsigned(row, 2, "read_bodies.bytes")?))
        },
    )?;
    let mut rows = 0;
    for (key, bytes) in oldest {
        if excess == 0 {
            break;
        }
        rows += delete_body(tx, tenant, &key)?;
        excess = excess.saturating_sub(bytes);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    use bytes::Bytes;
    use greenroom_model::{Clock, Digest};
    use greenroom_storage::conformance::tenant;
    use greenroom_storage::{ReadRepository, StoredOutcome, StoredRead};

    use crate::sqlite_storage::tests::{block_on, new_storage};

    #[test]
    fn bodies_beyond_the_budget_go_by_last_use_and_their_reads_stay() {
        let (storage, clock, _directory) = new_storage();
        block_on(async {
            let tenant = tenant(&storage, "a").await;
            let keys: Vec<_> = (0..4)
                .map(|number| ReadKey {
                    credential: String::new(),
                    want: format!("get {number}"),
                })
                .collect();
            for key in keys.iter().rev() {
                let read = StoredRead {
                    key: key.clone(),
                    outcome: StoredOutcome::Document {
                        body: Some(Bytes::from(vec![0; 1000])),
                        final_url: String::new(),
                    },
                    digest: Digest::of("d"),
                    etag: None,
                    last_modified: None,
                    next_due: clock.now(),
                };
                storage.put_read(tenant, read).await.unwrap();
                clock.advance(1);
            }
            let dropped = storage
                .write("drop", move |tx| drop_bodies(tx, tenant, 2500))
                .await;
            assert_eq!(dropped.unwrap(), 2);
            let again = storage
                .write("drop", move |tx| drop_bodies(tx, tenant, 2500))
                .await;
            assert_eq!(again.unwrap(), 0);
            let found = storage.find_reads(tenant, &keys).await.unwrap();
            let kept: Vec<_> = found
                .iter()
                .map(|read| {
                    let outcome = &read.as_ref().unwrap().outcome;
                    matches!(outcome, StoredOutcome::Document { body: Some(_), .. })
                })
                .collect();
            assert_eq!(kept, [true, true, false, false]);
        });
    }
}
