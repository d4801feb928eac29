//! Everything that goes into one final entity (ref §5.6 step 1).

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::StitchInput;
use rusqlite::{Connection, params};

use crate::damage::{json, uid, value};
use crate::entities::stored_ref;
use crate::statement;

/// Loads the input of a ref.
pub(crate) fn load(
    conn: &Connection,
    tenant: TenantId,
    entity_ref: EntityRef,
    ticket: i64,
) -> rusqlite::Result<StitchInput> {
    let key = params![tenant.0, entity_ref.as_str()];
    let state = statement::one(
        conn,
        "SELECT entity_id, processed_entity, diagnostics, orphaned_at IS NOT NULL
         FROM refresh_state WHERE tenant_id = ?1 AND entity_ref = ?2",
        key,
        |row| {
            Ok((
                uid(row, 0, "refresh_state.entity_id")?,
                value::<Option<String>>(row, 1, "refresh_state.processed_entity")?,
                json(row, 2, "refresh_state.diagnostics")?,
                value::<bool>(row, 3, "refresh_state.orphaned_at")?,
            ))
        },
    )?;
    let (uid, processed, diagnostics, orphan) = match state {
        Some((uid, processed, diagnostics, orphan)) => (Some(uid), processed, diagnostics, orphan),
        None => (None, None, Vec::new(), false),
    };
    // A ref that nobody has registered may be the owner of thousands.
    let relations = match &processed {
        Some(_) => relations(conn, tenant, &entity_ref)?,
        None => Vec::new(),
    };
    let served_etag = statement::one(
        conn,
        "SELECT etag FROM final_entities WHERE tenant_id = ?1 AND entity_ref = ?2",
        key,
        |row| value(row, 0, "final_entities.etag"),
    )?;
    Ok(StitchInput {
        tenant,
        entity_ref,
        ticket,
        waited_ms: 0,
        uid,
        processed,
        diagnostics,
        orphan,
        relations,
        served_etag,
    })
}

/// Its distinct relations, in order.
fn relations(
    conn: &Connection,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> rusqlite::Result<Vec<(String, EntityRef)>> {
    statement::all(
        conn,
        "SELECT DISTINCT type, target_entity_ref FROM relations
         WHERE tenant_id = ?1 AND source_entity_ref = ?2 ORDER BY type, target_entity_ref",
        params![tenant.0, entity_ref.as_str()],
        |row| {
            Ok((
                value(row, 0, "relations.type")?,
                stored_ref(row, 1, "relations.target_entity_ref")?,
            ))
        },
    )
}
