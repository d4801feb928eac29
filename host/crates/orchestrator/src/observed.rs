//! What a job that observes one processor learns about its calls, for dry runs and previews.
//!
//! Only the observed processor's calls are kept, with what each cost, said and changed; an ordinary run keeps none. A
//! Location with thousands of targets makes thousands of calls: the list and its logs are bounded, the sums are not cut.

use greenroom_model::{Entity, Stage};
use greenroom_sandbox::{
    CallLog, CallOutcome, CallReport, Called, GivenEntity, GuestFault, StageAnswer,
};
use serde::{Deserialize, Serialize};

/// Calls that are kept one by one.
const MAX_CALLS: usize = 200;
/// Log text that is kept, in bytes, over all calls.
const MAX_LOG_BYTES: u64 = 1024 * 1024;

/// The calls of the observed processor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The first of them, in order.
    pub calls: Vec<ObservedCall>,
    /// What all of them cost.
    pub cost: CallCost,
    log_bytes: u64,
}

/// One call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ObservedCall {
    /// The stage.
    pub stage: Stage,
    /// What it cost and said.
    pub report: CallReport,
    /// How it failed.
    pub fault: Option<GuestFault>,
    /// Whether it wanted reads first; the stage is then called again.
    pub pending: bool,
    /// The entity it was given.
    pub before: GivenEntity,
    /// The entity it answered with; none for unchanged.
    pub after: Option<Entity>,
}

/// A sum over calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallCost {
    /// How many.
    pub calls: u64,
    /// Their fuel.
    pub fuel: u64,
    /// Their CPU time in microseconds.
    pub cpu_us: u64,
    /// The most linear memory that one of them held, in bytes.
    pub peak_memory_bytes: u64,
}

impl CallCost {
    /// Of one call.
    pub(crate) fn of(report: &CallReport) -> Self {
        Self {
            calls: 1,
            fuel: report.fuel,
            cpu_us: report.cpu_us,
            peak_memory_bytes: report.peak_memory_bytes,
        }
    }

    /// Adds another sum.
    pub fn add(&mut self, other: &CallCost) {
        self.calls = self.calls.saturating_add(other.calls);
        self.fuel = self.fuel.saturating_add(other.fuel);
        self.cpu_us = self.cpu_us.saturating_add(other.cpu_us);
        self.peak_memory_bytes = self.peak_memory_bytes.max(other.peak_memory_bytes);
    }
}

impl Observed {
    /// Notes a call that was made.
    pub(crate) fn note(
        &mut self,
        stage: Stage,
        before: &GivenEntity,
        called: &Called<StageAnswer>,
    ) {
        self.cost.add(&CallCost::of(&called.report));
        if self.calls.len() >= MAX_CALLS {
            return;
        }
        let mut report = called.report.clone();
        self.log_bytes = self.log_bytes.saturating_add(report.log.bytes);
        if self.log_bytes > MAX_LOG_BYTES {
            report.log = CallLog {
                truncated: true,
                ..CallLog::default()
            };
        }
        let (fault, pending, after) = match &called.outcome {
            CallOutcome::Faulted(fault) => (Some(fault.clone()), false, None),
            CallOutcome::Answered(StageAnswer::Pending { .. }) => (None, true, None),
            CallOutcome::Answered(StageAnswer::Processed(processed)) => {
                (None, false, processed.entity.clone())
            }
            CallOutcome::Answered(
                StageAnswer::Validated { .. } | StageAnswer::LocationRead { .. },
            ) => (None, false, None),
        };
        self.calls.push(ObservedCall {
            stage,
            report,
            fault,
            pending,
            before: before.clone(),
            after,
        });
    }
}
