//! What is kept for how long (DESIGN §7), in short transactions. Blobs and deleted tenants have their own files.
//!
//! Each part first asks whose data is too much, in one statement over all tenants, and then looks after those alone: a
//! database has ten thousand tenants and a sweep finds something in few. Processes that sweep at once pass each other by.

use greenroom_model::TenantId;
use greenroom_storage::{Retention, StorageError};

use crate::damage::{stored, tenant_id, text, unsigned};
use crate::postgres_storage::PostgresStorage;
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// Rows of one transaction.
const ROWS: i64 = 500;

/// Statements that delete rows from before $1, at most $2 at once, and the age in milliseconds.
const BY_AGE: &[(&str, i64)] = &[
    (
        "DELETE FROM faults WHERE ctid = ANY (ARRAY
           (SELECT ctid FROM faults WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
        Retention::FAULTS_MS,
    ),
    (
        "DELETE FROM runs WHERE ctid = ANY (ARRAY
           (SELECT ctid FROM runs WHERE created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
        Retention::RUNS_MS,
    ),
    (
        "DELETE FROM audit WHERE ctid = ANY (ARRAY
           (SELECT ctid FROM audit WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
        Retention::AUDIT_MS,
    ),
    (
        "DELETE FROM tokens WHERE ctid = ANY (ARRAY
           (SELECT ctid FROM tokens WHERE revoked_at < $1 OR expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
        Retention::TOKENS_MS,
    ),
];

/// Faults, runs, audit records, and tokens that are long dead, past their age.
pub(crate) async fn sweep_by_age(storage: &PostgresStorage) -> Result<u64, StorageError> {
    let mut rows = 0;
    for (sql, age_ms) in BY_AGE {
        loop {
            let tx = storage.begin("remove what is past its age").await?;
            let before = tx.now_ms().saturating_sub(*age_ms);
            let removed = tx.run(sql, &[&before, &ROWS]).await?;
            tx.commit().await?;
            rows += removed;
            if removed == 0 {
                break;
            }
        }
    }
    Ok(rows)
}

/// Changes past 7 days or 10 M of a tenant, from the front.
pub(crate) async fn sweep_changes(storage: &PostgresStorage) -> Result<u64, StorageError> {
    const OPERATION: &str = "trim change logs";
    let tx = storage.snapshot(OPERATION).await?;
    let tenants = tx
        .all(
            "SELECT s.tenant_id FROM tenant_seq s CROSS JOIN LATERAL
                 (SELECT c.seq, c.at FROM changes c WHERE c.tenant_id = s.tenant_id ORDER BY c.seq LIMIT 1) f
             WHERE f.at < $1 OR f.seq <= s.seq - $2",
            &[
                &tx.now_ms().saturating_sub(Retention::CHANGES_MS),
                &stored(Retention::CHANGES),
            ],
            |row| tenant_id(row, 0, "tenant_seq.tenant_id"),
        )
        .await?;
    tx.commit().await?;
    let mut rows = 0;
    for tenant in tenants {
        loop {
            let tx = storage.begin(OPERATION).await?;
            let removed = trim_changes(&tx, tenant).await?;
            tx.commit().await?;
            rows += removed;
            if removed == 0 {
                break;
            }
        }
    }
    Ok(rows)
}

/// Removes some of what lies before the first change that is young enough, so that the rest has no gap even where the
/// clock was set back.
async fn trim_changes(tx: &Transaction, tenant: TenantId) -> Result<u64, StorageError> {
    tx.run(
        "DELETE FROM changes WHERE tenant_id = $1 AND seq IN
           (SELECT seq FROM changes WHERE tenant_id = $1 AND seq <
                (SELECT greatest(s.seq - $3::bigint + 1, coalesce(
                     (SELECT seq FROM changes WHERE tenant_id = $1 AND at >= $2 ORDER BY seq LIMIT 1), s.seq + 1))
                 FROM tenant_seq s WHERE s.tenant_id = $1)
            ORDER BY seq LIMIT $4)",
        &[
            &tenant.0,
            &tx.now_ms().saturating_sub(Retention::CHANGES_MS),
            &stored(Retention::CHANGES),
            &ROWS,
        ],
    )
    .await
}

/// Bodies of reads beyond a tenant's bytes, those used longest ago first.
pub(crate) async fn sweep_read_bodies(storage: &PostgresStorage) -> Result<u64, StorageError> {
    drop_bodies_beyond(storage, Retention::READ_BYTES).await
}

async fn drop_bodies_beyond(
    storage: &PostgresStorage,
    max_bytes: u64,
) -> Result<u64, StorageError> {
    const OPERATION: &str = "drop bodies of reads";
    let tenants = storage
        .read_all(
            OPERATION,
            "SELECT tenant_id FROM read_bodies GROUP BY tenant_id HAVING sum(bytes) > $1::bigint",
            &[&stored(max_bytes)],
            |row| tenant_id(row, 0, "read_bodies.tenant_id"),
        )
        .await?;
    let mut rows = 0;
    for tenant in tenants {
        loop {
            let tx = storage.begin(OPERATION).await?;
            let removed = drop_bodies(&tx, tenant, max_bytes).await?;
            tx.commit().await?;
            rows += removed;
            if removed == 0 {
                break;
            }
        }
    }
    Ok(rows)
}

async fn drop_bodies(
    tx: &Transaction,
    tenant: TenantId,
    max_bytes: u64,
) -> Result<u64, StorageError> {
    let total = tx
        .one(
            "SELECT coalesce(sum(bytes), 0)::bigint FROM read_bodies WHERE tenant_id = $1",
            &[&tenant.0],
            |row| unsigned(row, 0, "read_bodies.bytes"),
        )
        .await?;
    let mut excess = total.unwrap_or(0).saturating_sub(max_bytes);
    if excess == 0 {
        return Ok(0);
    }
    let oldest = tx
        .all(
            "SELECT b.credential, b.want, b.bytes FROM read_bodies b
             LEFT JOIN reads r USING (tenant_id, credential, want)
             WHERE b.tenant_id = $1 ORDER BY r.used_at NULLS FIRST, b.credential, b.want LIMIT 500",
            &[&tenant.0],
            |row| {
                Ok((
                    text(row, 0, "read_bodies.credential")?,
                    text(row, 1, "read_bodies.want")?,
                    unsigned(row, 2, "read_bodies.bytes")?,
                ))
            },
        )
        .await?;
    let mut dropped: Vec<(&str, &str)> = Vec::new();
    for (credential, want, bytes) in &oldest {
        if excess == 0 {
            break;
        }
        dropped.push((credential, want));
        excess = excess.saturating_sub(*bytes);
    }
    let credentials: Vec<Text<'_>> = texts(dropped.iter().map(|(credential, _)| *credential));
    let wants: Vec<Text<'_>> = texts(dropped.iter().map(|(_, want)| *want));
    tx.run(
        "DELETE FROM read_bodies b USING unnest($2::text[], $3::text[]) AS k (credential, want)
         WHERE b.tenant_id = $1 AND b.credential = k.credential AND b.want = k.want",
        &[&tenant.0, &credentials, &wants],
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    use bytes::Bytes;
    use greenroom_model::{Clock, Digest};
    use greenroom_storage::conformance::tenant;
    use greenroom_storage::{ReadKey, ReadRepository, StoredOutcome, StoredRead};

    use crate::testing::run as on_new_database;

    #[test]
    fn bodies_beyond_the_budget_go_by_last_use_and_their_reads_stay() {
        on_new_database(async |storage, clock| {
            let tenant = tenant(storage, "a").await;
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
            assert_eq!(drop_bodies_beyond(storage, 2500).await.unwrap(), 2);
            assert_eq!(drop_bodies_beyond(storage, 2500).await.unwrap(), 0);
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
