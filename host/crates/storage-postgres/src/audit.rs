//! The audit log. Append-only: nothing here changes a record; only the sweep removes old ones.

use std::sync::Arc;

use async_trait::async_trait;
use greenroom_model::TenantId;
use greenroom_storage::{AuditEntry, AuditLog, Storage, StorageError};
use tokio_postgres::Row;

use crate::damage::{optional_text, text, timestamp, value};
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;
use crate::transaction::Transaction;

#[async_trait]
impl AuditLog for PostgresStorage {
    fn audited(&self, entry: AuditEntry) -> Arc<dyn Storage> {
        Arc::new(self.owing(entry))
    }

    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StorageError> {
        let tx = self.begin("append to the audit log").await?;
        append(&tx, &entry).await?;
        tx.commit().await
    }

    async fn list_audit(
        &self,
        tenant: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        const OPERATION: &str = "list the audit log";
        let limit = i64::from(limit);
        match tenant {
            Some(tenant) => {
                self.read_all(
                    OPERATION,
                    "SELECT at, about_tenant, actor, action, subject, remote, before, after
                     FROM audit WHERE about_tenant = $1 ORDER BY audit_id DESC LIMIT $2",
                    &[&tenant.0, &limit],
                    read_entry,
                )
                .await
            }
            None => {
                self.read_all(
                    OPERATION,
                    "SELECT at, about_tenant, actor, action, subject, remote, before, after
                     FROM audit ORDER BY audit_id DESC LIMIT $1",
                    &[&limit],
                    read_entry,
                )
                .await
            }
        }
    }
}

/// Appends a record inside a transaction that has something to tell.
pub(crate) async fn append(tx: &Transaction, entry: &AuditEntry) -> Result<(), StorageError> {
    tx.run(
        "INSERT INTO audit (at, about_tenant, actor, action, subject, remote, before, after)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        &[
            &tx.now_ms(),
            &entry.tenant.map(|tenant| tenant.0),
            &Text(&entry.actor),
            &Text(&entry.action),
            &Text(&entry.subject),
            &Text(&entry.remote),
            &entry.before.as_deref().map(Text),
            &entry.after.as_deref().map(Text),
        ],
    )
    .await?;
    Ok(())
}

fn read_entry(row: &Row) -> Result<AuditEntry, StorageError> {
    Ok(AuditEntry {
        at: timestamp(row, 0, "audit.at")?,
        tenant: value::<Option<i64>>(row, 1, "audit.about_tenant")?.map(TenantId),
        actor: text(row, 2, "audit.actor")?,
        action: text(row, 3, "audit.action")?,
        subject: text(row, 4, "audit.subject")?,
        remote: text(row, 5, "audit.remote")?,
        before: optional_text(row, 6, "audit.before")?,
        after: optional_text(row, 7, "audit.after")?,
    })
}
