//! The trait an author implements.
//!
//! Every stage has a silent default, "unchanged" or "not mine"; only [`Processor::describe`] must be
//! written, because the host calls the stages it names and no other. The value is made with
//! `Default` for each call, so nothing in it survives a call.

use greenroom_model::Entity;

use crate::{Context, Descriptor, Emitter, Handled, ProcessorError, Target, Verdict};

/// A stage a processor may have, in the order a run takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// [`Processor::pre_process`].
    PreProcess,
    /// [`Processor::validate_kind`].
    ValidateKind,
    /// [`Processor::read_location`].
    ReadLocation,
    /// [`Processor::post_process`].
    PostProcess,
}

/// A catalog processor.
pub trait Processor: Default {
    /// Says which stages the processor has, for which entities, with which configuration.
    /// Called once for an uploaded revision; must not depend on anything.
    fn describe(&self) -> Descriptor;

    /// Changes an entity before it is validated. Only its envelope may be relied on. Kind,
    /// namespace and name must stay as they are.
    ///
    /// # Errors
    /// Any error rejects this run of the entity; its last good state stays.
    fn pre_process(
        &self,
        entity: Entity,
        _cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        Ok(entity)
    }

    /// Says whether the entity's kind is this processor's. Of `out` only diagnostics count here.
    ///
    /// # Errors
    /// An entity that is of this processor's kind and wrong is [`ProcessorError::Invalid`].
    fn validate_kind(
        &self,
        _entity: &Entity,
        _cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Verdict, ProcessorError> {
        Ok(Verdict::NotMine)
    }

    /// Reads one target of a Location entity and emits what it finds.
    ///
    /// # Errors
    /// Any error fails this target; what was emitted before from it stays.
    fn read_location(
        &self,
        _target: &Target,
        _cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Handled, ProcessorError> {
        Ok(Handled::No)
    }

    /// Changes a valid entity and emits what follows from it, such as relations.
    ///
    /// # Errors
    /// Any error rejects this run of the entity; its last good state stays.
    fn post_process(
        &self,
        entity: Entity,
        _cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        Ok(entity)
    }
}
