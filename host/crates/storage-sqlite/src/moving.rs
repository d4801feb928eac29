//! Tenants on their way out and in, by the description of their tables (see `greenroom_storage::MOVED_TABLES`).

mod import;
mod rows;

use async_trait::async_trait;
use greenroom_model::{Digest, TenantId};
use greenroom_storage::{
    ImportEnd, Imported, MoveRepository, MovedRow, MovedTable, NewTenant, StorageError, UploadId,
};

use crate::sqlite_storage::SqliteStorage;

#[async_trait]
impl MoveRepository for SqliteStorage {
    async fn export_rows(
        &self,
        tenant: TenantId,
        table: &'static MovedTable,
        after: Option<&MovedRow>,
    ) -> Result<Vec<MovedRow>, StorageError> {
        let after = after.cloned();
        self.read("read rows of a tenant", move |conn| {
            rows::page(conn, tenant, table, after.as_ref())
        })
        .await
    }

    async fn begin_import(&self, tenant: &NewTenant) -> Result<TenantId, StorageError> {
        let (name, secret) = (tenant.name.clone(), tenant.secret);
        self.write("begin an import", move |tx| {
            import::begin(tx, &name, secret)
        })
        .await
    }

    async fn import_rows(
        &self,
        tenant: TenantId,
        table: &'static MovedTable,
        rows: Vec<MovedRow>,
    ) -> Result<Imported, StorageError> {
        self.write("import rows", move |tx| {
            import::add(tx, tenant, table, rows)
        })
        .await
    }

    async fn import_component(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Imported, StorageError> {
        let (upload, digest) = (upload.clone(), *digest);
        self.write("import a component", move |tx| {
            import::component(tx, tenant, &upload, digest, bytes)
        })
        .await
    }

    async fn finish_import(
        &self,
        id: TenantId,
        tenant: NewTenant,
    ) -> Result<ImportEnd, StorageError> {
        self.write("end an import", move |tx| import::finish(tx, id, tenant))
            .await
    }

    async fn drop_import(&self, tenant: TenantId) -> Result<(), StorageError> {
        let given_up = self
            .write("give an import up", move |tx| {
                import::give_up(tx, tenant, i64::MAX)
            })
            .await?;
        if given_up > 0 {
            self.empty_tenant(tenant).await?;
        }
        Ok(())
    }
}

impl SqliteStorage {
    /// Gives up imports that rest too long; their rows go with those of deleted tenants. Answers how many.
    pub(crate) async fn sweep_imports(&self) -> Result<u64, StorageError> {
        self.write("give up imports that rest", import::give_up_resting)
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use greenroom_storage::{LEFT_TABLES, MOVED_TABLES};

    use crate::sqlite_storage::tests::{block_on, new_storage};
    use crate::statement;

    #[test]
    fn every_table_and_column_of_a_tenant_is_moved_or_left_on_purpose() {
        let (storage, _clock, _directory) = new_storage();
        let columns = block_on(storage.read("columns", |conn| {
            statement::all(
                conn,
                "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
                 WHERE t.type = 'table' AND c.name <> 'tenant_id'
                   AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) k WHERE k.name = 'tenant_id')",
                [],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
            )
        }))
        .unwrap();
        let there: BTreeSet<_> = columns
            .into_iter()
            .filter(|(table, _)| !LEFT_TABLES.contains(&table.as_str()))
            .collect();
        let moved: BTreeSet<_> = MOVED_TABLES
            .iter()
            .flat_map(|table| table.columns.iter().map(|one| (table.name, one.name)))
            .map(|(table, column)| (table.to_owned(), column.to_owned()))
            .collect();
        assert_eq!(there, moved);
    }
}
