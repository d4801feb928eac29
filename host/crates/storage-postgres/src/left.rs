//! What a good run leaves beside its entity, edges to its children and relations, as one digest (DESIGN §2).
//!
//! The digest is written with the run and compared by the audit with what is there. Whatever else takes an edge from a living
//! parent queues that parent, so that its next run writes the digest anew.

use std::collections::{BTreeSet, HashMap, HashSet};

use greenroom_model::{Digest, EntityRef, EntityUid, Relation, TenantId};
use greenroom_storage::StorageError;

use crate::children::edges;
use crate::damage::{text, uid};
use crate::entities::{stored_ref, uid_texts};
use crate::transaction::Transaction;

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

/// The digests of what entities have now, in order.
pub(crate) async fn found(
    tx: &Transaction,
    tenant: TenantId,
    entities: &[(EntityUid, EntityRef)],
) -> Result<Vec<Digest>, StorageError> {
    let (uids, refs): (Vec<EntityUid>, Vec<EntityRef>) = entities.iter().cloned().unzip();
    let targets = edges::children_of(tx, tenant, &refs).await?;
    let relations = relations(tx, tenant, &uids).await?;
    let digests = entities.iter().map(|(uid, entity_ref)| {
        digest(
            targets.get(entity_ref).into_iter().flatten(),
            relations.get(uid).into_iter().flatten(),
        )
    });
    Ok(digests.collect())
}

/// The relations that entities' runs made, by originator.
pub(crate) async fn relations(
    tx: &Transaction,
    tenant: TenantId,
    originators: &[EntityUid],
) -> Result<HashMap<EntityUid, HashSet<Relation>>, StorageError> {
    let mut relations: HashMap<EntityUid, HashSet<Relation>> = HashMap::new();
    if originators.is_empty() {
        return Ok(relations);
    }
    let rows = tx
        .all(
            "SELECT originating_entity_id, source_entity_ref, type, target_entity_ref FROM relations
             WHERE tenant_id = $1 AND originating_entity_id = ANY($2::text[])",
            &[&tenant.0, &uid_texts(originators)],
            |row| {
                let relation = Relation {
                    source: stored_ref(row, 1, "relations.source_entity_ref")?,
                    r#type: text(row, 2, "relations.type")?,
                    target: stored_ref(row, 3, "relations.target_entity_ref")?,
                };
                Ok((uid(row, 0, "relations.originating_entity_id")?, relation))
            },
        )
        .await?;
    for (originator, relation) in rows {
        relations.entry(originator).or_default().insert(relation);
    }
    Ok(relations)
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
