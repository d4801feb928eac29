//! What a good run leaves beside its entity, edges to its children and relations, as one digest (DESIGN §2).
//!
//! The digest is written with the run and compared by the audit with what is there. Whatever else takes an edge from a living
//! parent queues that parent, so that its next run writes the digest anew.

use std::collections::BTreeSet;

use greenroom_model::{Digest, EntityRef, EntityUid, Relation, TenantId};
use rusqlite::{Connection, params};

use crate::children::edges::{self, Source};
use crate::damage::value;
use crate::entities::stored_ref;
use crate::statement;

/// The digest of these edges and relations, in whatever order they come.
pub(crate) fn digest<'a>(
    targets: impl IntoIterator<Item = &'a EntityRef>,
    relations: impl IntoIterator<Item = &'a Relation>,
) -> Digest {
    let targets: BTreeSet<&str> = targets.into_iter().map(EntityRef::as_str).collect();
    let relations: BTreeSet<[&str; 3]> = relations
        .into_iter()
        .map(|one| {
            [
                one.source.as_str(),
                one.r#type.as_str(),
                one.target.as_str(),
            ]
        })
        .collect();
    let mut parts: Vec<&[u8]> = vec![b"edges"];
    parts.extend(targets.into_iter().map(str::as_bytes));
    parts.push(b"relations");
    parts.extend(relations.iter().flatten().map(|text| text.as_bytes()));
    Digest::of_parts(parts)
}

/// The digest of what an entity has now.
pub(crate) fn found(
    conn: &Connection,
    tenant: TenantId,
    uid: &EntityUid,
    entity_ref: &EntityRef,
) -> rusqlite::Result<Digest> {
    let targets = edges::targets(conn, tenant, Source::Parent(entity_ref))?;
    Ok(digest(&targets, &relations(conn, tenant, uid)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_no_relation_and_order_is_nothing() {
        let entity = |name: &str| EntityRef::new("component", "default", name);
        let relation = Relation {
            source: entity("a"),
            r#type: "edges".into(),
            target: entity("b"),
        };
        let (a, b) = (entity("a"), entity("b"));
        assert_eq!(digest([&a, &b], []), digest([&b, &a], []));
        assert_ne!(digest([&a, &b], []), digest([&a], []));
        assert_ne!(digest([&a, &b], []), digest([], [&relation]));
        assert_eq!(digest([], [&relation, &relation]), digest([], [&relation]));
    }
}
