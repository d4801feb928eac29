//! Taking reads whose time has come, across tenants. Rows that another process holds are passed by: it takes them itself.

use greenroom_model::TenantId;
use greenroom_storage::{DueRead, ReadKey, StorageError};

use crate::damage::{tenant_id, value};
use crate::reads::stored::{read_key, read_stored};
use crate::reads::{credentials, wants};
use crate::text::Text;
use crate::transaction::Transaction;

/// How far a claim puts the next time ahead.
const CLAIM_MS: i64 = 60_000;
/// A run lives no longer (design note P2), so an older read that nobody uses is not going to be used.
const UNUSED_MS: i64 = 600_000;
/// Due reads looked at in one transaction.
const LOOKED_AT: i64 = 500;

/// A read whose time has come.
struct Due {
    tenant: TenantId,
    key: ReadKey,
    stored_at: i64,
    used: bool,
}

/// See [`greenroom_storage::ReadRepository::claim_due_reads`].
pub(super) async fn claim(tx: &Transaction, limit: usize) -> Result<Vec<DueRead>, StorageError> {
    let now = tx.now_ms();
    let due = tx
        .all(
            "SELECT r.tenant_id, r.credential, r.want, r.stored_at, u.entity_id IS NOT NULL
             FROM (SELECT tenant_id, credential, want, stored_at, next_due FROM reads WHERE next_due <= $1
                   ORDER BY next_due LIMIT $2 FOR UPDATE SKIP LOCKED) r
             LEFT JOIN LATERAL (SELECT entity_id FROM read_uses o
                   WHERE o.tenant_id = r.tenant_id AND o.credential = r.credential AND o.want = r.want LIMIT 1) u ON true
             ORDER BY r.next_due",
            &[&now, &LOOKED_AT],
            |row| {
                Ok(Due {
                    tenant: tenant_id(row, 0, "reads.tenant_id")?,
                    key: read_key(row, 1)?,
                    stored_at: value(row, 3, "reads.stored_at")?,
                    used: value(row, 4, "read_uses")?,
                })
            },
        )
        .await?;
    let (mut used, mut young, mut old) = (Vec::new(), Vec::new(), Vec::new());
    for read in due {
        if used.len() == limit {
            break;
        } else if read.used {
            used.push(read);
        } else if now.saturating_sub(read.stored_at) > UNUSED_MS {
            old.push(read);
        } else {
            young.push(read);
        }
    }
    postpone(tx, &young, now + CLAIM_MS).await?;
    drop_reads(tx, &old).await?;
    take(tx, &used).await
}

/// Puts the next time of used reads ahead and answers them, in the order of their times.
async fn take(tx: &Transaction, used: &[Due]) -> Result<Vec<DueRead>, StorageError> {
    if used.is_empty() {
        return Ok(Vec::new());
    }
    let (tenants, credentials, wants) = keys(used);
    let mut taken = tx
        .all(
            "UPDATE reads r SET next_due = $1, used_at = $2
             FROM unnest($3::bigint[], $4::text[], $5::text[]) WITH ORDINALITY
                 AS k (tenant_id, credential, want, place)
             WHERE r.tenant_id = k.tenant_id AND r.credential = k.credential AND r.want = k.want
             RETURNING r.credential, r.want, r.kind, r.detail, r.digest, r.etag, r.last_modified, r.next_due,
                 r.tenant_id, k.place",
            &[
                &(tx.now_ms() + CLAIM_MS),
                &tx.now_ms(),
                &tenants,
                &credentials,
                &wants,
            ],
            |row| {
                let due = DueRead {
                    tenant: tenant_id(row, 8, "reads.tenant_id")?,
                    read: read_stored(row)?,
                };
                Ok((value::<i64>(row, 9, "place")?, due))
            },
        )
        .await?;
    taken.sort_by_key(|(place, _)| *place);
    Ok(taken.into_iter().map(|(_, due)| due).collect())
}

async fn postpone(tx: &Transaction, reads: &[Due], next_due: i64) -> Result<(), StorageError> {
    if reads.is_empty() {
        return Ok(());
    }
    let (tenants, credentials, wants) = keys(reads);
    tx.run(
        "UPDATE reads r SET next_due = $1
         FROM unnest($2::bigint[], $3::text[], $4::text[]) AS k (tenant_id, credential, want)
         WHERE r.tenant_id = k.tenant_id AND r.credential = k.credential AND r.want = k.want",
        &[&next_due, &tenants, &credentials, &wants],
    )
    .await?;
    Ok(())
}

async fn drop_reads(tx: &Transaction, reads: &[Due]) -> Result<(), StorageError> {
    if reads.is_empty() {
        return Ok(());
    }
    let (tenants, credentials, wants) = keys(reads);
    tx.run(
        "DELETE FROM read_bodies b
         USING unnest($1::bigint[], $2::text[], $3::text[]) AS k (tenant_id, credential, want)
         WHERE b.tenant_id = k.tenant_id AND b.credential = k.credential AND b.want = k.want",
        &[&tenants, &credentials, &wants],
    )
    .await?;
    tx.run(
        "DELETE FROM reads r
         USING unnest($1::bigint[], $2::text[], $3::text[]) AS k (tenant_id, credential, want)
         WHERE r.tenant_id = k.tenant_id AND r.credential = k.credential AND r.want = k.want",
        &[&tenants, &credentials, &wants],
    )
    .await?;
    Ok(())
}

/// The parameters that name reads.
fn keys(reads: &[Due]) -> (Vec<i64>, Vec<Text<'_>>, Vec<Text<'_>>) {
    let keys = || reads.iter().map(|read| &read.key);
    (
        reads.iter().map(|read| read.tenant.0).collect(),
        credentials(keys()),
        wants(keys()),
    )
}
