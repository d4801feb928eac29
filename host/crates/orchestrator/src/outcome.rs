//! What a finished run says. Everything the worker records comes from here; nothing is applied yet.

use greenroom_model::{
    Diagnostic, Digest, Entity, EntityRef, Position, ProcessorName, Relation, Stage,
};
use greenroom_sandbox::{CallLimits, CallReport, GuestFault, RecordedCall, StageCall, Want};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::observed::{CallCost, Observed};

/// The result of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Kept or not.
    pub verdict: Verdict,
    /// What to tell the owner, of every level, in the order it arose.
    pub diagnostics: Vec<Diagnostic>,
    /// Calls that faulted, with their whole request.
    pub faults: Vec<FaultedCall>,
    /// Every read that was an input.
    pub trace: Vec<TracedWant>,
    /// CPU time of all calls, in microseconds.
    pub cpu_us: u64,
    /// Number of guest calls.
    pub calls: u32,
    /// What they cost, by processor.
    pub called: BTreeMap<ProcessorName, CallCost>,
    /// When the entity is due again because a processor knows the time: milliseconds since the Unix epoch.
    pub due_ms: Option<u64>,
    /// The calls of the processor that the job observes.
    pub observed: Observed,
}

/// Whether the result is kept.
#[derive(Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// It is; `complete` inside says whether anything may be removed.
    Processed(Box<Processed>),
    /// It is not: the last good state stays.
    Rejected {
        /// Whether the same inputs give the same rejection, so that it is remembered with the memo.
        deterministic: bool,
    },
}

/// A kept result.
#[derive(Debug, Serialize, Deserialize)]
pub struct Processed {
    /// The processed entity.
    pub entity: Entity,
    /// Emitted entities; each ref once.
    pub children: Vec<EmittedChild>,
    /// Relations, each once.
    pub relations: Vec<Relation>,
    /// Refresh keys, each once.
    pub refresh_keys: Vec<String>,
    /// Caches by processor.
    pub caches: BTreeMap<ProcessorName, String>,
    /// Whether every target and child was good (partial failure is additive, DESIGN §2).
    pub complete: bool,
    /// Whether a target failed in a way that may pass by itself, so that the run is worth repeating.
    pub may_pass: bool,
}

/// An emitted entity with its managed-by annotations set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EmittedChild {
    /// Its ref.
    pub entity_ref: EntityRef,
    /// The entity.
    pub entity: Entity,
    /// Who owns it (ref §2.3).
    pub location_key: Option<String>,
    /// Where it stands in the file it was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// A call that faulted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaultedCall {
    /// Whose.
    pub processor: ProcessorName,
    /// Under which revision.
    pub revision: Digest,
    /// In which stage.
    pub stage: Stage,
    /// The fault.
    pub fault: GuestFault,
    /// What it cost.
    pub report: CallReport,
    /// The request, for replay.
    pub call: StageCall,
    /// What the call could use: what its stage had left in that round.
    pub limits: CallLimits,
    /// The seed of its randomness.
    pub seed: [u8; 32],
}

impl FaultedCall {
    /// The call with everything needed to make it again.
    pub fn recorded(&self) -> RecordedCall {
        RecordedCall::new(
            self.processor.clone(),
            self.revision,
            self.limits,
            self.seed,
            self.call.clone(),
        )
        .ended(Some(self.fault.clone()), self.report.clone())
    }
}

/// One read that was an input of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedWant {
    /// The stage that read.
    pub stage: Stage,
    /// The processor that read.
    pub processor: ProcessorName,
    /// What was read.
    pub want: Want,
    /// Digest of the outcome, contents included.
    pub digest: Digest,
}
