//! Writing a tenant's change log: gap-free and in commit order.
//!
//! The number comes from `tenant_seq`, taken last in a transaction that covers one tenant (design note I5).

use greenroom_model::{EntityRef, EntityUid, TenantId};
use rusqlite::{Connection, params};

use crate::damage::unsigned;
use crate::statement;
use crate::writer::WriteTx;

/// Takes the next number of a tenant's log; `None` for a tenant that is gone.
pub(crate) fn next_seq(tx: &mut WriteTx<'_>, tenant: TenantId) -> rusqlite::Result<Option<u64>> {
    statement::one(
        tx,
        "UPDATE tenant_seq SET seq = seq + 1 WHERE tenant_id = ?1 RETURNING seq",
        params![tenant.0],
        |row| unsigned(row, 0, "tenant_seq.seq"),
    )
}

/// The last number handed out; 0 for none and for a tenant that is gone.
pub(crate) fn last_seq(conn: &Connection, tenant: TenantId) -> rusqlite::Result<u64> {
    let seq = statement::one(
        conn,
        "SELECT seq FROM tenant_seq WHERE tenant_id = ?1",
        params![tenant.0],
        |row| unsigned(row, 0, "tenant_seq.seq"),
    )?;
    Ok(seq.unwrap_or(0))
}

/// What is appended.
#[derive(Debug, Clone)]
pub(crate) enum LogEntry {
    /// Served, with this etag.
    Upsert(String),
    /// No longer served.
    Delete,
}

/// Appends a change and answers its number. Nothing is written, and 0 answered, for a tenant that is gone.
pub(crate) fn append_change(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    what: &LogEntry,
    entity_ref: &EntityRef,
    uid: &EntityUid,
) -> rusqlite::Result<u64> {
    let Some(seq) = next_seq(tx, tenant)? else {
        return Ok(0);
    };
    let at = tx.now_ms();
    let (kind, etag) = match what {
        LogEntry::Upsert(etag) => ("upsert", Some(etag)),
        LogEntry::Delete => ("delete", None),
    };
    tx.run(
        "INSERT INTO changes (tenant_id, seq, kind, entity_ref, entity_id, at, etag) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            tenant.0,
            crate::damage::stored(seq),
            kind,
            entity_ref.as_str(),
            uid.as_str(),
            at,
            etag
        ],
    )?;
    Ok(seq)
}
