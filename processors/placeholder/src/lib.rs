//! Bundled processor `placeholder`: replaces `$text`, `$json` and `$yaml` by what they name.
//!
//! An object with exactly one such key, anywhere in the entity, becomes the document at the URL or
//! relative path it holds (ref §3). Only documents of the repository (for `file` locations: the
//! root) that the entity itself comes from may be named. Errors quote the reference, never a word
//! of what it names.

mod reference;
mod resolve;
mod walk;

use greenroom_sdk::{Context, Descriptor, Emitter, Entity, Processor, ProcessorError, Stage};

/// The processor.
#[derive(Debug, Default)]
pub struct Placeholder;

impl Processor for Placeholder {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::PreProcess])
            .matching(greenroom_sdk::Matcher::new().keys_starting_with(["$"]))
            // Before the others, so that they see what a placeholder stands for.
            .priority(10)
            .summary("Replaces $text, $json and $yaml by the documents they name.")
    }

    fn pre_process(
        &self,
        entity: Entity,
        cx: &Context,
        out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        let mut value = entity.into_value();
        let mut resolver = resolve::Resolver::new(cx, out);
        walk::replace(&mut value, &mut |kind, reference| {
            resolver.resolve(kind, reference)
        });
        resolver.finish()?;
        Entity::from_value(value).map_err(|error| {
            ProcessorError::Invalid(format!(
                "with its placeholders replaced the entity is not valid: {error}"
            ))
        })
    }
}

greenroom_sdk::export!(Placeholder);

#[cfg(test)]
mod tests;
