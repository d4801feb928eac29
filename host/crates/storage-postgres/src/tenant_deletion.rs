//! Deleting a tenant: at once out of sight, then emptied in short transactions.
//!
//! The tables of a tenant's data are those with a column `tenant_id`, found in the schema, so a table added later cannot
//! be forgotten. A deletion cut short by a crash is completed by the sweep, which also takes what a worker that had
//! not heard of it wrote in between. Every step takes the tenant's graph, so it meets no writer in the middle.

use greenroom_model::TenantId;
use greenroom_storage::StorageError;

use crate::damage::{tenant_id, text};
use crate::graph;
use crate::postgres_storage::PostgresStorage;

const OPERATION: &str = "delete a tenant";
/// Rows of one transaction; a row may be a blob's chunk of 256 KiB.
const ROWS: i64 = 200;
/// How long a deleted tenant is remembered: longer than any run in flight lives (DESIGN §2, leases).
const REMEMBERED_MS: i64 = 3_600_000;

pub(crate) async fn delete(
    storage: &PostgresStorage,
    tenant: TenantId,
) -> Result<bool, StorageError> {
    let tx = storage.begin(OPERATION).await?;
    graph::lock(&tx, tenant).await?;
    let found = tx
        .run(
            "UPDATE tenants SET deleted_at = $2 WHERE tenant_id = $1 AND deleted_at IS NULL",
            &[&tenant.0, &tx.now_ms()],
        )
        .await?;
    if found == 0 {
        tx.roll_back().await?;
        return Ok(false);
    }
    // Nothing of it is to be authorised, claimed or followed from here on.
    tx.run("DELETE FROM tokens WHERE tenant_id = $1", &[&tenant.0])
        .await?;
    tx.run(
        "DELETE FROM tenant_lanes WHERE tenant_id = $1",
        &[&tenant.0],
    )
    .await?;
    tx.run("DELETE FROM tenant_seq WHERE tenant_id = $1", &[&tenant.0])
        .await?;
    tx.commit().await?;
    empty(storage, tenant).await?;
    Ok(true)
}

/// Completes deletions; answers the number of rows removed.
pub(crate) async fn sweep(storage: &PostgresStorage) -> Result<u64, StorageError> {
    let deleted = storage
        .read_all(
            "list deleted tenants",
            "SELECT tenant_id FROM tenants WHERE deleted_at IS NOT NULL AND importing_at IS NULL
             ORDER BY tenant_id",
            &[],
            |row| tenant_id(row, 0, "tenants.tenant_id"),
        )
        .await?;
    let mut rows = 0;
    for tenant in deleted {
        rows += empty(storage, tenant).await?;
        let tx = storage.begin(OPERATION).await?;
        let forgotten = tx.now_ms().saturating_sub(REMEMBERED_MS);
        rows += tx
            .run(
                "DELETE FROM tenants WHERE tenant_id = $1 AND deleted_at < $2",
                &[&tenant.0, &forgotten],
            )
            .await?;
        tx.commit().await?;
    }
    Ok(rows)
}

pub(crate) async fn empty(
    storage: &PostgresStorage,
    tenant: TenantId,
) -> Result<u64, StorageError> {
    let mut rows = 0;
    for sql in deletions(storage).await? {
        loop {
            let tx = storage.begin(OPERATION).await?;
            graph::lock(&tx, tenant).await?;
            let removed = tx.run(&sql, &[&tenant.0, &ROWS]).await?;
            tx.commit().await?;
            rows += removed;
            if removed == 0 {
                break;
            }
        }
    }
    Ok(rows)
}

/// For each table of tenants' data, the statement that deletes some rows of one tenant. By place: keys differ.
pub(crate) async fn deletions(storage: &PostgresStorage) -> Result<Vec<String>, StorageError> {
    storage.read_all(OPERATION,
            "SELECT format('DELETE FROM %1$s WHERE ctid = ANY
                        (ARRAY(SELECT ctid FROM %1$s WHERE tenant_id = $1 LIMIT $2))', c.oid::regclass)
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
             WHERE c.relkind = 'r' AND c.relname <> 'tenants' AND a.attname = 'tenant_id'
               AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'tenants'::regclass)
             ORDER BY c.relname",
            &[],
            |row| text(row, 0, "pg_class"),
        )
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_storage::conformance::tenant;
    use greenroom_storage::{Maintenance, TenantRepository};

    use crate::testing::run as on_new_database;

    #[test]
    fn a_deletion_that_was_cut_off_is_completed_by_the_sweep() {
        on_new_database(async |storage, clock| {
            let tenant = tenant(storage, "a").await;
            let put = storage.put_tenant_settings(tenant, "{\"a\":1}");
            put.await.unwrap();
            let tx = storage.begin("cut off").await.unwrap();
            tx.run("UPDATE tenants SET deleted_at = $1", &[&tx.now_ms()])
                .await
                .unwrap();
            tx.commit().await.unwrap();
            assert!(storage.find_tenant_by_id(tenant).await.unwrap().is_none());
            // Its settings and its place in `tenant_seq`; the tenant itself an hour later.
            assert_eq!(storage.sweep().await.unwrap(), 2);
            assert_eq!(storage.tenant_settings(tenant).await.unwrap().json, "{}");
            clock.advance(REMEMBERED_MS + 1);
            assert_eq!(storage.sweep().await.unwrap(), 1);
            assert_eq!(storage.sweep().await.unwrap(), 0);
        });
    }

    #[test]
    fn every_table_of_a_tenants_data_is_emptied() {
        on_new_database(async |storage, _| {
            let found = deletions(storage).await.unwrap();
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
                    found.iter().any(|sql| sql.starts_with(&start)),
                    "{table} is left"
                );
            }
        });
    }
}
