//! The stages of one entity as a pure function over sandbox calls (DESIGN §1, ref §2.2).
//!
//! Entity, pipeline and documents go in; an outcome, or wanted reads and a suspended run, come out. There is no I/O, no
//! clock and no storage here: the same job with the same reads gives the same outcome, on a thread of the worker or in
//! a process that owns nothing. The one way out is [`greenroom_sandbox::CallProcessor`].
//!
//! A run that needs a read is handed back as a [`Suspended`] value and resumed with what the read gave, so that a round
//! repeats one call and not the stages before it. `unavailable` reads never come here: the worker lets the run wait.
//!
//! Stages mean what Backstage's mean; what differs is DESIGN §2: partial failure is additive, diagnostics have levels,
//! processors subscribe, and a fault is data.

mod budget;
mod cache_hint;
mod call;
mod collect;
mod crash;
mod job;
mod matching;
mod observed;
mod outcome;
mod pipeline;
mod read_location;
mod run;
mod seed;
mod state;
mod trace;

pub use budget::{document_fault, new_wants};
pub use crash::crashed;
pub use job::{Job, Step, WantedReads};
pub use observed::{CallCost, Observed, ObservedCall};
pub use outcome::{EmittedChild, FaultedCall, Outcome, Processed, TracedWant, Verdict};
pub use pipeline::{Pipeline, PipelineProcessor};
pub use run::{resume, start};
pub use state::Suspended;
pub use trace::outcome_digest;

// What a caller hands in and reads out, so that it need not know the sandbox.
pub use greenroom_sandbox::{
    CallLimits, CallProcessor, Descriptor, FaultKind, Integration, KeptDocuments, Read,
    ReadOutcome, RecordedCall, SandboxError, StageCall, TimeGrain, Track, Want, engine_name,
};
