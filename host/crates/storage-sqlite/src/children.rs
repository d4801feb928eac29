//! Placing an entity that a parent emits or a provider gives: insert, update, or lose (ref §5.4).
//!
//! Who may write a ref is decided by location keys alone: a row without one is anybody's, a row with one belongs to
//! that key, and an orphan yields its key to any emitter, so that a moved file keeps its uid. Every source that is let in
//! keeps its edge; the bytes are the last one's. What loses is a row in `conflicts` until its owner goes.

pub(crate) mod chain;
pub(crate) mod conflicts;
pub(crate) mod edges;

use greenroom_model::{EntityUid, TenantId};
use greenroom_storage::{Child, Lane, OverQuota};
use rusqlite::params;
use uuid::Uuid;

use crate::damage::{uid, value};
use crate::orphans;
use crate::quotas;
use crate::statement;
use crate::work::enqueue;
use crate::writer::WriteTx;
use edges::Source;

/// What came of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is new.
    Inserted,
    /// Its bytes, its location key or this edge is new.
    Updated,
    /// All three were there.
    Unchanged,
    /// Another location key owns it.
    Conflict,
    /// It would be new, and the tenant has as many as it may have.
    NoRoom(OverQuota),
}

/// Who gives entities, and where they are queued.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Giver<'a> {
    /// The tenant.
    pub(crate) tenant: TenantId,
    /// Where the edge comes from.
    pub(crate) source: Source<'a>,
    /// Whether nothing reaches the giver itself: then what it gives is not rescued by it.
    pub(crate) orphan: bool,
    /// Lane of new entities.
    pub(crate) new: Lane,
    /// Lane of updated ones.
    pub(crate) changed: Lane,
}

struct Row {
    uid: EntityUid,
    location_key: Option<String>,
    same_bytes: bool,
    orphan: bool,
}

/// Places one entity, with its edge and its work.
pub(crate) fn place(
    tx: &mut WriteTx<'_>,
    giver: Giver<'_>,
    child: &Child,
) -> rusqlite::Result<Placed> {
    let tenant = giver.tenant;
    let row = statement::one(
        tx,
        "SELECT entity_id, location_key, unprocessed_entity = ?3, orphaned_at IS NOT NULL
         FROM refresh_state WHERE tenant_id = ?1 AND entity_ref = ?2",
        params![tenant.0, child.entity_ref.as_str(), child.unprocessed],
        |row| {
            Ok(Row {
                uid: uid(row, 0, "refresh_state.entity_id")?,
                location_key: value(row, 1, "refresh_state.location_key")?,
                same_bytes: value(row, 2, "refresh_state.unprocessed_entity")?,
                orphan: value(row, 3, "refresh_state.orphaned_at")?,
            })
        },
    )?;
    let Some(row) = row else {
        return match quotas::refuses_entity(tx, tenant)? {
            Some(over) => Ok(Placed::NoRoom(over)),
            None => insert(tx, giver, child),
        };
    };
    if !may_write(tx, giver, child, &row)? {
        conflicts::note(tx, giver, child, row.location_key.as_deref())?;
        return Ok(Placed::Conflict);
    }
    let same_row = row.same_bytes && row.location_key == child.location_key;
    if !same_row {
        tx.run(
            "UPDATE refresh_state SET unprocessed_entity = ?3, location_key = ?4
             WHERE tenant_id = ?1 AND entity_id = ?2",
            params![
                tenant.0,
                row.uid.as_str(),
                child.unprocessed,
                child.location_key
            ],
        )?;
    }
    let new_edge = edges::add(tx, tenant, giver.source, &child.entity_ref)?;
    if new_edge {
        conflicts::resolve(tx, tenant, giver.source, &child.entity_ref)?;
    }
    if row.orphan && !giver.orphan {
        orphans::rescue(tx, tenant, &child.entity_ref)?;
    }
    if same_row && !new_edge {
        return Ok(Placed::Unchanged);
    }
    let now = tx.now();
    enqueue(tx, tenant, &row.uid, giver.changed, now)?;
    Ok(Placed::Updated)
}

fn insert(tx: &mut WriteTx<'_>, giver: Giver<'_>, child: &Child) -> rusqlite::Result<Placed> {
    let uid = EntityUid::new(Uuid::new_v4().to_string());
    tx.run(
        "INSERT INTO refresh_state (tenant_id, entity_id, entity_ref, location_key, unprocessed_entity)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            giver.tenant.0,
            uid.as_str(),
            child.entity_ref.as_str(),
            child.location_key,
            child.unprocessed
        ],
    )?;
    edges::add(tx, giver.tenant, giver.source, &child.entity_ref)?;
    conflicts::resolve(tx, giver.tenant, giver.source, &child.entity_ref)?;
    let now = tx.now();
    enqueue(tx, giver.tenant, &uid, giver.new, now)?;
    Ok(Placed::Inserted)
}

fn may_write(
    tx: &WriteTx<'_>,
    giver: Giver<'_>,
    child: &Child,
    row: &Row,
) -> rusqlite::Result<bool> {
    if row.orphan || row.location_key.is_none() || row.location_key == child.location_key {
        return Ok(true);
    }
    // Backstage removes and adds where a provider gives its own entity a new key (ref §6.1); we keep the uid.
    match giver.source {
        Source::Provider(_) => {
            edges::is_only_source(tx, giver.tenant, giver.source, &child.entity_ref)
        }
        Source::Parent(_) => Ok(false),
    }
}
