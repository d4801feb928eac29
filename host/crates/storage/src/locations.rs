//! Registered locations (ref §7.8) and the entities they stand for.
use crate::{Deleted, ProvidedEntity, StorageError};
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
}

/// Registered locations of one tenant. The entity edge has the source key `locations`.
#[async_trait]
pub trait LocationRepository {
    /// All, by id.
    async fn list_locations(&self, tenant: TenantId) -> Result<Vec<Location>, StorageError>;
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
    /// Removes a location and, at once, what only it reaches; `None` if there is none.
    async fn delete_location(
        &self,
        tenant: TenantId,
        id: &str,
    ) -> Result<Option<Deleted>, StorageError>;
}
