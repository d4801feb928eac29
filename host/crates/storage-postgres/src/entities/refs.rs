//! Entity refs as stored text, and the uids behind them.
//!
//! Text that we wrote is taken apart without the checks of a client's: a ref of an entity whose kind no policy has seen
//! yet (`a/b:default/x`) must come back too, or one hostile document would make its tenant's queue unreadable.

use std::collections::HashMap;

use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::StorageError;
use tokio_postgres::Row;

use crate::damage::{damaged, text, uid};
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// A column that holds an entity ref.
pub(crate) fn stored_ref(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<EntityRef, StorageError> {
    let text = text(row, index, column)?;
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

/// The parameter of an array of refs.
pub(crate) fn ref_texts<'a>(refs: impl IntoIterator<Item = &'a EntityRef>) -> Vec<Text<'a>> {
    texts(refs.into_iter().map(EntityRef::as_str))
}

/// The parameter of an array of uids.
pub(crate) fn uid_texts<'a>(uids: impl IntoIterator<Item = &'a EntityUid>) -> Vec<Text<'a>> {
    texts(uids.into_iter().map(EntityUid::as_str))
}

/// The uids of the entities with these refs, served or not.
pub(crate) async fn uids_of<'a>(
    tx: &Transaction,
    tenant: TenantId,
    refs: impl IntoIterator<Item = &'a EntityRef>,
) -> Result<HashMap<EntityRef, EntityUid>, StorageError> {
    let refs = ref_texts(refs);
    if refs.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = tx
        .all(
            "SELECT entity_ref, entity_id FROM refresh_state
             WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])",
            &[&tenant.0, &refs],
            |row| {
                Ok((
                    stored_ref(row, 0, "refresh_state.entity_ref")?,
                    uid(row, 1, "refresh_state.entity_id")?,
                ))
            },
        )
        .await?;
    Ok(rows.into_iter().collect())
}

/// The uid of the entity with that ref, served or not.
pub(crate) async fn uid_of(
    tx: &Transaction,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> Result<Option<EntityUid>, StorageError> {
    Ok(uids_of(tx, tenant, [entity_ref]).await?.remove(entity_ref))
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
