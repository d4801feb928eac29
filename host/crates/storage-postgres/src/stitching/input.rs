//! Everything that goes into final entities (ref §5.6 step 1).

use std::collections::HashMap;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{StitchInput, StorageError};

use crate::damage::{json, optional_text, text, uid, value};
use crate::entities::{ref_texts, stored_ref};
use crate::transaction::Transaction;

/// Loads the inputs of refs with their tickets, in order.
pub(crate) async fn load(
    tx: &Transaction,
    tenant: TenantId,
    tickets: Vec<(EntityRef, i64)>,
) -> Result<Vec<StitchInput>, StorageError> {
    let mut inputs: Vec<StitchInput> = tickets
        .into_iter()
        .map(|(entity_ref, ticket)| StitchInput {
            tenant,
            entity_ref,
            ticket,
            waited_ms: 0,
            uid: None,
            processed: None,
            diagnostics: Vec::new(),
            orphan: false,
            relations: Vec::new(),
            served_etag: None,
        })
        .collect();
    if inputs.is_empty() {
        return Ok(inputs);
    }
    let places: HashMap<EntityRef, usize> = inputs
        .iter()
        .enumerate()
        .map(|(place, input)| (input.entity_ref.clone(), place))
        .collect();
    let asked: Vec<EntityRef> = inputs
        .iter()
        .map(|input| input.entity_ref.clone())
        .collect();
    let asked = ref_texts(&asked);
    let rows = tx
        .rows(
            "SELECT entity_ref, entity_id, processed_entity, diagnostics, orphaned_at IS NOT NULL
             FROM refresh_state WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])",
            &[&tenant.0, &asked],
        )
        .await?;
    for row in &rows {
        let entity_ref = stored_ref(row, 0, "refresh_state.entity_ref")?;
        if let Some(place) = places.get(&entity_ref) {
            let input = &mut inputs[*place];
            input.uid = Some(uid(row, 1, "refresh_state.entity_id")?);
            input.processed = optional_text(row, 2, "refresh_state.processed_entity")?;
            input.diagnostics = json(row, 3, "refresh_state.diagnostics")?;
            input.orphan = value(row, 4, "refresh_state.orphaned_at")?;
        }
    }
    // A ref that nobody has registered may be the owner of thousands.
    let there = inputs.iter().filter(|input| input.processed.is_some());
    let there: Vec<EntityRef> = there.map(|input| input.entity_ref.clone()).collect();
    let there = ref_texts(&there);
    let rows = tx
        .rows(
            "SELECT DISTINCT source_entity_ref, type, target_entity_ref FROM relations
             WHERE tenant_id = $1 AND source_entity_ref = ANY($2::text[])
             ORDER BY source_entity_ref, type, target_entity_ref",
            &[&tenant.0, &there],
        )
        .await?;
    for row in &rows {
        let source = stored_ref(row, 0, "relations.source_entity_ref")?;
        if let Some(place) = places.get(&source) {
            inputs[*place].relations.push((
                text(row, 1, "relations.type")?,
                stored_ref(row, 2, "relations.target_entity_ref")?,
            ));
        }
    }
    let rows = tx
        .rows(
            "SELECT entity_ref, etag FROM final_entities
             WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])",
            &[&tenant.0, &asked],
        )
        .await?;
    for row in &rows {
        let entity_ref = stored_ref(row, 0, "final_entities.entity_ref")?;
        if let Some(place) = places.get(&entity_ref) {
            inputs[*place].served_etag = Some(text(row, 1, "final_entities.etag")?);
        }
    }
    Ok(inputs)
}
