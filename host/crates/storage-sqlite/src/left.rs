//! What a good run leaves beside its entity, edges to its children and relations, as one digest (DESIGN §2).
//!
//! The digest is written with the run and compared by the audit with what is there. Whatever else takes an edge from a living
//! parent queues that parent, so that its next run writes the digest anew.

use greenroom_model::{Digest, EntityRef, EntityUid, Relation, TenantId};
use greenroom_storage::left_digest;
use rusqlite::{Connection, params};

use crate::children::edges::{self, Source};
use crate::damage::value;
use crate::entities::stored_ref;
use crate::statement;

/// The digest of what an entity has now.
pub(crate) fn found(
    conn: &Connection,
    tenant: TenantId,
    uid: &EntityUid,
    entity_ref: &EntityRef,
) -> rusqlite::Result<Digest> {
    let targets = edges::targets(conn, tenant, Source::Parent(entity_ref))?;
    Ok(left_digest(&targets, &relations(conn, tenant, uid)?))
}

/// The relations that an entity's runs made.
pub(crate) fn relations(
    conn: &Connection,
    tenant: TenantId,
    uid: &EntityUid,
) -> rusqlite::Result<Vec<Relation>> {
    statement::all(
        conn,
        "SELECT source_entity_ref, type, target_entity_ref FROM relations
         WHERE tenant_id = ?1 AND originating_entity_id = ?2",
        params![tenant.0, uid.as_str()],
        |row| {
            Ok(Relation {
                source: stored_ref(row, 0, "relations.source_entity_ref")?,
                r#type: value(row, 1, "relations.type")?,
                target: stored_ref(row, 2, "relations.target_entity_ref")?,
            })
        },
    )
}
