//! `conflicts`: emissions that lost to another location key, so that the loser takes over when the owner goes.
//!
//! A row lasts until the loser is let in, stops giving the entity, or the owner goes. A parent is then run again; a
//! provider cannot be asked again, so what it gave is kept in the row and placed.

use std::collections::HashSet;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{Child, Lane};
use rusqlite::params;

use crate::children::edges::Source;
use crate::children::{Giver, Placed, place};
use crate::damage::value;
use crate::entities::{stored_ref, uid_of};
use crate::statement;
use crate::work::requeue_cleared;
use crate::writer::WriteTx;

/// Notes that a giver lost.
pub(super) fn note(
    tx: &mut WriteTx<'_>,
    giver: Giver<'_>,
    child: &Child,
    owner: Option<&str>,
) -> rusqlite::Result<()> {
    let (key, parent) = giver.source.columns();
    let kept = match giver.source {
        Source::Provider(_) => Some(child.unprocessed.as_str()),
        Source::Parent(_) => None,
    };
    let at = tx.now_ms();
    tx.run(
        "INSERT OR REPLACE INTO conflicts (tenant_id, entity_ref, source_key, source_entity_ref,
             location_key, owner_location_key, unprocessed_entity, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            giver.tenant.0,
            child.entity_ref.as_str(),
            key,
            parent,
            child.location_key,
            owner,
            kept,
            at
        ],
    )?;
    Ok(())
}

/// The source was let in, or no longer gives the entity.
pub(crate) fn resolve(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    source: Source<'_>,
    entity_ref: &EntityRef,
) -> rusqlite::Result<()> {
    let (key, parent) = source.columns();
    tx.run(
        "DELETE FROM conflicts WHERE tenant_id = ?1 AND entity_ref = ?2
             AND source_key = ?3 AND source_entity_ref = ?4",
        params![tenant.0, entity_ref.as_str(), key, parent],
    )?;
    Ok(())
}

/// Drops what a source lost before and does not give any more.
pub(crate) fn retain(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    source: Source<'_>,
    given: &HashSet<&EntityRef>,
) -> rusqlite::Result<()> {
    let (key, parent) = source.columns();
    let lost = statement::all(
        tx,
        "SELECT entity_ref FROM conflicts
         WHERE tenant_id = ?1 AND source_key = ?2 AND source_entity_ref = ?3",
        params![tenant.0, key, parent],
        |row| stored_ref(row, 0, "conflicts.entity_ref"),
    )?;
    for entity_ref in lost.iter().filter(|lost| !given.contains(lost)) {
        resolve(tx, tenant, source, entity_ref)?;
    }
    Ok(())
}

struct Loser {
    source_key: String,
    parent: String,
    location_key: Option<String>,
    unprocessed: Option<String>,
}

/// The owner of a ref has gone or yields it: its losers try again.
pub(crate) fn release(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> rusqlite::Result<()> {
    let losers = statement::all(
        tx,
        "SELECT source_key, source_entity_ref, location_key, unprocessed_entity FROM conflicts
         WHERE tenant_id = ?1 AND entity_ref = ?2 ORDER BY at",
        params![tenant.0, entity_ref.as_str()],
        |row| {
            Ok(Loser {
                source_key: value(row, 0, "conflicts.source_key")?,
                parent: value(row, 1, "conflicts.source_entity_ref")?,
                location_key: value(row, 2, "conflicts.location_key")?,
                unprocessed: value(row, 3, "conflicts.unprocessed_entity")?,
            })
        },
    )?;
    if losers.is_empty() {
        return Ok(());
    }
    tx.run(
        "DELETE FROM conflicts WHERE tenant_id = ?1 AND entity_ref = ?2",
        params![tenant.0, entity_ref.as_str()],
    )?;
    for loser in losers {
        if let Some(unprocessed) = loser.unprocessed {
            let giver = Giver {
                tenant,
                source: Source::Provider(&loser.source_key),
                orphan: false,
                new: Lane::New,
                changed: Lane::New,
            };
            let child = Child {
                entity_ref: entity_ref.clone(),
                unprocessed,
                location_key: loser.location_key,
            };
            // What has no room stays lost until the provider gives it again.
            if let Placed::NoRoom(_) = place(tx, giver, &child)? {
                note(tx, giver, &child, None)?;
            }
        } else {
            let parent = crate::entities::ref_of_text(&loser.parent);
            if let Some(uid) = uid_of(tx, tenant, &parent)? {
                requeue_cleared(tx, tenant, &uid, Lane::Changed)?;
            }
        }
    }
    Ok(())
}
