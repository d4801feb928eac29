//! Registered locations (ref §7.8) and the entities they stand for.
use crate::{Deleted, OverQuota, ProvidedEntity, StorageError};
use async_trait::async_trait;
use greenroom_model::{EntityRef, LocationRef, TenantId};

/// A registered location.
#[derive(Debug, Clone)]
pub struct Location {
    /// UUID.
    pub id: String,
    /// Type and target.
    pub location: LocationRef,
    /// The generated Location entity (ref §6.3).
    pub entity_ref: EntityRef,
}

/// A location to register, with its generated entity.
#[derive(Debug)]
pub struct NewLocation {
    /// A fresh UUID.
    pub id: String,
    /// Type and target.
    pub location: LocationRef,
    /// The generated Location entity, to be provided by the source key `locations`.
    pub entity: ProvidedEntity,
}

/// What registering gave.
#[derive(Debug)]
pub enum AddedLocation {
    /// It is new.
    Added(Location),
    /// The same type and target were registered before.
    Exists(Location),
    /// Its entity has no room; nothing is registered.
    OverQuota(OverQuota),
}

/// What changing a location gave.
#[derive(Debug)]
pub enum UpdatedLocation {
    /// As it is now.
    Updated(Location),
    /// Another one has that type and target.
    Taken,
    /// There is none with that id.
    Missing,
    /// Its entity was gone and has no room; nothing is changed.
    OverQuota(OverQuota),
}

/// Registered locations of one tenant. The entity edge has the source key `locations`.
#[async_trait]
pub trait LocationRepository {
    /// All, by id.
    async fn list_locations(&self, tenant: TenantId) -> Result<Vec<Location>, StorageError>;
    /// Up to `limit` by id after `after`, so that many are walked in short statements.
    async fn scan_locations(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Location>, StorageError>;
    /// One by id.
    async fn find_location(
        &self,
        tenant: TenantId,
        id: &str,
    ) -> Result<Option<Location>, StorageError>;
    /// One by type and target.
    async fn find_location_by_target(
        &self,
        tenant: TenantId,
        location: &LocationRef,
    ) -> Result<Option<Location>, StorageError>;
    /// Registers a location and queues its entity in lane *on request*, in one transaction.
    async fn add_location(
        &self,
        tenant: TenantId,
        location: NewLocation,
    ) -> Result<AddedLocation, StorageError>;
    /// Changes what a location points at. `entity` has the ref it was registered with, which stays, and is queued in lane
    /// *on request*.
    async fn update_location(
        &self,
        tenant: TenantId,
        id: &str,
        location: LocationRef,
        entity: ProvidedEntity,
    ) -> Result<UpdatedLocation, StorageError>;
    /// Removes a location and, at once, what only it reaches; `None` if there is none. An entity that it shared with another
    /// location (one registered for the target that the other had before) becomes the other's.
    async fn delete_location(
        &self,
        tenant: TenantId,
        id: &str,
    ) -> Result<Option<Deleted>, StorageError>;
}
