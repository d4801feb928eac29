//! Whether a provider's edge is anywhere above an entity.

use std::collections::HashSet;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::StorageError;

use crate::entities::{ref_texts, stored_ref};
use crate::transaction::Transaction;

/// Those of the entities that a provider reaches. Walks up from each, cycle-safe, because `UNION` visits a ref once; stops at
/// the first provider's edge.
pub(crate) async fn reachable(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
) -> Result<HashSet<EntityRef>, StorageError> {
    if refs.is_empty() {
        return Ok(HashSet::new());
    }
    let reached = tx
        .all(
            "SELECT asked.entity_ref FROM unnest($2::text[]) AS asked (entity_ref) WHERE EXISTS (
                 WITH RECURSIVE up (entity_ref, source_key) AS (
                     SELECT source_entity_ref, source_key FROM refresh_state_references
                     WHERE tenant_id = $1 AND target_entity_ref = asked.entity_ref
                     UNION
                     SELECT e.source_entity_ref, e.source_key FROM up
                     JOIN refresh_state_references e ON e.tenant_id = $1 AND e.target_entity_ref = up.entity_ref
                     WHERE up.source_key = ''
                 )
                 SELECT 1 FROM up WHERE source_key <> ''
             )",
            &[&tenant.0, &ref_texts(refs)],
            |row| stored_ref(row, 0, "refresh_state_references.target_entity_ref"),
        )
        .await?;
    Ok(reached.into_iter().collect())
}
