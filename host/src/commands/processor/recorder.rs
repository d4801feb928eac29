//! Calls a sandbox and keeps what was called, how it ended and what it cost. The orchestrator does not notice.

use std::cell::RefCell;

use greenroom_model::{Digest, Stage};
use greenroom_orchestrator::Pipeline;
use greenroom_sandbox::{
    CallLimits, CallOutcome, CallProcessor, CallReport, Called, GuestFault, SandboxError,
    ScopedSandbox, StageAnswer, StageCall,
};

/// One call that was made.
#[derive(Clone, Debug)]
pub(super) struct MadeCall {
    /// Name of the processor.
    pub(super) processor: String,
    pub(super) revision: Digest,
    pub(super) stage: Stage,
    /// Exactly what it was made with, so that it can be made again.
    pub(super) call: StageCall,
    pub(super) limits: CallLimits,
    pub(super) seed: [u8; 32],
    pub(super) fault: Option<GuestFault>,
    pub(super) report: CallReport,
}

/// A sandbox that keeps what was called.
pub(super) struct Recorder<'a> {
    sandbox: ScopedSandbox,
    pipeline: &'a Pipeline,
    made: RefCell<Vec<MadeCall>>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(sandbox: ScopedSandbox, pipeline: &'a Pipeline) -> Recorder<'a> {
        Recorder {
            sandbox,
            pipeline,
            made: RefCell::default(),
        }
    }

    /// The calls, in order.
    pub(super) fn into_calls(self) -> Vec<MadeCall> {
        self.made.into_inner()
    }
}

impl CallProcessor for Recorder<'_> {
    fn call(
        &self,
        revision: &Digest,
        call: &StageCall,
        limits: &CallLimits,
        seed: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        let called = self.sandbox.call(revision, call, limits, seed)?;
        let named = self
            .pipeline
            .processors
            .iter()
            .find(|one| one.revision == *revision);
        self.made.borrow_mut().push(MadeCall {
            processor: named.map_or_else(|| revision.to_string(), |one| one.name.to_string()),
            revision: *revision,
            stage: call.stage(),
            call: call.clone(),
            limits: *limits,
            seed,
            fault: match &called.outcome {
                CallOutcome::Answered(_) => None,
                CallOutcome::Faulted(fault) => Some(fault.clone()),
            },
            report: called.report.clone(),
        });
        Ok(called)
    }
}
