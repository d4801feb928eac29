//! The outcome of a run whose processor took its process down, twice alone (DESIGN §3.3). Nobody is left to say it but
//! the worker, who knows the call from having been told before it was made.

use std::collections::BTreeMap;

use greenroom_model::Stage;
use greenroom_sandbox::{CallLimits, CallReport, FaultKind, GuestFault, StageCall};

use crate::observed::{CallCost, Observed};
use crate::outcome::{FaultedCall, Outcome, Verdict};
use crate::pipeline::PipelineProcessor;
use crate::run::{doing, fault_diagnostic};

/// The outcome of a run that ended with the process, in a call of `processor` with these limits and this seed.
#[must_use]
pub fn crashed(
    processor: &PipelineProcessor,
    call: StageCall,
    limits: CallLimits,
    seed: [u8; 32],
) -> Outcome {
    let stage = call.stage();
    let fault = GuestFault::new(
        FaultKind::HostCrash,
        "the process that ran the call died, twice while running nothing else: this is a defect of the host or an attack \
         on it; tell the operator, and return to a revision that worked",
    );
    let diagnostic = fault_diagnostic(processor, stage, &describe(stage, &call), &fault);
    Outcome {
        verdict: Verdict::Rejected {
            deterministic: fault.kind.is_deterministic(),
        },
        diagnostics: vec![diagnostic],
        faults: vec![FaultedCall {
            processor: processor.name.clone(),
            revision: processor.revision,
            stage,
            fault,
            report: CallReport::default(),
            call,
            limits,
            seed,
        }],
        trace: Vec::new(),
        cpu_us: 0,
        calls: 1,
        called: BTreeMap::from([(
            processor.name.clone(),
            CallCost {
                calls: 1,
                ..CallCost::default()
            },
        )]),
        due_ms: None,
        observed: Observed::default(),
    }
}

fn describe(stage: Stage, call: &StageCall) -> String {
    let entity_ref = call.request().entity.entity_ref();
    format!("{} the entity {entity_ref}", doing(stage))
}
