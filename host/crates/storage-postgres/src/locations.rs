//! Registered locations and the entities they stand for, provided under the source key `locations`.
//!
//! What writes holds the tenant's graph, so a target that is free stays free until it is taken.

use async_trait::async_trait;
use greenroom_model::location::registered;
use greenroom_model::{EntityRef, LocationRef, TenantId};
use greenroom_storage::{
    AddedLocation, Child, Deleted, Lane, Location, LocationRepository, NewLocation, OverQuota,
    ProvidedEntity, StorageError, UpdatedLocation,
};
use tokio_postgres::Row;

use crate::children::edges::Source;
use crate::children::{self, Giver};
use crate::damage::text;
use crate::entities::{Pruning, prune_rest, stored_ref};
use crate::mutations::cut;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::{PostgresStorage, graph};

/// The source key of registered locations,
const KEY: &str = "locations";
/// and the source.
pub(crate) const SOURCE: Source<'static> = Source::Provider(KEY);

fn read_location(row: &Row) -> Result<Location, StorageError> {
    let r#type = text(row, 1, "locations.type")?;
    let target = text(row, 2, "locations.target")?;
    Ok(Location {
        id: text(row, 0, "locations.id")?,
        location: LocationRef::new(r#type, target),
        entity_ref: stored_ref(row, 3, "locations.entity_ref")?,
    })
}

#[async_trait]
impl LocationRepository for PostgresStorage {
    async fn list_locations(&self, tenant: TenantId) -> Result<Vec<Location>, StorageError> {
        self.read_all(
            "list locations",
            "SELECT id, type, target, entity_ref FROM locations WHERE tenant_id = $1 ORDER BY id",
            &[&tenant.0],
            read_location,
        )
        .await
    }

    async fn scan_locations(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Location>, StorageError> {
        self.read_all(
            "scan locations",
            "SELECT id, type, target, entity_ref FROM locations
             WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3",
            &[
                &tenant.0,
                &Text(after.unwrap_or_default()),
                &i64::from(limit),
            ],
            read_location,
        )
        .await
    }

    async fn find_location(
        &self,
        tenant: TenantId,
        id: &str,
    ) -> Result<Option<Location>, StorageError> {
        self.read_one(
            "find a location",
            "SELECT id, type, target, entity_ref FROM locations WHERE tenant_id = $1 AND id = $2",
            &[&tenant.0, &Text(id)],
            read_location,
        )
        .await
    }

    async fn find_location_by_target(
        &self,
        tenant: TenantId,
        location: &LocationRef,
    ) -> Result<Option<Location>, StorageError> {
        self.read_one(
            "find a location by target",
            "SELECT id, type, target, entity_ref FROM locations
             WHERE tenant_id = $1 AND type = $2 AND target = $3",
            &[&tenant.0, &Text(&location.r#type), &Text(&location.target)],
            read_location,
        )
        .await
    }

    async fn add_location(
        &self,
        tenant: TenantId,
        location: NewLocation,
    ) -> Result<AddedLocation, StorageError> {
        let tx = self.begin("add a location").await?;
        graph::lock(&tx, tenant).await?;
        if let Some(known) = with_target(&tx, tenant, &location.location).await? {
            tx.roll_back().await?;
            return Ok(AddedLocation::Exists(known));
        }
        match add(&tx, tenant, location).await? {
            Ok(added) => {
                tx.commit().await?;
                Ok(AddedLocation::Added(added))
            }
            Err(over) => {
                tx.roll_back().await?;
                Ok(AddedLocation::OverQuota(over))
            }
        }
    }

    async fn update_location(
        &self,
        tenant: TenantId,
        id: &str,
        location: LocationRef,
        entity: ProvidedEntity,
    ) -> Result<UpdatedLocation, StorageError> {
        let tx = self.begin("update a location").await?;
        graph::lock(&tx, tenant).await?;
        let updated = update(&tx, tenant, id, location, entity.into()).await?;
        match updated {
            UpdatedLocation::Updated(_) => tx.commit().await?,
            UpdatedLocation::Taken | UpdatedLocation::Missing | UpdatedLocation::OverQuota(_) => {
                tx.roll_back().await?;
            }
        }
        Ok(updated)
    }

    async fn delete_location(
        &self,
        tenant: TenantId,
        id: &str,
    ) -> Result<Option<Deleted>, StorageError> {
        const OPERATION: &str = "delete a location";
        let tx = self.begin(OPERATION).await?;
        graph::lock(&tx, tenant).await?;
        let Some((gone, pruning)) = delete(&tx, tenant, id).await? else {
            tx.roll_back().await?;
            return Ok(None);
        };
        tx.commit().await?;
        let entities = gone + prune_rest(self, tenant, pruning).await?;
        let seq = self.last_seq(OPERATION, tenant).await?;
        Ok(Some(Deleted { entities, seq }))
    }
}

async fn with_target(
    tx: &Transaction,
    tenant: TenantId,
    location: &LocationRef,
) -> Result<Option<Location>, StorageError> {
    tx.one(
        "SELECT id, type, target, entity_ref FROM locations
         WHERE tenant_id = $1 AND type = $2 AND target = $3",
        &[&tenant.0, &Text(&location.r#type), &Text(&location.target)],
        read_location,
    )
    .await
}

async fn add(
    tx: &Transaction,
    tenant: TenantId,
    new: NewLocation,
) -> Result<Result<Location, OverQuota>, StorageError> {
    let location = Location {
        id: new.id,
        location: new.location,
        entity_ref: new.entity.entity_ref.clone(),
    };
    tx.run(
        "INSERT INTO locations (tenant_id, id, type, target, entity_ref) VALUES ($1, $2, $3, $4, $5)",
        &[
            &tenant.0,
            &Text(&location.id),
            &Text(&location.location.r#type),
            &Text(&location.location.target),
            &Text(location.entity_ref.as_str()),
        ],
    )
    .await?;
    let provided = provide(tx, tenant, new.entity.into()).await?;
    Ok(provided.map(|()| location))
}

/// Gives the entity of a location, in lane *on request*; why it has no room, if it has none.
async fn provide(
    tx: &Transaction,
    tenant: TenantId,
    entity: Child,
) -> Result<Result<(), OverQuota>, StorageError> {
    let giver = Giver::provider(KEY, Lane::OnRequest);
    let mut applied = children::apply(tx, tenant, giver, &[entity]).await?;
    Ok(applied.left_out.pop().map_or(Ok(()), Err))
}

async fn update(
    tx: &Transaction,
    tenant: TenantId,
    id: &str,
    location: LocationRef,
    entity: Child,
) -> Result<UpdatedLocation, StorageError> {
    let known = tx
        .one(
            "SELECT id, type, target, entity_ref FROM locations WHERE tenant_id = $1 AND id = $2",
            &[&tenant.0, &Text(id)],
            read_location,
        )
        .await?;
    let Some(known) = known else {
        return Ok(UpdatedLocation::Missing);
    };
    let other = with_target(tx, tenant, &location).await?;
    if other.is_some_and(|other| other.id != id) {
        return Ok(UpdatedLocation::Taken);
    }
    tx.run(
        "UPDATE locations SET type = $3, target = $4 WHERE tenant_id = $1 AND id = $2",
        &[
            &tenant.0,
            &Text(id),
            &Text(&location.r#type),
            &Text(&location.target),
        ],
    )
    .await?;
    if let Err(over) = provide(tx, tenant, entity).await? {
        return Ok(UpdatedLocation::OverQuota(over));
    }
    Ok(UpdatedLocation::Updated(Location { location, ..known }))
}

/// Deletes the row and begins the pruning; where another location stands behind the same entity, gives it that one's body.
async fn delete(
    tx: &Transaction,
    tenant: TenantId,
    id: &str,
) -> Result<Option<(u64, Pruning)>, StorageError> {
    let deleted = tx
        .one(
            "DELETE FROM locations WHERE tenant_id = $1 AND id = $2 RETURNING id, type, target, entity_ref",
            &[&tenant.0, &Text(id)],
            read_location,
        )
        .await?;
    let Some(location) = deleted else {
        return Ok(None);
    };
    let other = tx
        .one(
            "SELECT id, type, target, entity_ref FROM locations
             WHERE tenant_id = $1 AND entity_ref = $2 ORDER BY id LIMIT 1",
            &[&tenant.0, &Text(location.entity_ref.as_str())],
            read_location,
        )
        .await?;
    if let Some(other) = other {
        hand_over(tx, tenant, &other).await?;
        return Ok(Some((0, Pruning::default())));
    }
    let entity: &[EntityRef] = &[location.entity_ref];
    cut(tx, tenant, SOURCE, entity).await.map(Some)
}

/// Makes the shared entity that of one location.
async fn hand_over(
    tx: &Transaction,
    tenant: TenantId,
    location: &Location,
) -> Result<(), StorageError> {
    // What was registered could be generated once; where it cannot any more, the entity stays as it is.
    let Ok(entity) = registered(&location.location, &location.entity_ref) else {
        return Ok(());
    };
    let child = Child {
        entity_ref: location.entity_ref.clone(),
        unprocessed: entity.to_json(),
        location_key: Some(location.location.to_string()),
    };
    // Its own place is free where it was gone; who has the quota lowered finds the location without its entity.
    provide(tx, tenant, child).await.map(|_| ())
}
