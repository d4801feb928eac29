//! Annotates components with the team that owns them.
use greenroom_sdk::{Context, Descriptor, Emitter, Entity, EntityRef, Processor, Result, Stage};

#[derive(Default)]
pub(crate) struct TeamLabel;

impl Processor for TeamLabel {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::PreProcess])
            .kinds(["Component"])
    }

    fn pre_process(&self, mut entity: Entity, _: &Context, _: &mut Emitter) -> Result<Entity> {
        if let Some(owner) = entity.spec().and_then(|spec| spec.get("owner")?.as_str()) {
            let team = EntityRef::parse_with(owner, Some("group"), None)?;
            entity.set_annotation("example.com/team", team.name());
        }
        Ok(entity)
    }
}

greenroom_sdk::export!(TeamLabel);
