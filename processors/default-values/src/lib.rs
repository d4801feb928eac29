//! Bundled processor `default-values`: what an entity says where it says nothing.
//!
//! A rule holds values for `metadata` and `spec` and, if it likes, the kinds and types it is for. They are merged
//! *under* the entity, object by object: what the entity says, and what an earlier rule gave it, wins, also
//! where that is null or an empty list. It runs after the other processors, so that it fills in what
//! none of them found.

mod config;

use greenroom_sdk::{
    Context, Descriptor, Emitter, Entity, Map, Processor, ProcessorError, Stage, Value,
};

/// The processor.
#[derive(Debug, Default)]
pub struct DefaultValues;

impl Processor for DefaultValues {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::PreProcess])
            // After those of the usual 20: an owner from CODEOWNERS is better than a default one.
            .priority(30)
            .config_schema(config::schema())
            .summary("Gives entities the values of the configuration where they have none.")
    }

    fn pre_process(
        &self,
        entity: Entity,
        cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        let config: config::Config = cx.config()?;
        config.check()?;
        let rules: Vec<&config::Rule> = config
            .rules
            .iter()
            .filter(|rule| rule.is_for(&entity))
            .collect();
        if rules.is_empty() {
            return Ok(entity);
        }
        let mut value = entity.into_value();
        for rule in rules {
            fill(&mut value, "metadata", &rule.values.metadata);
            fill(&mut value, "spec", &rule.values.spec);
        }
        Entity::from_value(value).map_err(|error| {
            ProcessorError::Invalid(format!(
                "with its default values the entity is not valid: {error}"
            ))
        })
    }
}

/// Merges values under a member of the entity, which is made if it is not there.
fn fill(entity: &mut Value, member: &str, values: &Map<String, Value>) {
    if let Value::Object(entity) = entity
        && !values.is_empty()
    {
        merge_under(
            entity
                .entry(member)
                .or_insert_with(|| Value::Object(Map::new())),
            values,
        );
    }
}

/// The configuration is parsed, so its depth is bounded, and recursion with it.
fn merge_under(own: &mut Value, values: &Map<String, Value>) {
    // Anything else than an object is left for the policies to refuse.
    let Value::Object(own) = own else {
        return;
    };
    for (key, value) in values {
        match (own.get_mut(key), value) {
            (None, value) => {
                own.insert(key.clone(), value.clone());
            }
            (Some(inner), Value::Object(values)) => merge_under(inner, values),
            (Some(_), _) => {}
        }
    }
}

greenroom_sdk::export!(DefaultValues);

#[cfg(test)]
mod tests;
