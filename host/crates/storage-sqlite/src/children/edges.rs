//! `refresh_state_references`: who gives what.

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::Lane;
use rusqlite::{Connection, params};

use crate::damage::uid;
use crate::entities::stored_ref;
use crate::statement;
use crate::work::requeue_cleared;
use crate::writer::WriteTx;

/// The upper end of an edge.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// An entity provider, `config` or `locations`, by source key.
    Provider(&'a str),
    /// A parent entity.
    Parent(&'a EntityRef),
}

impl<'a> Source<'a> {
    /// The columns `source_key` and `source_entity_ref`; the one that does not apply is empty.
    pub(crate) fn columns(self) -> (&'a str, &'a str) {
        match self {
            Source::Provider(key) => (key, ""),
            Source::Parent(parent) => ("", parent.as_str()),
        }
    }
}

/// Adds an edge; `true` if it is new.
pub(crate) fn add(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    source: Source<'_>,
    target: &EntityRef,
) -> rusqlite::Result<bool> {
    let (key, parent) = source.columns();
    let added = tx.run(
        "INSERT OR IGNORE INTO refresh_state_references
             (tenant_id, target_entity_ref, source_key, source_entity_ref) VALUES (?1, ?2, ?3, ?4)",
        params![tenant.0, target.as_str(), key, parent],
    )?;
    Ok(added > 0)
}

/// Removes an edge; `true` if it was there.
pub(crate) fn remove(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    source: Source<'_>,
    target: &EntityRef,
) -> rusqlite::Result<bool> {
    let (key, parent) = source.columns();
    let removed = tx.run(
        "DELETE FROM refresh_state_references WHERE tenant_id = ?1 AND target_entity_ref = ?2
             AND source_key = ?3 AND source_entity_ref = ?4",
        params![tenant.0, target.as_str(), key, parent],
    )?;
    Ok(removed > 0)
}

/// What a source gives, by ref.
pub(crate) fn targets(
    conn: &Connection,
    tenant: TenantId,
    source: Source<'_>,
) -> rusqlite::Result<Vec<EntityRef>> {
    let (key, parent) = source.columns();
    statement::all(
        conn,
        "SELECT target_entity_ref FROM refresh_state_references
         WHERE tenant_id = ?1 AND source_key = ?2 AND source_entity_ref = ?3 ORDER BY target_entity_ref",
        params![tenant.0, key, parent],
        |row| stored_ref(row, 0, "refresh_state_references.target_entity_ref"),
    )
}

/// The parents of an entity, by ref.
pub(crate) fn parents(
    conn: &Connection,
    tenant: TenantId,
    target: &EntityRef,
) -> rusqlite::Result<Vec<EntityRef>> {
    statement::all(
        conn,
        "SELECT source_entity_ref FROM refresh_state_references
         WHERE tenant_id = ?1 AND target_entity_ref = ?2 AND source_key = ''
         ORDER BY source_entity_ref",
        params![tenant.0, target.as_str()],
        |row| stored_ref(row, 0, "refresh_state_references.source_entity_ref"),
    )
}

/// Whether that source has an edge to the entity and nobody else has.
pub(crate) fn is_only_source(
    conn: &Connection,
    tenant: TenantId,
    source: Source<'_>,
    target: &EntityRef,
) -> rusqlite::Result<bool> {
    let (key, parent) = source.columns();
    let mut edges = statement::all(
        conn,
        "SELECT source_key = ?3 AND source_entity_ref = ?4 FROM refresh_state_references
         WHERE tenant_id = ?1 AND target_entity_ref = ?2 LIMIT 2",
        params![tenant.0, target.as_str(), key, parent],
        |row| crate::damage::value::<bool>(row, 0, "refresh_state_references.source_key"),
    )?;
    Ok(edges.len() == 1 && edges.pop() == Some(true))
}

/// Clears the memos of an entity's parents and queues them: what they emit must be placed again.
pub(crate) fn requeue_parents(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    target: &EntityRef,
) -> rusqlite::Result<()> {
    let parents = statement::all(
        tx,
        "SELECT r.entity_id FROM refresh_state_references e
         JOIN refresh_state r ON r.tenant_id = e.tenant_id AND r.entity_ref = e.source_entity_ref
         WHERE e.tenant_id = ?1 AND e.target_entity_ref = ?2 AND e.source_key = ''",
        params![tenant.0, target.as_str()],
        |row| uid(row, 0, "refresh_state.entity_id"),
    )?;
    for parent in &parents {
        requeue_cleared(tx, tenant, parent, Lane::Changed)?;
    }
    Ok(())
}
