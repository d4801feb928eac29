//! A run between two turns: plain data, so that it can wait for a read and move to another process.

use std::collections::BTreeMap;

use greenroom_model::{Diagnostic, Entity, EntityRef, LocationRef, Presence, ProcessorName, Stage};
use greenroom_sandbox::GivenEntity;
use serde::{Deserialize, Serialize};

use crate::budget::StepProgress;
use crate::collect::Collected;
use crate::observed::{CallCost, Observed};
use crate::outcome::{FaultedCall, TracedWant};
use crate::pipeline::{Pipeline, PipelineProcessor};

/// A suspended run. Resume it with the same pipeline it was started with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Suspended {
    pub(crate) entity: Entity,
    /// `entity` as the calls are given it, shared by them until it changes.
    pub(crate) given: GivenEntity,
    pub(crate) entity_ref: EntityRef,
    pub(crate) location: LocationRef,
    pub(crate) origin: LocationRef,
    /// Indexes into the pipeline of the processors whose subscription matched.
    pub(crate) matched: Vec<usize>,
    pub(crate) caches: BTreeMap<ProcessorName, String>,
    pub(crate) new_caches: BTreeMap<ProcessorName, String>,
    pub(crate) tenant_secret: [u8; 32],
    pub(crate) now_ms: u64,
    pub(crate) cursor: Cursor,
    pub(crate) recognised: bool,
    pub(crate) targets: Vec<LocationRef>,
    pub(crate) presence: Presence,
    pub(crate) collected: Collected,
    pub(crate) step: StepProgress,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) faults: Vec<FaultedCall>,
    pub(crate) trace: Vec<TracedWant>,
    /// Every target and child so far was good.
    pub(crate) complete: bool,
    /// Something failed that may pass by itself.
    pub(crate) may_pass: bool,
    pub(crate) cpu_us: u64,
    pub(crate) calls: u32,
    /// The same, by processor.
    pub(crate) called: BTreeMap<ProcessorName, CallCost>,
    pub(crate) observe: Option<ProcessorName>,
    pub(crate) observed: Observed,
}

/// The call that is next. Numbers index `matched` and `targets`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Cursor {
    PreProcess(usize),
    ValidateKind(usize),
    ReadLocation { target: usize, processor: usize },
    PostProcess(usize),
}

impl Suspended {
    /// How many calls were made so far.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// What they cost, by processor.
    pub fn called(&self) -> &BTreeMap<ProcessorName, CallCost> {
        &self.called
    }

    /// The calls made so far of the processor that the job observes.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// The first matched processor at or after `from` that has the stage: its place in `matched`, and itself.
    pub(crate) fn next_with<'p>(
        &self,
        pipeline: &'p Pipeline,
        from: usize,
        stage: Stage,
    ) -> Option<(usize, &'p PipelineProcessor)> {
        self.matched
            .iter()
            .enumerate()
            .skip(from)
            .find_map(|(place, index)| {
                let processor = pipeline.processors.get(*index)?;
                processor
                    .descriptor
                    .stages
                    .contains(&stage)
                    .then_some((place, processor))
            })
    }

    /// Replaces the entity being processed.
    pub(crate) fn set_entity(&mut self, entity: Entity) {
        self.given = GivenEntity::new(&entity);
        self.entity = entity;
    }

    /// When a matched processor's notion of now ends, if one has any.
    pub(crate) fn due_ms(&self, pipeline: &Pipeline) -> Option<u64> {
        self.matched
            .iter()
            .filter_map(|index| pipeline.processors.get(*index)?.descriptor.time)
            .map(|grain| {
                (self.now_ms / grain.milliseconds() + 1).saturating_mul(grain.milliseconds())
            })
            .min()
    }
}
