//! Relations of originators, replaced by difference: they are the largest write of a run (design note P4).

use std::collections::{BTreeSet, HashSet};

use greenroom_model::{EntityRef, EntityUid, Relation, TenantId};
use greenroom_storage::StorageError;

use crate::entities::{ref_texts, uid_texts};
use crate::left;
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// An originator and one of its relations.
type Row<'a> = (&'a EntityUid, &'a Relation);

/// Replaces them; answers the sources of those that came or went, whose final entities change.
pub(super) async fn replace(
    tx: &Transaction,
    tenant: TenantId,
    runs: &[(&EntityUid, &[Relation])],
) -> Result<BTreeSet<EntityRef>, StorageError> {
    let originators: Vec<EntityUid> = runs.iter().map(|(uid, _)| (*uid).clone()).collect();
    let stored = left::relations(tx, tenant, &originators).await?;
    let (mut gone, mut new): (Vec<Row<'_>>, Vec<Row<'_>>) = (Vec::new(), Vec::new());
    let none = HashSet::new();
    for (uid, relations) in runs {
        let stored = stored.get(*uid).unwrap_or(&none);
        let wanted: HashSet<&Relation> = relations.iter().collect();
        let unwanted = stored.iter().filter(|stored| !wanted.contains(stored));
        gone.extend(unwanted.map(|relation| (*uid, relation)));
        let missing = wanted.into_iter().filter(|wanted| !stored.contains(wanted));
        new.extend(missing.map(|relation| (*uid, relation)));
    }
    if !gone.is_empty() {
        let [sources, types, targets, uids] = columns(&gone);
        tx.run(
            "DELETE FROM relations r
             USING unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS gone (source, type, target, entity_id)
             WHERE r.tenant_id = $1 AND r.source_entity_ref = gone.source AND r.type = gone.type
                 AND r.target_entity_ref = gone.target AND r.originating_entity_id = gone.entity_id",
            &[&tenant.0, &sources, &types, &targets, &uids],
        )
        .await?;
    }
    if !new.is_empty() {
        let [sources, types, targets, uids] = columns(&new);
        tx.run(
            "INSERT INTO relations (tenant_id, source_entity_ref, type, target_entity_ref, originating_entity_id)
             SELECT $1, source, type, target, entity_id
             FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS new (source, type, target, entity_id)",
            &[&tenant.0, &sources, &types, &targets, &uids],
        )
        .await?;
    }
    let changed = gone.into_iter().chain(new);
    Ok(changed
        .map(|(_, relation)| relation.source.clone())
        .collect())
}

fn columns<'a>(rows: &[Row<'a>]) -> [Vec<Text<'a>>; 4] {
    [
        ref_texts(rows.iter().map(|(_, relation)| &relation.source)),
        texts(rows.iter().map(|(_, relation)| relation.r#type.as_str())),
        ref_texts(rows.iter().map(|(_, relation)| &relation.target)),
        uid_texts(rows.iter().map(|(uid, _)| *uid)),
    ]
}
