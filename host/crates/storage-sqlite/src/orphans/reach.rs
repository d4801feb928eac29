//! Whether a provider's edge is anywhere above an entity.

use greenroom_model::{EntityRef, TenantId};
use rusqlite::{Connection, params};

use crate::damage::value;
use crate::statement;

/// Walks up. Cycle-safe, because `UNION` visits a ref once; stops at the first provider's edge.
pub(crate) fn is_reachable(
    conn: &Connection,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> rusqlite::Result<bool> {
    let reached = statement::one(
        conn,
        "WITH RECURSIVE up (entity_ref, source_key) AS (
             SELECT source_entity_ref, source_key FROM refresh_state_references
             WHERE tenant_id = ?1 AND target_entity_ref = ?2
             UNION
             SELECT e.source_entity_ref, e.source_key FROM up
             JOIN refresh_state_references e ON e.tenant_id = ?1 AND e.target_entity_ref = up.entity_ref
             WHERE up.source_key = ''
         )
         SELECT EXISTS (SELECT 1 FROM up WHERE source_key <> '')",
        params![tenant.0, entity_ref.as_str()],
        |row| value(row, 0, "refresh_state_references.source_key"),
    )?;
    Ok(reached.unwrap_or(false))
}
