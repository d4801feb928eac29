//! What a processor cached is a hint: it can make a call cheaper and never change its result (DESIGN §2.1). One call in a
//! thousand of those that were given a cache is made again without it; where the two answers differ, the one without is taken
//! and the owner is told.
//!
//! Which calls these are is drawn from the call's seed and the time, so that it is another entity's each time and its author
//! cannot know. The second call is charged to the tenant and not to the stage. An answer that was not given, because the call
//! faulted or wants to read what the cache spared it, compares with nothing.

use greenroom_model::{Digest, Stage};
use greenroom_sandbox::{
    CallLimits, CallOutcome, CallProcessor, Called, SandboxError, StageAnswer, StageCall,
};

use crate::observed::CallCost;
use crate::pipeline::PipelineProcessor;
use crate::state::Suspended;

/// Calls with a cache for each one that is made again.
const ONE_IN: u64 = 1_000;

/// The answer that counts: the one given, or that without the cache where it differs.
pub(crate) fn proved(
    state: &mut Suspended,
    processor: &PipelineProcessor,
    made: (&StageCall, &CallLimits, [u8; 32]),
    given: StageAnswer,
    calls: &dyn CallProcessor,
) -> Result<StageAnswer, SandboxError> {
    let (call, limits, seed) = made;
    if call.request().cache.is_none() || !is_drawn(&seed, state.now_ms) {
        return Ok(given);
    }
    let again = calls.call(&processor.revision, &without_cache(call), limits, seed)?;
    count(state, processor, &again);
    let CallOutcome::Answered(answer) = again.outcome else {
        return Ok(given);
    };
    let pending = matches!(answer, StageAnswer::Pending { .. });
    if pending || same(&given, &answer) {
        return Ok(given);
    }
    state.diagnostics.push(differs(processor, call.stage()));
    Ok(answer)
}

fn is_drawn(seed: &[u8; 32], now_ms: u64) -> bool {
    let drawn = Digest::of_parts([
        b"cache hint".as_slice(),
        seed.as_slice(),
        now_ms.to_be_bytes().as_slice(),
    ]);
    let number = drawn
        .as_bytes()
        .iter()
        .take(8)
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    number.is_multiple_of(ONE_IN)
}

fn without_cache(call: &StageCall) -> StageCall {
    let mut call = call.clone();
    match &mut call {
        StageCall::PreProcess(request)
        | StageCall::ValidateKind(request)
        | StageCall::PostProcess(request) => request.cache = None,
        StageCall::ReadLocation(location) => location.request.cache = None,
    }
    call
}

fn count(state: &mut Suspended, processor: &PipelineProcessor, again: &Called<StageAnswer>) {
    state.calls += 1;
    let cost = CallCost::of(&again.report);
    let name = processor.name.clone();
    state.called.entry(name).or_default().add(&cost);
    state.cpu_us = state.cpu_us.saturating_add(again.report.cpu_us);
}

/// Whether two answers are the same but for what is cached next.
fn same(one: &StageAnswer, other: &StageAnswer) -> bool {
    let uncached = |answer: &StageAnswer| {
        let mut answer = answer.clone();
        match &mut answer {
            StageAnswer::Processed(processed) => processed.cache = None,
            StageAnswer::LocationRead { cache, .. } => *cache = None,
            StageAnswer::Validated { .. } | StageAnswer::Pending { .. } => {}
        }
        answer
    };
    uncached(one) == uncached(other)
}

fn differs(processor: &PipelineProcessor, stage: Stage) -> greenroom_model::Diagnostic {
    let name = processor.name.as_str();
    greenroom_model::Diagnostic::warning(
        "CacheWarning",
        format!(
            "Processor {name} answers otherwise with what it cached than without, and the answer without was taken: \
             a cache may make a call cheaper and never change its result"
        ),
    )
    .at_stage(stage)
    .from_processor(name)
}
