//! Bundled processor `builtin-kinds`: validates Backstage's own kinds and emits their relations.
//!
//! It says what a `Component`, `API`, `Resource`, `System`, `Domain`, `Group`, `User` or `Location`
//! of `backstage.io/v1alpha1` or `v1beta1` must look like (ref §1.4), which relations follow from
//! it (ref §1.5), and sorts the arrays of refs so that their order in the source does not matter.
//! It is not about other kinds: those it leaves to whoever knows them.

mod kinds;
mod relations;
mod schema;
mod sorting;

use greenroom_sdk::{
    Context, Descriptor, Emitter, Entity, Processor, ProcessorError, Stage, Verdict,
};

/// The processor.
#[derive(Debug, Default)]
pub struct BuiltinKinds;

impl Processor for BuiltinKinds {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::PreProcess, Stage::ValidateKind, Stage::PostProcess])
            .kinds(kinds::KINDS.iter().map(|kind| kind.name))
            .priority(20)
            .summary("Validates Backstage's own kinds and emits their relations.")
    }

    fn pre_process(
        &self,
        mut entity: Entity,
        _cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        if let Some(spec) = entity.spec_mut() {
            sorting::sort_refs(spec);
        }
        Ok(entity)
    }

    fn validate_kind(
        &self,
        entity: &Entity,
        _cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Verdict, ProcessorError> {
        let Some(kind) = kinds::recognise(entity) else {
            return Ok(Verdict::NotMine);
        };
        schema::check(kind, entity)
            .map(|()| Verdict::Valid)
            .map_err(|error| ProcessorError::Invalid(error.to_string()))
    }

    fn post_process(
        &self,
        entity: Entity,
        _cx: &Context,
        out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        relations::emit(&entity, out)?;
        Ok(entity)
    }
}

greenroom_sdk::export!(BuiltinKinds);

#[cfg(test)]
mod tests;
