//! What a good run leaves beside its entity, edges to its children and relations, as one digest (DESIGN §2).
//!
//! The digest is written with the run and compared by the audit with what is there. Whatever else takes an edge from a living
//! parent queues that parent, so that its next run writes the digest anew.

use std::collections::{HashMap, HashSet};

use greenroom_model::{Digest, EntityRef, EntityUid, Relation, TenantId};
use greenroom_storage::{StorageError, left_digest};

use crate::children::edges;
use crate::damage::{text, uid};
use crate::entities::{stored_ref, uid_texts};
use crate::transaction::Transaction;

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
        left_digest(
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
