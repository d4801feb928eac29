//! Registered locations and the entities they stand for, provided under the source key `locations`.

use async_trait::async_trait;
use greenroom_model::location::registered;
use greenroom_model::{EntityRef, LocationRef, TenantId};
use greenroom_storage::{
    AddedLocation, Child, Deleted, Lane, Location, LocationRepository, NewLocation, ProvidedEntity,
    StorageError, UpdatedLocation,
};
use rusqlite::{Connection, Row, params};

use crate::SqliteStorage;
use crate::children::edges::Source;
use crate::children::{Giver, Placed, place};
use crate::damage::value;
use crate::entities::{Pruning, prune_rest, stored_ref};
use crate::log::last_seq;
use crate::mutations::cut;
use crate::statement;
use crate::writer::WriteTx;

/// The source key of registered locations.
pub(crate) const SOURCE: Source<'static> = Source::Provider("locations");

fn read_location(row: &Row<'_>) -> rusqlite::Result<Location> {
    let r#type: String = value(row, 1, "locations.type")?;
    let target: String = value(row, 2, "locations.target")?;
    Ok(Location {
        id: value(row, 0, "locations.id")?,
        location: LocationRef::new(r#type, target),
        entity_ref: stored_ref(row, 3, "locations.entity_ref")?,
    })
}

fn find(conn: &Connection, tenant: TenantId, id: &str) -> rusqlite::Result<Option<Location>> {
    statement::one(
        conn,
        "SELECT id, type, target, entity_ref FROM locations WHERE tenant_id = ?1 AND id = ?2",
        params![tenant.0, id],
        read_location,
    )
}

fn find_by_target(
    conn: &Connection,
    tenant: TenantId,
    location: &LocationRef,
) -> rusqlite::Result<Option<Location>> {
    statement::one(
        conn,
        "SELECT id, type, target, entity_ref FROM locations
         WHERE tenant_id = ?1 AND type = ?2 AND target = ?3",
        params![tenant.0, location.r#type, location.target],
        read_location,
    )
}

#[async_trait]
impl LocationRepository for SqliteStorage {
    async fn list_locations(&self, tenant: TenantId) -> Result<Vec<Location>, StorageError> {
        self.read("list locations", move |conn| {
            statement::all(
                conn,
                "SELECT id, type, target, entity_ref FROM locations WHERE tenant_id = ?1 ORDER BY id",
                params![tenant.0],
                read_location,
            )
        })
        .await
    }

    async fn scan_locations(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Location>, StorageError> {
        let after = after.unwrap_or_default().to_owned();
        self.read("scan locations", move |conn| {
            statement::all(
                conn,
                "SELECT id, type, target, entity_ref FROM locations
                 WHERE tenant_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                params![tenant.0, after, limit],
                read_location,
            )
        })
        .await
    }

    async fn find_location(
        &self,
        tenant: TenantId,
        id: &str,
    ) -> Result<Option<Location>, StorageError> {
        let id = id.to_owned();
        self.read("find a location", move |conn| find(conn, tenant, &id))
            .await
    }

    async fn find_location_by_target(
        &self,
        tenant: TenantId,
        location: &LocationRef,
    ) -> Result<Option<Location>, StorageError> {
        let location = location.clone();
        self.read("find a location by target", move |conn| {
            find_by_target(conn, tenant, &location)
        })
        .await
    }

    async fn add_location(
        &self,
        tenant: TenantId,
        location: NewLocation,
    ) -> Result<AddedLocation, StorageError> {
        self.write("add a location", move |tx| add(tx, tenant, location))
            .await
    }

    async fn update_location(
        &self,
        tenant: TenantId,
        id: &str,
        location: LocationRef,
        entity: ProvidedEntity,
    ) -> Result<UpdatedLocation, StorageError> {
        let id = id.to_owned();
        self.write("update a location", move |tx| {
            update(tx, tenant, &id, location, entity)
        })
        .await
    }

    async fn delete_location(
        &self,
        tenant: TenantId,
        id: &str,
    ) -> Result<Option<Deleted>, StorageError> {
        let id = id.to_owned();
        let started = self
            .write("delete a location", move |tx| delete(tx, tenant, &id))
            .await?;
        let Some((pruning, gone)) = started else {
            return Ok(None);
        };
        let entities = gone + prune_rest(self, tenant, pruning).await?;
        let seq = self
            .read("delete a location", move |conn| last_seq(conn, tenant))
            .await?;
        Ok(Some(Deleted { entities, seq }))
    }
}

fn add(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    new: NewLocation,
) -> rusqlite::Result<AddedLocation> {
    if let Some(known) = find_by_target(tx, tenant, &new.location)? {
        return Ok(AddedLocation::Exists(known));
    }
    let location = Location {
        id: new.id,
        location: new.location,
        entity_ref: new.entity.entity_ref.clone(),
    };
    if let Placed::NoRoom(over) = place(tx, giver(tenant), &new.entity.into())? {
        return Ok(AddedLocation::OverQuota(over));
    }
    tx.run(
        "INSERT INTO locations (tenant_id, id, type, target, entity_ref) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            tenant.0,
            location.id,
            location.location.r#type,
            location.location.target,
            location.entity_ref.as_str()
        ],
    )?;
    Ok(AddedLocation::Added(location))
}

fn giver(tenant: TenantId) -> Giver<'static> {
    Giver {
        tenant,
        source: SOURCE,
        orphan: false,
        new: Lane::OnRequest,
        changed: Lane::OnRequest,
    }
}

fn update(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    id: &str,
    location: LocationRef,
    entity: ProvidedEntity,
) -> rusqlite::Result<UpdatedLocation> {
    let Some(known) = find(tx, tenant, id)? else {
        return Ok(UpdatedLocation::Missing);
    };
    if find_by_target(tx, tenant, &location)?.is_some_and(|other| other.id != id) {
        return Ok(UpdatedLocation::Taken);
    }
    if let Placed::NoRoom(over) = place(tx, giver(tenant), &entity.into())? {
        return Ok(UpdatedLocation::OverQuota(over));
    }
    tx.run(
        "UPDATE locations SET type = ?3, target = ?4 WHERE tenant_id = ?1 AND id = ?2",
        params![tenant.0, id, location.r#type, location.target],
    )?;
    Ok(UpdatedLocation::Updated(Location { location, ..known }))
}

/// Deletes the row and begins the pruning; where another location stands behind the same entity, gives it that one's body.
fn delete(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    id: &str,
) -> rusqlite::Result<Option<(Pruning, u64)>> {
    let Some(location) = find(tx, tenant, id)? else {
        return Ok(None);
    };
    tx.run(
        "DELETE FROM locations WHERE tenant_id = ?1 AND id = ?2",
        params![tenant.0, id],
    )?;
    let mut pruning = Pruning::default();
    if let Some(other) = find_by_entity(tx, tenant, &location.entity_ref)? {
        hand_over(tx, tenant, &other)?;
        return Ok(Some((pruning, 0)));
    }
    cut(tx, tenant, SOURCE, &[location.entity_ref], &mut pruning)?;
    let gone = pruning.step(tx, tenant)?;
    Ok(Some((pruning, gone)))
}

/// Makes the shared entity that of one location.
fn hand_over(tx: &mut WriteTx<'_>, tenant: TenantId, location: &Location) -> rusqlite::Result<()> {
    // What was registered could be generated once; where it cannot any more, the entity stays as it is.
    let Ok(entity) = registered(&location.location, &location.entity_ref) else {
        return Ok(());
    };
    let child = Child {
        entity_ref: location.entity_ref.clone(),
        unprocessed: entity.to_json(),
        location_key: Some(location.location.to_string()),
    };
    place(tx, giver(tenant), &child).map(|_| ())
}

fn find_by_entity(
    conn: &Connection,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> rusqlite::Result<Option<Location>> {
    statement::one(
        conn,
        "SELECT id, type, target, entity_ref FROM locations
         WHERE tenant_id = ?1 AND entity_ref = ?2 ORDER BY id LIMIT 1",
        params![tenant.0, entity_ref.as_str()],
        read_location,
    )
}
