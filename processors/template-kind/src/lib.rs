//! Bundled processor `template-kind`: validates Templates of `scaffolder.backstage.io/v1beta3` and
//! emits who owns them.
//!
//! The rules are those of the scaffolder's own schema; other versions of Template are nobody's.

mod rules;
mod schema;

use greenroom_sdk::{
    Context, Descriptor, Emitter, Entity, EntityRef, Processor, ProcessorError, Stage, Value,
    Verdict,
};

const API_VERSION: &str = "scaffolder.backstage.io/v1beta3";
const KIND: &str = "Template";

/// The processor.
#[derive(Debug, Default)]
pub struct TemplateKind;

impl Processor for TemplateKind {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::ValidateKind, Stage::PostProcess])
            .kinds([KIND])
            .priority(20)
            .summary("Validates scaffolder templates and emits their ownership.")
    }

    fn validate_kind(
        &self,
        entity: &Entity,
        _cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Verdict, ProcessorError> {
        if !is_template(entity) {
            return Ok(Verdict::NotMine);
        }
        schema::check(rules::TEMPLATE, entity.as_map())
            .map(|()| Verdict::Valid)
            .map_err(|error| ProcessorError::Invalid(error.to_string()))
    }

    fn post_process(
        &self,
        entity: Entity,
        _cx: &Context,
        out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        let owner = entity.spec().and_then(|spec| spec.get("owner"));
        if is_template(&entity)
            && let Some(Value::String(owner)) = owner
        {
            let owner = EntityRef::parse_with(owner, Some("Group"), Some(entity.namespace()))
                .map_err(|error| {
                    ProcessorError::Invalid(format!("TypeError: /spec/owner: {error}"))
                })?;
            out.relation_pair(&entity.entity_ref(), "ownedBy", "ownerOf", &owner);
        }
        Ok(entity)
    }
}

fn is_template(entity: &Entity) -> bool {
    entity.api_version() == API_VERSION && entity.kind() == KIND
}

greenroom_sdk::export!(TemplateKind);

#[cfg(test)]
mod tests;
