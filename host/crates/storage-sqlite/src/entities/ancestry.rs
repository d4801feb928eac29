//! The ancestry of a served entity: itself, then its ancestors by breadth, each once.

use std::collections::{HashSet, VecDeque};

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::AncestryItem;
use rusqlite::Connection;

use crate::children::edges;
use crate::entities::find_final;

/// Walks up the parents that are served; cycle-safe.
pub(super) fn ancestry(
    conn: &Connection,
    tenant: TenantId,
    entity_ref: EntityRef,
) -> rusqlite::Result<Option<Vec<AncestryItem>>> {
    let mut items = Vec::new();
    let mut seen = HashSet::from([entity_ref.clone()]);
    let mut next = VecDeque::from([entity_ref]);
    while let Some(entity_ref) = next.pop_front() {
        let Some(entity) = find_final(conn, tenant, entity_ref.as_str())? else {
            continue;
        };
        let parent_refs = edges::parents(conn, tenant, &entity_ref)?;
        for parent in &parent_refs {
            if seen.insert(parent.clone()) {
                next.push_back(parent.clone());
            }
        }
        items.push(AncestryItem {
            entity,
            parent_refs,
        });
    }
    Ok((!items.is_empty()).then_some(items))
}
