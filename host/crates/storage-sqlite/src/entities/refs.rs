//! Entity refs as stored text, and the uid behind one.
//!
//! Text that we wrote is taken apart without the checks of a client's: a ref of an entity whose kind no policy has seen
//! yet (`a/b:default/x`) must come back too, or one hostile document would make its tenant's queue unreadable.

use greenroom_model::{EntityRef, EntityUid, TenantId};
use rusqlite::{Connection, Row, params};

use crate::damage::{damaged, uid, value};
use crate::statement;

/// A column that holds an entity ref.
pub(crate) fn stored_ref(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<EntityRef> {
    let text: String = value(row, index, column)?;
    let entity_ref = ref_of_text(&text);
    if entity_ref.as_str() == text {
        Ok(entity_ref)
    } else {
        Err(damaged(column, "no entity ref"))
    }
}

/// The ref whose text that is.
pub(crate) fn ref_of_text(text: &str) -> EntityRef {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let (namespace, name) = rest.split_once('/').unwrap_or((rest, ""));
    EntityRef::new(kind, namespace, name)
}

/// The uid of the entity with that ref, served or not.
pub(crate) fn uid_of(
    conn: &Connection,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> rusqlite::Result<Option<EntityUid>> {
    statement::one(
        conn,
        "SELECT entity_id FROM refresh_state WHERE tenant_id = ?1 AND entity_ref = ?2",
        params![tenant.0, entity_ref.as_str()],
        |row| uid(row, 0, "refresh_state.entity_id"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y12_refs_no_client_could_write_come_back() {
        for (kind, namespace, name) in [
            ("a/b", "default", "x"),
            ("a:b", "c/d", "e:f/g"),
            ("Component", "default", "a/b"),
            (" ", "\u{130}", "ΑΣ"),
        ] {
            let entity_ref = EntityRef::new(kind, namespace, name);
            assert_eq!(ref_of_text(entity_ref.as_str()), entity_ref);
        }
    }
}
