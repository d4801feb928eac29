//! Writing a tenant's change log: gap-free and in commit order.
//!
//! The numbers come from `tenant_seq`, taken last in a transaction that covers one tenant (design note I5): the row stays
//! locked until the commit, so nobody gets a later number and commits before.

use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::StorageError;

use crate::PostgresStorage;
use crate::damage::unsigned;
use crate::entities::{ref_texts, uid_texts};
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// What happened to an entity.
#[derive(Debug, Clone)]
pub(crate) enum LogEntry {
    /// Served, with this etag.
    Upsert(String),
    /// No longer served.
    Delete,
}

/// A change to be appended.
#[derive(Debug, Clone)]
pub(crate) struct NewChange {
    /// What happened.
    pub(crate) what: LogEntry,
    /// To which entity.
    pub(crate) entity_ref: EntityRef,
    /// Its uid.
    pub(crate) uid: EntityUid,
}

/// Appends changes in order and answers the log's last number: the last statement of a transaction. Nothing is written, and
/// 0 answered, for a tenant that is gone.
pub(crate) async fn append(
    tx: &Transaction,
    tenant: TenantId,
    changes: &[NewChange],
) -> Result<u64, StorageError> {
    if changes.is_empty() {
        return current(tx, tenant).await;
    }
    let kinds = texts(changes.iter().map(|change| match change.what {
        LogEntry::Upsert(_) => "upsert",
        LogEntry::Delete => "delete",
    }));
    let etags: Vec<Option<Text<'_>>> = changes
        .iter()
        .map(|change| match &change.what {
            LogEntry::Upsert(etag) => Some(Text(etag)),
            LogEntry::Delete => None,
        })
        .collect();
    let last = tx
        .one(
            "WITH taken AS (
                 UPDATE tenant_seq SET seq = seq + cardinality($2::text[]) WHERE tenant_id = $1
                 RETURNING seq, seq - cardinality($2::text[]) AS before
             ), written AS (
                 INSERT INTO changes (tenant_id, seq, kind, entity_ref, entity_id, at, etag)
                 SELECT $1, taken.before + new.n, new.kind, new.entity_ref, new.entity_id, $6, new.etag
                 FROM taken, unnest($2::text[], $3::text[], $4::text[], $5::text[])
                     WITH ORDINALITY AS new (kind, entity_ref, entity_id, etag, n)
             )
             SELECT seq FROM taken",
            &[
                &tenant.0,
                &kinds,
                &ref_texts(changes.iter().map(|change| &change.entity_ref)),
                &uid_texts(changes.iter().map(|change| &change.uid)),
                &etags,
                &tx.now_ms(),
            ],
            |row| unsigned(row, 0, "tenant_seq.seq"),
        )
        .await?;
    Ok(last.unwrap_or(0))
}

/// The last number handed out; 0 for none and for a tenant that is gone.
pub(crate) async fn current(tx: &Transaction, tenant: TenantId) -> Result<u64, StorageError> {
    let seq = tx
        .one(
            "SELECT seq FROM tenant_seq WHERE tenant_id = $1",
            &[&tenant.0],
            |row| unsigned(row, 0, "tenant_seq.seq"),
        )
        .await?;
    Ok(seq.unwrap_or(0))
}

impl PostgresStorage {
    /// [`current`] of what is committed, in one round trip: what a mutation in several transactions answers with.
    pub(crate) async fn last_seq(
        &self,
        operation: &'static str,
        tenant: TenantId,
    ) -> Result<u64, StorageError> {
        let seq = self
            .read_one(
                operation,
                "SELECT seq FROM tenant_seq WHERE tenant_id = $1",
                &[&tenant.0],
                |row| unsigned(row, 0, "tenant_seq.seq"),
            )
            .await?;
        Ok(seq.unwrap_or(0))
    }
}
