//! Bundled processor `openapi`: replaces `$openapi` and `$asyncapi` by the document they name, with every
//! `$ref` into another file brought inside.
//!
//! An object with exactly one such key becomes the text of one YAML document that needs no other file. Each
//! value that a `$ref` fetches is put where it is first needed; every further `$ref` to it points there, so
//! that recursion stays recursion and nothing is copied twice (ref: the bundling of
//! `@backstage/plugin-catalog-backend-module-openapi`).
//!
//! What may be read is the host's decision: the repository or root of the entity, and what the tenant
//! grants besides. Errors quote references, never another word of a document.

mod bundle;
mod documents;
mod pointer;
mod text;
mod walk;

use greenroom_sdk::{
    Context, Descriptor, Emitter, Entity, Matcher, Processor, ProcessorError, Stage,
};

/// The processor.
#[derive(Debug, Default)]
pub struct Openapi;

impl Processor for Openapi {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::PreProcess])
            .matching(Matcher::new().keys_starting_with(["$openapi", "$asyncapi"]))
            // With `placeholder`, before those that look at what a placeholder stands for.
            .priority(10)
            .summary("Replaces $openapi and $asyncapi by the documents they name, bundled.")
    }

    fn pre_process(
        &self,
        entity: Entity,
        cx: &Context,
        out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        let mut value = entity.into_value();
        let mut documents = documents::Documents::new(cx);
        let mut error = None;
        // All placeholders are tried before the call gives up, so that their reads are asked for together.
        walk::replace(&mut value, &mut |key, reference| match bundle::bundled(
            &mut documents,
            reference,
        ) {
            Ok(text) => Some(text),
            Err(problem) => {
                error.get_or_insert(problem.of_placeholder(key, reference));
                None
            }
        });
        for key in documents.refresh_keys() {
            out.refresh_key(key);
        }
        if let Some(error) = error {
            return Err(error);
        }
        Entity::from_value(value).map_err(|error| {
            ProcessorError::Invalid(format!(
                "with its placeholders replaced the entity is not valid: {error}"
            ))
        })
    }
}

greenroom_sdk::export!(Openapi);

#[cfg(test)]
mod tests;
