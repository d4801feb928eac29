//! Bundled processor `annotate-location`: says where an entity came from.
//!
//! Adds the location annotations (ref §1.6) *under* the entity: what the source says itself wins.
//! For `url` locations that is the view URL and, where the tenant has an integration for the host,
//! the edit URL and the source location.

use greenroom_sdk::url_arithmetic::SourceLinks;
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
        let links = SourceLinks::of(&location.target, cx.integrations());
        found.push((annotations::VIEW_URL, links.view_url));
        if let Some(edit_url) = links.edit_url {
            found.push((annotations::EDIT_URL, edit_url));
        }
        if let Some(source_url) = links.source_url {
            found.push((annotations::SOURCE_LOCATION, format!("url:{source_url}")));
        }
    }
    found
}

greenroom_sdk::export!(AnnotateLocation);

#[cfg(test)]
mod tests {
    use greenroom_sdk::testing::Test;
    use greenroom_sdk::{entity, json};

    use super::*;

    fn web() -> Entity {
        entity!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "web"}})
    }

    #[test]
    fn known_hosts_get_all_links() {
        let target = "https://github.com/o/r/blob/main/a/catalog-info.yaml";
        let done = Test::new()
            .location("url", target)
            .run(AnnotateLocation, web());
        assert_eq!(
            done.entity.metadata()["annotations"],
            json!({
                annotations::MANAGED_BY_LOCATION: format!("url:{target}"),
                annotations::MANAGED_BY_ORIGIN_LOCATION: format!("url:{target}"),
                annotations::VIEW_URL: target,
                annotations::EDIT_URL: "https://github.com/o/r/edit/main/a/catalog-info.yaml",
                annotations::SOURCE_LOCATION: "url:https://github.com/o/r/tree/main/a/",
            })
        );
    }

    #[test]
    fn other_hosts_get_a_view_url_and_files_none() {
        let done = Test::new().run(AnnotateLocation, web());
        assert!(done.entity.annotation(annotations::VIEW_URL).is_some());
        assert!(done.entity.annotation(annotations::EDIT_URL).is_none());
        let done = Test::new()
            .location("file", "/c/a.yaml")
            .run(AnnotateLocation, web());
        assert!(done.entity.annotation(annotations::VIEW_URL).is_none());
    }

    #[test]
    fn the_entity_wins_and_bad_annotations_are_left_to_the_policies() {
        let mut own = web();
        own.set_annotation(annotations::VIEW_URL, "https://mine");
        let done = Test::new().run(AnnotateLocation, own);
        assert_eq!(
            done.entity.annotation(annotations::VIEW_URL),
            Some("https://mine")
        );

        let mut bad = web();
        bad.metadata_mut().insert("annotations".into(), json!([1]));
        let done = Test::new().run(AnnotateLocation, bad.clone());
        assert_eq!(done.entity, bad);
    }
}
