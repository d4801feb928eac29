//! The directory of tenants and their settings.
//!
//! A name belongs to at most one living tenant; a deleted one keeps its row, without its name, until everything in it
//! is gone (see `tenant_deletion`), so an id never comes back.

use async_trait::async_trait;
use greenroom_model::{TenantId, TenantName};
use greenroom_storage::{Lane, NewTenant, StorageError, Tenant, TenantRepository, TenantSettings};
use tokio_postgres::Row;

use crate::damage::{bytes32, damaged, tenant_id, text, timestamp, value};
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::enqueue_tenant;
use crate::{graph, tenant_deletion};

#[async_trait]
impl TenantRepository for PostgresStorage {
    async fn create_tenant(&self, tenant: NewTenant) -> Result<Option<Tenant>, StorageError> {
        let tx = self.begin("create a tenant").await?;
        let created = create(&tx, tenant).await?;
        tx.commit().await?;
        Ok(created)
    }

    async fn list_tenants(&self) -> Result<Vec<Tenant>, StorageError> {
        self.read_all("list tenants",
                "SELECT tenant_id, name, created_at, secret FROM tenants WHERE deleted_at IS NULL ORDER BY name",
                &[],
                read_tenant,
            )
            .await
    }

    async fn find_tenant(&self, name: &TenantName) -> Result<Option<Tenant>, StorageError> {
        self.read_one("find a tenant",
                "SELECT tenant_id, name, created_at, secret FROM tenants WHERE name = $1 AND deleted_at IS NULL",
                &[&Text(name.as_str())],
                read_tenant,
            )
            .await
    }

    async fn find_tenant_by_id(&self, id: TenantId) -> Result<Option<Tenant>, StorageError> {
        self.read_one(
            "find a tenant by id",
            "SELECT tenant_id, name, created_at, secret FROM tenants
                 WHERE tenant_id = $1 AND deleted_at IS NULL",
            &[&id.0],
            read_tenant,
        )
        .await
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<bool, StorageError> {
        tenant_deletion::delete(self, id).await
    }

    async fn tenant_settings(&self, tenant: TenantId) -> Result<TenantSettings, StorageError> {
        let found = self
            .read_one(
                "read a tenant's settings",
                "SELECT settings, version FROM tenant_settings WHERE tenant_id = $1",
                &[&tenant.0],
                read_settings,
            )
            .await?;
        Ok(found.unwrap_or_else(unset))
    }

    async fn put_tenant_settings(&self, tenant: TenantId, json: &str) -> Result<(), StorageError> {
        let tx = self.begin("replace a tenant's settings").await?;
        graph::lock(&tx, tenant).await?;
        let before = tx
            .one(
                "SELECT settings, version FROM tenant_settings WHERE tenant_id = $1",
                &[&tenant.0],
                read_settings,
            )
            .await?
            .unwrap_or_else(unset);
        if before.json == json || !is_alive(&tx, tenant).await? {
            return tx.roll_back().await;
        }
        tx.run(
            "INSERT INTO tenant_settings (tenant_id, settings, version) VALUES ($1, $2, $3)
             ON CONFLICT (tenant_id) DO UPDATE SET settings = excluded.settings, version = excluded.version",
            &[&tenant.0, &Text(json), &(before.version + 1)],
        )
        .await?;
        enqueue_tenant(&tx, tenant, Lane::Bulk).await?;
        tx.commit().await
    }
}

/// Whether the tenant is there. Writers whose caller looked it up earlier ask again: it may have been deleted since. What
/// is answered stays true under the tenant's graph lock, which a deletion takes.
pub(crate) async fn is_alive(tx: &Transaction, tenant: TenantId) -> Result<bool, StorageError> {
    let found = tx
        .rows(
            "SELECT 1 FROM tenants WHERE tenant_id = $1 AND deleted_at IS NULL",
            &[&tenant.0],
        )
        .await?;
    Ok(!found.is_empty())
}

async fn create(tx: &Transaction, tenant: NewTenant) -> Result<Option<Tenant>, StorageError> {
    // Of two that create the same name at once, the second waits here for the first.
    let id = tx
        .one(
            "INSERT INTO tenants (name, secret, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) WHERE deleted_at IS NULL DO NOTHING RETURNING tenant_id",
            &[
                &Text(tenant.name.as_str()),
                &tenant.secret.as_slice(),
                &tx.now_ms(),
            ],
            |row| tenant_id(row, 0, "tenants.tenant_id"),
        )
        .await?;
    let Some(id) = id else { return Ok(None) };
    tx.run(
        "INSERT INTO tenant_seq (tenant_id, epoch, seq) VALUES ($1, $2, 0)",
        &[&id.0, &Text(&tenant.epoch)],
    )
    .await?;
    tx.complete_record(|record| record.tenant = Some(id));
    Ok(Some(Tenant {
        id,
        name: tenant.name,
        created_at: tx.now(),
        secret: tenant.secret,
    }))
}

fn read_tenant(row: &Row) -> Result<Tenant, StorageError> {
    let name = text(row, 1, "tenants.name")?;
    Ok(Tenant {
        id: tenant_id(row, 0, "tenants.tenant_id")?,
        name: TenantName::parse(&name).map_err(|error| damaged("tenants.name", error))?,
        created_at: timestamp(row, 2, "tenants.created_at")?,
        secret: bytes32(row, 3, "tenants.secret")?,
    })
}

fn read_settings(row: &Row) -> Result<TenantSettings, StorageError> {
    Ok(TenantSettings {
        json: text(row, 0, "tenant_settings.settings")?,
        version: value(row, 1, "tenant_settings.version")?,
    })
}

/// The settings of a tenant that never had any.
fn unset() -> TenantSettings {
    TenantSettings {
        json: "{}".into(),
        version: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::testing::run as on_new_database;

    #[test]
    fn of_several_that_create_a_tenant_at_once_one_does() {
        on_new_database(async |storage, _| {
            let create = || {
                storage.create_tenant(NewTenant {
                    name: TenantName::parse("a").unwrap(),
                    secret: [0; 32],
                    epoch: "e".to_owned(),
                })
            };
            let created = tokio::join!(create(), create(), create(), create());
            let created: [Result<Option<Tenant>, _>; 4] = created.into();
            let created = created.into_iter().filter_map(Result::unwrap);
            assert_eq!(created.count(), 1);
        });
    }
}
