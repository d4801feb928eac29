//! Bundled processor `required-fields`: what a tenant wants every entity to say.
//!
//! A rule names fields and, if it likes, the kinds and types it holds for. Fields are named as in a filter of
//! the catalog: `spec.owner`, `metadata.annotations.backstage.io/techdocs-ref`. One that is absent, null or
//! empty is an error, or a warning where the rule says so, and all of them are told at once. It looks at
//! entities when their kind is validated, so after every processor that fills something in.

mod config;
mod field;

use greenroom_sdk::{
    Context, Descriptor, Emitter, Entity, Processor, ProcessorError, Stage, Verdict,
};

/// The processor.
#[derive(Debug, Default)]
pub struct RequiredFields;

impl Processor for RequiredFields {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::ValidateKind])
            .priority(20)
            .config_schema(config::schema())
            .summary("Requires the fields that the configuration names.")
    }

    fn validate_kind(
        &self,
        entity: &Entity,
        cx: &Context,
        out: &mut Emitter,
    ) -> Result<Verdict, ProcessorError> {
        let config: config::Config = cx.config()?;
        for rule in config.rules.iter().filter(|rule| rule.holds_for(entity)) {
            for name in &rule.fields {
                if !field::is_set(entity.as_map(), name) {
                    out.diagnostic(rule.level.into(), rule.complaint(name, entity.kind()));
                }
            }
        }
        // Whether the kind is known is for others to say.
        Ok(Verdict::NotMine)
    }
}

greenroom_sdk::export!(RequiredFields);

#[cfg(test)]
mod tests;
