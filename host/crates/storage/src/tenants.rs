//! The directory of tenants and each tenant's settings.
use crate::StorageError;
use async_trait::async_trait;
use greenroom_model::{TenantId, TenantName, Timestamp};

/// A tenant. Its id is internal and never reused, also when the name is created again.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Internal id.
    pub id: TenantId,
    /// The name in URLs.
    pub name: TenantName,
    /// When it was created.
    pub created_at: Timestamp,
    /// 32 random bytes that seed its guests' randomness. Never leaves the host.
    pub secret: [u8; 32],
}

/// A tenant to create.
#[derive(Debug)]
pub struct NewTenant {
    /// Its name.
    pub name: TenantName,
    /// Its secret (see [`Tenant::secret`]).
    pub secret: [u8; 32],
    /// The epoch of its change log, a fresh UUID.
    pub epoch: String,
}

/// The catalog settings of a tenant as JSON (rules, location types, integrations, `reading.allow`), opaque here.
/// `version` rises with every change and belongs to the memo's inputs through the digest of the text.
#[derive(Debug, Clone, Default)]
pub struct TenantSettings {
    /// JSON text; `{}` if never set.
    pub json: String,
    /// Rises by one with each change.
    pub version: i64,
}

/// The directory; works across tenants.
#[async_trait]
pub trait TenantRepository {
    /// Creates a tenant; `None` if the name is taken.
    async fn create_tenant(&self, tenant: NewTenant) -> Result<Option<Tenant>, StorageError>;
    /// All tenants by name.
    async fn list_tenants(&self) -> Result<Vec<Tenant>, StorageError>;
    /// The tenant of that exact name.
    async fn find_tenant(&self, name: &TenantName) -> Result<Option<Tenant>, StorageError>;
    /// The tenant with that id.
    async fn find_tenant_by_id(&self, id: TenantId) -> Result<Option<Tenant>, StorageError>;
    /// Removes a tenant and everything in it; `false` if there was none.
    async fn delete_tenant(&self, id: TenantId) -> Result<bool, StorageError>;
    /// A tenant's settings.
    async fn tenant_settings(&self, tenant: TenantId) -> Result<TenantSettings, StorageError>;
    /// Replaces a tenant's settings. If they differ from the stored ones, every entity of the tenant is queued in lane
    /// *bulk* (their memos hold the settings' digest, so unchanged results are skipped).
    async fn put_tenant_settings(&self, tenant: TenantId, json: &str) -> Result<(), StorageError>;
}
