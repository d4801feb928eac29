//! Bundled processor `annotate-location`: says where an entity came from.
//!
//! Adds the location annotations (ref §1.6) *under* the entity: what the source says itself wins.
//! For `url` locations that is the view URL and, where the tenant has an integration for the host,
//! the edit URL and the source location.

use greenroom_sdk::{
    Context, Descriptor, Emitter, Entity, Map, Processor, ProcessorError, Stage, Value, annotations,
};

/// The processor.
#[derive(Debug, Default)]
pub struct AnnotateLocation;

impl Processor for AnnotateLocation {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::PreProcess])
            .priority(20)
            .summary("Annotates entities with the location they were read from.")
    }

    fn pre_process(
        &self,
        mut entity: Entity,
        cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        let slot = entity
            .metadata_mut()
            .entry("annotations")
            .or_insert_with(|| Value::Object(Map::new()));
        // Anything else than an object is left for the policies to refuse.
        if let Value::Object(present) = slot {
            for (key, value) in location_annotations(cx) {
                present.entry(key).or_insert(Value::String(value));
            }
        }
        Ok(entity)
    }
}

fn location_annotations(cx: &Context) -> Vec<(&'static str, String)> {
    let location = cx.location();
    let mut found = vec![
        (annotations::MANAGED_BY_LOCATION, location.to_string()),
        (
            annotations::MANAGED_BY_ORIGIN_LOCATION,
            cx.origin_location().to_string(),
        ),
    ];
    if location.r#type == "url" {
        found.push((annotations::VIEW_URL, location.target.clone()));
    }
    found
}

greenroom_sdk::export!(AnnotateLocation);
