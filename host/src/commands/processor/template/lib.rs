//! Annotates components with the team that owns them.

use greenroom_sdk::{Context, Descriptor, Emitter, Entity, EntityRef, Processor, Result, Stage};

/// The annotation that is set.
const TEAM: &str = "example.com/team";

/// The processor. A fresh value is made for each call: what is kept in it, or in a `static`, is gone afterwards.
#[derive(Default)]
pub struct OwnProcessor;

impl Processor for OwnProcessor {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::PreProcess])
            .kinds(["Component"])
            .summary("Annotates components with the team that owns them.")
    }

    fn pre_process(&self, mut entity: Entity, _cx: &Context, _out: &mut Emitter) -> Result<Entity> {
        if let Some(owner) = entity.spec().and_then(|spec| spec.get("owner")?.as_str()) {
            let team = EntityRef::parse_with(owner, Some("group"), None)?;
            entity.set_annotation(TEAM, team.name());
        }
        Ok(entity)
    }
}

greenroom_sdk::export!(OwnProcessor);

#[cfg(test)]
mod tests {
    use greenroom_sdk::entity;
    use greenroom_sdk::testing::run;

    use super::*;

    #[test]
    fn names_the_team() {
        let component = entity!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
            "metadata": {"name": "web"}, "spec": {"owner": "group:default/artists"}
        });
        let done = run(OwnProcessor, component);
        assert_eq!(done.entity.annotation(TEAM), Some("artists"));
    }

    #[test]
    fn an_owner_that_is_no_ref_rejects_the_entity() {
        let component = entity!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
            "metadata": {"name": "web"}, "spec": {"owner": "group:"}
        });
        assert!(run(OwnProcessor, component).error.is_some());
    }
}
