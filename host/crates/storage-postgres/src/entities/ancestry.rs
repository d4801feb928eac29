//! The ancestry of a served entity: itself, then its ancestors by breadth, each once.

use std::collections::{HashMap, HashSet, VecDeque};

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{AncestryItem, StorageError};

use crate::PostgresStorage;
use crate::damage::value;
use crate::entities::{read_final, ref_of_text};
use crate::text::{StoredText, Text};

/// Walks up the parents that are served, in the database and cycle-safe because `UNION` visits a ref once; then puts what
/// was found in order.
pub(super) async fn ancestry(
    storage: &PostgresStorage,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> Result<Option<Vec<AncestryItem>>, StorageError> {
    let found = storage
        .read_all(
            "find an ancestry",
            "WITH RECURSIVE up (entity_ref) AS (
                 SELECT entity_ref FROM final_entities WHERE tenant_id = $1 AND entity_ref = $2
                 UNION
                 SELECT e.source_entity_ref FROM up
                 JOIN refresh_state_references e
                     ON e.tenant_id = $1 AND e.target_entity_ref = up.entity_ref AND e.source_key = ''
                 JOIN final_entities f ON f.tenant_id = $1 AND f.entity_ref = e.source_entity_ref
             )
             SELECT f.entity_id, f.entity_ref, f.etag, f.final_entity, ARRAY(
                 SELECT e.source_entity_ref FROM refresh_state_references e
                 WHERE e.tenant_id = $1 AND e.target_entity_ref = f.entity_ref AND e.source_key = ''
                 ORDER BY e.source_entity_ref)
             FROM up JOIN final_entities f ON f.tenant_id = $1 AND f.entity_ref = up.entity_ref",
            &[&tenant.0, &Text(entity_ref.as_str())],
            |row| {
                let parents: Vec<StoredText> =
                    value(row, 4, "refresh_state_references.source_entity_ref")?;
                Ok(AncestryItem {
                    entity: read_final(row)?,
                    parent_refs: parents.iter().map(|text| ref_of_text(&text.0)).collect(),
                })
            },
        )
        .await?;
    Ok(by_breadth(found, entity_ref))
}

fn by_breadth(found: Vec<AncestryItem>, first: &EntityRef) -> Option<Vec<AncestryItem>> {
    let mut found: HashMap<EntityRef, AncestryItem> = found
        .into_iter()
        .map(|item| (item.entity.entity_ref.clone(), item))
        .collect();
    let mut items = Vec::new();
    let mut seen = HashSet::from([first.clone()]);
    let mut next = VecDeque::from([first.clone()]);
    while let Some(entity_ref) = next.pop_front() {
        let Some(item) = found.remove(&entity_ref) else {
            continue;
        };
        for parent in &item.parent_refs {
            if seen.insert(parent.clone()) {
                next.push_back(parent.clone());
            }
        }
        items.push(item);
    }
    (!items.is_empty()).then_some(items)
}
