//! The directory of tenants and their settings.
//!
//! A name belongs to at most one living tenant; a deleted one keeps its row, without its name, until everything in it
//! is gone (see `tenant_deletion`), so an id never comes back.

use async_trait::async_trait;
use greenroom_model::{TenantId, TenantName};
use greenroom_storage::{Lane, NewTenant, StorageError, Tenant, TenantRepository, TenantSettings};
use rusqlite::{Connection, Row, params};

use crate::damage::{bytes32, damaged, tenant_id, timestamp, value};
use crate::sqlite_storage::SqliteStorage;
use crate::statement;
use crate::work::enqueue_tenant;
use crate::writer::WriteTx;

#[async_trait]
impl TenantRepository for SqliteStorage {
    async fn create_tenant(&self, tenant: NewTenant) -> Result<Option<Tenant>, StorageError> {
        self.write("create a tenant", move |tx| create(tx, tenant))
            .await
    }

    async fn list_tenants(&self) -> Result<Vec<Tenant>, StorageError> {
        self.read("list tenants", |conn| {
            statement::all(
                conn,
                "SELECT tenant_id, name, created_at, secret FROM tenants WHERE deleted_at IS NULL ORDER BY name",
                [],
                read_tenant,
            )
        })
        .await
    }

    async fn find_tenant(&self, name: &TenantName) -> Result<Option<Tenant>, StorageError> {
        let name = name.clone();
        self.read("find a tenant", move |conn| by_name(conn, &name))
            .await
    }

    async fn find_tenant_by_id(&self, id: TenantId) -> Result<Option<Tenant>, StorageError> {
        self.read("find a tenant by id", move |conn| {
            statement::one(
                conn,
                "SELECT tenant_id, name, created_at, secret FROM tenants
                 WHERE tenant_id = ?1 AND deleted_at IS NULL",
                params![id.0],
                read_tenant,
            )
        })
        .await
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<bool, StorageError> {
        self.delete_whole_tenant(id).await
    }

    async fn tenant_settings(&self, tenant: TenantId) -> Result<TenantSettings, StorageError> {
        self.read("read a tenant's settings", move |conn| {
            settings(conn, tenant)
        })
        .await
    }

    async fn put_tenant_settings(&self, tenant: TenantId, json: &str) -> Result<(), StorageError> {
        let json = json.to_owned();
        self.write("replace a tenant's settings", move |tx| {
            let before = settings(tx, tenant)?;
            if before.json == json || !is_alive(tx, tenant)? {
                return Ok(());
            }
            tx.run(
                "INSERT INTO tenant_settings (tenant_id, settings, version) VALUES (?1, ?2, ?3)
                 ON CONFLICT (tenant_id) DO UPDATE SET settings = excluded.settings, version = excluded.version",
                params![tenant.0, json, before.version + 1],
            )?;
            enqueue_tenant(tx, tenant, Lane::Bulk)?;
            Ok(())
        })
        .await
    }
}

/// Whether the tenant is there. Writers whose caller looked it up earlier ask again: it may have been deleted since.
pub(crate) fn is_alive(conn: &Connection, tenant: TenantId) -> rusqlite::Result<bool> {
    let found = statement::one(
        conn,
        "SELECT 1 FROM tenants WHERE tenant_id = ?1 AND deleted_at IS NULL",
        params![tenant.0],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

fn create(tx: &mut WriteTx<'_>, tenant: NewTenant) -> rusqlite::Result<Option<Tenant>> {
    if is_taken(tx, &tenant.name)? {
        return Ok(None);
    }
    let now = tx.now();
    tx.run(
        "INSERT INTO tenants (name, secret, created_at) VALUES (?1, ?2, ?3)",
        params![tenant.name.as_str(), tenant.secret, now.0],
    )?;
    let id = TenantId(tx.last_insert_rowid());
    tx.run(
        "INSERT INTO tenant_seq (tenant_id, epoch, seq) VALUES (?1, ?2, 0)",
        params![id.0, tenant.epoch],
    )?;
    tx.complete_record(|record| record.tenant = Some(id));
    Ok(Some(Tenant {
        id,
        name: tenant.name,
        created_at: now,
        secret: tenant.secret,
    }))
}

/// Whether a tenant has that name.
pub(crate) fn is_taken(conn: &Connection, name: &TenantName) -> rusqlite::Result<bool> {
    Ok(by_name(conn, name)?.is_some())
}

fn by_name(conn: &Connection, name: &TenantName) -> rusqlite::Result<Option<Tenant>> {
    statement::one(
        conn,
        "SELECT tenant_id, name, created_at, secret FROM tenants WHERE name = ?1 AND deleted_at IS NULL",
        params![name.as_str()],
        read_tenant,
    )
}

fn read_tenant(row: &Row<'_>) -> rusqlite::Result<Tenant> {
    let name: String = value(row, 1, "tenants.name")?;
    Ok(Tenant {
        id: tenant_id(row, 0, "tenants.tenant_id")?,
        name: TenantName::parse(&name).map_err(|error| damaged("tenants.name", error))?,
        created_at: timestamp(row, 2, "tenants.created_at")?,
        secret: bytes32(row, 3, "tenants.secret")?,
    })
}

fn settings(conn: &Connection, tenant: TenantId) -> rusqlite::Result<TenantSettings> {
    let stored = statement::one(
        conn,
        "SELECT settings, version FROM tenant_settings WHERE tenant_id = ?1",
        params![tenant.0],
        |row| {
            Ok(TenantSettings {
                json: value(row, 0, "tenant_settings.settings")?,
                version: value(row, 1, "tenant_settings.version")?,
            })
        },
    )?;
    Ok(stored.unwrap_or_else(|| TenantSettings {
        json: "{}".into(),
        version: 0,
    }))
}
