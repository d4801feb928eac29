//! The audit log. Append-only: nothing here changes a record; only the sweep removes old ones.

use std::sync::Arc;

use async_trait::async_trait;
use greenroom_model::TenantId;
use greenroom_storage::{AuditEntry, AuditLog, Storage, StorageError};
use rusqlite::{Row, params};

use crate::damage::{timestamp, value};
use crate::sqlite_storage::SqliteStorage;
use crate::statement;
use crate::writer::WriteTx;

#[async_trait]
impl AuditLog for SqliteStorage {
    fn audited(&self, entry: AuditEntry) -> Arc<dyn Storage> {
        Arc::new(self.owing(entry))
    }

    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StorageError> {
        self.write("append to the audit log", move |tx| append(tx, &entry))
            .await
    }

    async fn list_audit(
        &self,
        tenant: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        self.read("list the audit log", move |conn| match tenant {
            Some(tenant) => statement::all(
                conn,
                "SELECT at, about_tenant, actor, action, subject, remote, before, after
                 FROM audit WHERE about_tenant = ?1 ORDER BY audit_id DESC LIMIT ?2",
                params![tenant.0, limit],
                read_entry,
            ),
            None => statement::all(
                conn,
                "SELECT at, about_tenant, actor, action, subject, remote, before, after
                 FROM audit ORDER BY audit_id DESC LIMIT ?1",
                params![limit],
                read_entry,
            ),
        })
        .await
    }
}

/// Appends a record inside a transaction that has something to tell.
pub(crate) fn append(tx: &mut WriteTx<'_>, entry: &AuditEntry) -> rusqlite::Result<()> {
    let now = tx.now_ms();
    tx.run(
        "INSERT INTO audit (at, about_tenant, actor, action, subject, remote, before, after)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            now,
            entry.tenant.map(|tenant| tenant.0),
            entry.actor,
            entry.action,
            entry.subject,
            entry.remote,
            entry.before,
            entry.after,
        ],
    )?;
    Ok(())
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        at: timestamp(row, 0, "audit.at")?,
        tenant: value::<Option<i64>>(row, 1, "audit.about_tenant")?.map(TenantId),
        actor: value(row, 2, "audit.actor")?,
        action: value(row, 3, "audit.action")?,
        subject: value(row, 4, "audit.subject")?,
        remote: value(row, 5, "audit.remote")?,
        before: value(row, 6, "audit.before")?,
        after: value(row, 7, "audit.after")?,
    })
}
