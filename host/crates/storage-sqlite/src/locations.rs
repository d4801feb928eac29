//! Registered locations and the entities they stand for, provided under the source key `locations`.

use async_trait::async_trait;
use greenroom_model::{EntityRef, LocationRef, TenantId};
use greenroom_storage::{
    AddedLocation, Deleted, Lane, Location, LocationRepository, NewLocation, StorageError,
};
use rusqlite::{Connection, Row, params};

use crate::SqliteStorage;
use crate::children::edges::Source;
use crate::children::{Giver, place};
use crate::damage::value;
use crate::entities::{Pruning, prune_rest, stored_ref};
use crate::log::last_seq;
use crate::mutations::{as_child, cut};
use crate::statement;
use crate::writer::WriteTx;

/// The source key of registered locations.
const SOURCE: Source<'static> = Source::Provider("locations");

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
    let giver = Giver {
        tenant,
        source: SOURCE,
        orphan: false,
        new: Lane::OnRequest,
        changed: Lane::OnRequest,
    };
    place(tx, giver, &as_child(new.entity))?;
    Ok(AddedLocation::Added(location))
}

/// Deletes the row and, unless another location stands behind the same entity, begins the pruning.
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
    if shared(tx, tenant, &location.entity_ref)? {
        return Ok(Some((pruning, 0)));
    }
    cut(tx, tenant, SOURCE, &[location.entity_ref], &mut pruning)?;
    let gone = pruning.step(tx, tenant)?;
    Ok(Some((pruning, gone)))
}

fn shared(conn: &Connection, tenant: TenantId, entity_ref: &EntityRef) -> rusqlite::Result<bool> {
    let other = statement::one(
        conn,
        "SELECT 1 FROM locations WHERE tenant_id = ?1 AND entity_ref = ?2 LIMIT 1",
        params![tenant.0, entity_ref.as_str()],
        |_| Ok(()),
    )?;
    Ok(other.is_some())
}
