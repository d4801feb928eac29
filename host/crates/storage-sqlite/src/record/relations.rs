//! Relations of one originator, replaced by difference: they are the largest write of a run (design note P4).

use std::collections::{BTreeSet, HashSet};

use greenroom_model::{EntityRef, Relation};
use greenroom_storage::Claim;
use rusqlite::params;

use crate::left;
use crate::writer::WriteTx;

/// Replaces them; answers the sources of those that came or went, whose final entities change.
pub(super) fn replace(
    tx: &mut WriteTx<'_>,
    claim: &Claim,
    relations: &[Relation],
) -> rusqlite::Result<BTreeSet<EntityRef>> {
    let (tenant, originator) = (claim.tenant.0, claim.uid.as_str());
    let stored: HashSet<Relation> = left::relations(tx, claim.tenant, &claim.uid)?
        .into_iter()
        .collect();
    let wanted: HashSet<&Relation> = relations.iter().collect();
    let mut changed = BTreeSet::new();
    for relation in stored.iter().filter(|relation| !wanted.contains(relation)) {
        tx.run(
            "DELETE FROM relations WHERE tenant_id = ?1 AND source_entity_ref = ?2 AND type = ?3
                 AND target_entity_ref = ?4 AND originating_entity_id = ?5",
            params![
                tenant,
                relation.source.as_str(),
                relation.r#type,
                relation.target.as_str(),
                originator
            ],
        )?;
        changed.insert(relation.source.clone());
    }
    for relation in wanted
        .into_iter()
        .filter(|relation| !stored.contains(*relation))
    {
        tx.run(
            "INSERT INTO relations (tenant_id, source_entity_ref, type, target_entity_ref, originating_entity_id)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                tenant,
                relation.source.as_str(),
                relation.r#type,
                relation.target.as_str(),
                originator
            ],
        )?;
        changed.insert(relation.source.clone());
    }
    Ok(changed)
}
