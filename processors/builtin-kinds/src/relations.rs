//! Emits the relations that an entity's fields declare, both directions (ref §1.5).
//!
//! The kind alone decides, not the apiVersion. Targets default to the entity's own namespace, and
//! to the field's kind where it has one; they need not exist.

use greenroom_sdk::{Emitter, Entity, EntityRef, ProcessorError, Value};

use crate::kinds::{self, RelationField};

/// Emits every relation of the entity.
pub(crate) fn emit(entity: &Entity, out: &mut Emitter) -> Result<(), ProcessorError> {
    let (Some(kind), Some(spec)) = (kinds::by_name(entity.kind()), entity.spec()) else {
        return Ok(());
    };
    let this = entity.entity_ref();
    for field in kind.relations {
        match spec.get(field.name) {
            Some(Value::Array(items)) => {
                for item in items {
                    emit_one(item, field, entity, &this, out)?;
                }
            }
            Some(value) => emit_one(value, field, entity, &this, out)?,
            None => {}
        }
    }
    Ok(())
}

fn emit_one(
    target: &Value,
    field: &RelationField,
    entity: &Entity,
    this: &EntityRef,
    out: &mut Emitter,
) -> Result<(), ProcessorError> {
    let text = match target {
        Value::Null => return Ok(()),
        Value::String(text) if text.is_empty() => return Ok(()),
        Value::String(text) => text,
        _ => {
            return Err(ProcessorError::Invalid(format!(
                "TypeError: /spec/{} must be an entity reference",
                field.name
            )));
        }
    };
    let other = EntityRef::parse_with(text, field.default_kind, Some(entity.namespace())).map_err(
        |error| ProcessorError::Invalid(format!("TypeError: /spec/{}: {error}", field.name)),
    )?;
    out.relation_pair(this, field.forward, field.reverse, &other);
    Ok(())
}
