//! Deleting a tenant: at once out of sight, then emptied in short transactions.
//!
//! The tables of a tenant's data are those with a column `tenant_id`, found in the schema, so a table added later cannot
//! be forgotten. A deletion cut short by a crash is completed by the sweep, which also takes what a worker that had
//! not heard of it wrote in between.

use greenroom_model::TenantId;
use greenroom_storage::StorageError;
use rusqlite::{Connection, params};

use crate::damage::value;
use crate::sqlite_storage::SqliteStorage;
use crate::statement;

const OPERATION: &str = "delete a tenant";
/// Rows of one transaction; a row may be a blob's chunk of 256 KiB.
const ROWS: i64 = 200;
/// How long a deleted tenant is remembered: longer than any run in flight lives (DESIGN §2, leases).
const REMEMBERED_MS: i64 = 3_600_000;

impl SqliteStorage {
    pub(crate) async fn delete_whole_tenant(&self, tenant: TenantId) -> Result<bool, StorageError> {
        let found = self
            .write(OPERATION, move |tx| {
                let now = tx.now_ms();
                let found = tx.run(
                    "UPDATE tenants SET deleted_at = ?2 WHERE tenant_id = ?1 AND deleted_at IS NULL",
                    params![tenant.0, now],
                )?;
                if found > 0 {
                    // Nothing of it is to be authorised, claimed or followed from here on.
                    tx.run("DELETE FROM tokens WHERE tenant_id = ?1", params![tenant.0])?;
                    tx.run("DELETE FROM tenant_lanes WHERE tenant_id = ?1", params![tenant.0])?;
                    tx.run("DELETE FROM tenant_seq WHERE tenant_id = ?1", params![tenant.0])?;
                }
                Ok(found > 0)
            })
            .await?;
        if found {
            self.empty_tenant(tenant).await?;
        }
        Ok(found)
    }

    /// Completes deletions; answers the number of rows removed.
    pub(crate) async fn sweep_deleted_tenants(&self) -> Result<u64, StorageError> {
        let deleted = self
            .read("list deleted tenants", |conn| {
                statement::all(
                    conn,
                    "SELECT tenant_id FROM tenants WHERE deleted_at IS NOT NULL AND importing_at IS NULL",
                    [],
                    |row| value(row, 0, "tenants.tenant_id").map(TenantId),
                )
            })
            .await?;
        let mut rows = 0;
        for tenant in deleted {
            rows += self.empty_tenant(tenant).await?;
            rows += self
                .write(OPERATION, move |tx| {
                    let forgotten = tx.now_ms().saturating_sub(REMEMBERED_MS);
                    tx.run(
                        "DELETE FROM tenants WHERE tenant_id = ?1 AND deleted_at < ?2",
                        params![tenant.0, forgotten],
                    )
                })
                .await? as u64;
        }
        Ok(rows)
    }

    pub(crate) async fn empty_tenant(&self, tenant: TenantId) -> Result<u64, StorageError> {
        let statements = self.read(OPERATION, deletions).await?;
        let mut rows = 0;
        for sql in statements {
            rows += self
                .repeat(OPERATION, move |tx| tx.run(&sql, params![tenant.0, ROWS]))
                .await?;
        }
        Ok(rows)
    }
}

/// For each table of tenants' data, the statement that deletes some rows of one tenant.
fn deletions(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let tables = statement::all(
        conn,
        "SELECT t.name FROM sqlite_schema t
         WHERE t.type = 'table' AND t.name <> 'tenants'
           AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) c WHERE c.name = 'tenant_id')
         ORDER BY t.name",
        [],
        |row| row.get::<_, String>(0),
    )?;
    tables
        .into_iter()
        .map(|table| {
            let mut key = statement::all(
                conn,
                "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk",
                params![table],
                |row| row.get::<_, String>(0),
            )?
            .join(", ");
            if key.is_empty() {
                key = "rowid".into();
            }
            Ok(format!(
                "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE tenant_id = ?1 LIMIT ?2)"
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_storage::conformance::tenant;
    use greenroom_storage::{Maintenance, TenantRepository};

    use crate::sqlite_storage::tests::{block_on, new_storage};

    #[test]
    fn every_table_of_a_tenants_data_is_emptied_by_an_index() {
        let (storage, _clock, _directory) = new_storage();
        let plans = block_on(storage.read("plans", |conn| {
            deletions(conn)?
                .into_iter()
                .map(|sql| {
                    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                    let steps = explain
                        .query_map(params![1, 1], |row| row.get::<_, String>(3))?
                        .collect::<rusqlite::Result<Vec<_>>>()?;
                    Ok((sql, steps.join("; ")))
                })
                .collect::<rusqlite::Result<Vec<_>>>()
        }))
        .unwrap();
        for table in [
            "changes",
            "blob_chunks",
            "refresh_state",
            "relations",
            "work",
            "read_uses",
        ] {
            let start = format!("DELETE FROM {table} ");
            assert!(
                plans.iter().any(|(sql, _)| sql.starts_with(&start)),
                "{table} is left"
            );
        }
        for (sql, plan) in plans {
            assert!(!plan.contains("SCAN"), "{sql}: {plan}");
        }
    }

    #[test]
    fn a_deletion_that_was_cut_off_is_completed_by_the_sweep() {
        let (storage, clock, _directory) = new_storage();
        block_on(async {
            let tenant = tenant(&storage, "a").await;
            storage
                .put_tenant_settings(tenant, "{\"a\":1}")
                .await
                .unwrap();
            storage
                .write("cut off", move |tx| {
                    tx.run("UPDATE tenants SET deleted_at = ?1", params![tx.now_ms()])
                })
                .await
                .unwrap();
            assert!(storage.find_tenant_by_id(tenant).await.unwrap().is_none());
            // Its settings and its place in `tenant_seq`; the tenant itself an hour later.
            assert_eq!(storage.sweep().await.unwrap(), 2);
            assert_eq!(storage.tenant_settings(tenant).await.unwrap().json, "{}");
            clock.advance(REMEMBERED_MS + 1);
            assert_eq!(storage.sweep().await.unwrap(), 1);
            assert_eq!(storage.sweep().await.unwrap(), 0);
        });
    }
}
