//! Tenants on their way out and in, by the description of their tables (see `greenroom_storage::MOVED_TABLES`).

mod import;
mod rows;

use async_trait::async_trait;
use greenroom_model::{Digest, TenantId};
use greenroom_storage::{
    IMPORT_REST_MS, ImportEnd, Imported, MoveRepository, MovedRow, MovedTable, NewTenant,
    StorageError, UploadId,
};

use crate::postgres_storage::PostgresStorage;
use crate::tenant_deletion;

#[async_trait]
impl MoveRepository for PostgresStorage {
    async fn export_rows(
        &self,
        tenant: TenantId,
        table: &'static MovedTable,
        after: Option<&MovedRow>,
    ) -> Result<Vec<MovedRow>, StorageError> {
        rows::page(self, tenant, table, after).await
    }

    async fn begin_import(&self, tenant: &NewTenant) -> Result<TenantId, StorageError> {
        let tx = self.begin("begin an import").await?;
        let id = import::begin(&tx, tenant).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn import_rows(
        &self,
        tenant: TenantId,
        table: &'static MovedTable,
        rows: Vec<MovedRow>,
    ) -> Result<Imported, StorageError> {
        let tx = self.begin("import rows").await?;
        let added = import::add(&tx, tenant, table, rows).await?;
        if added == Imported::Added {
            tx.commit().await?;
        } else {
            tx.roll_back().await?;
        }
        Ok(added)
    }

    async fn import_component(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Imported, StorageError> {
        let tx = self.begin("import a component").await?;
        let added = import::component(&tx, tenant, upload, digest, bytes).await?;
        tx.commit().await?;
        Ok(added)
    }

    async fn finish_import(
        &self,
        id: TenantId,
        tenant: NewTenant,
    ) -> Result<ImportEnd, StorageError> {
        let tx = self.begin("end an import").await?;
        let end = import::finish(&tx, id, tenant).await?;
        tx.commit().await?;
        Ok(end)
    }

    async fn drop_import(&self, tenant: TenantId) -> Result<(), StorageError> {
        let tx = self.begin("give an import up").await?;
        let given_up = tx
            .run(
                "UPDATE tenants SET deleted_at = $2, importing_at = NULL
                 WHERE tenant_id = $1 AND importing_at IS NOT NULL",
                &[&tenant.0, &tx.now_ms()],
            )
            .await?;
        tx.commit().await?;
        if given_up > 0 {
            tenant_deletion::empty(self, tenant).await?;
        }
        Ok(())
    }
}

/// Every statement that is made from a description, for the test of plans.
#[cfg(test)]
pub(crate) fn statements() -> Vec<String> {
    let mut statements = Vec::new();
    for table in greenroom_storage::MOVED_TABLES {
        statements.push(rows::page_statement(table, false));
        statements.extend((table.key > 0).then(|| rows::page_statement(table, true)));
        statements.push(rows::insertion(table));
        statements.extend(table.entity.map(|(_, of)| import::missing_statement(of)));
    }
    statements
}

/// Gives up imports that rest too long; their rows go with those of deleted tenants. Answers how many.
pub(crate) async fn sweep(storage: &PostgresStorage) -> Result<u64, StorageError> {
    let tx = storage.begin("give up imports that rest").await?;
    let rested = tx.now_ms().saturating_sub(IMPORT_REST_MS);
    let given_up = tx
        .run(
            "UPDATE tenants SET deleted_at = $1, importing_at = NULL
             WHERE importing_at < $2",
            &[&tx.now_ms(), &rested],
        )
        .await?;
    tx.commit().await?;
    Ok(given_up)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use greenroom_storage::{LEFT_TABLES, MOVED_TABLES};

    use crate::damage::text;
    use crate::testing::run as on_new_database;

    #[test]
    fn every_table_and_column_of_a_tenant_is_moved_or_left_on_purpose() {
        on_new_database(async |storage, _| {
            let columns = storage.read_all(
                "columns",
                "SELECT c.table_name::text, c.column_name::text FROM information_schema.columns c
                 WHERE c.table_schema = current_schema() AND c.column_name <> 'tenant_id'
                   AND EXISTS (SELECT 1 FROM information_schema.columns k WHERE k.table_schema = c.table_schema
                               AND k.table_name = c.table_name AND k.column_name = 'tenant_id')",
                &[],
                |row| Ok((text(row, 0, "columns")?, text(row, 1, "columns")?)),
            );
            let there: BTreeSet<_> = columns
                .await
                .unwrap()
                .into_iter()
                .filter(|(table, _)| !LEFT_TABLES.contains(&table.as_str()))
                .collect();
            let moved: BTreeSet<_> = MOVED_TABLES
                .iter()
                .flat_map(|table| table.columns.iter().map(|one| (table.name, one.name)))
                .map(|(table, column)| (table.to_owned(), column.to_owned()))
                .collect();
            assert_eq!(there, moved);
        });
    }
}
