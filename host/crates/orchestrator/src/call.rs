//! One guest call of a run: builds the request, charges the budget of the step, and sorts the answer.

use std::sync::Arc;

use greenroom_model::{LocationRef, Presence, Stage};
use greenroom_sandbox::{
    CallLimits, CallOutcome, CallProcessor, CallReport, GuestFault, LocationRequest, Request,
    SandboxError, StageAnswer, StageCall,
};

use crate::cache_hint;
use crate::observed::CallCost;
use crate::outcome::FaultedCall;
use crate::pipeline::{Pipeline, PipelineProcessor};
use crate::seed::seed;
use crate::state::Suspended;

/// A call as it was made, kept for the case that it faults.
struct Made {
    call: StageCall,
    limits: CallLimits,
    seed: [u8; 32],
}

/// How a stage of one processor ended, or that it needs reads.
pub(crate) enum CallEnd {
    /// It answered; never `Pending`.
    Answered(StageAnswer),
    /// It faulted; the fault is already among the run's.
    Faulted(GuestFault),
    /// `state.step.wanted` says what it needs.
    Pending,
}

/// Calls a processor until it answers, faults or needs a read. More than one call only where a carry wants nothing.
pub(crate) fn call(
    state: &mut Suspended,
    pipeline: &Pipeline,
    processor: &PipelineProcessor,
    stage: Stage,
    target: Option<&LocationRef>,
    calls: &dyn CallProcessor,
) -> Result<CallEnd, SandboxError> {
    loop {
        let call = build(state, pipeline, processor, stage, target);
        let limits = state.step.left(&processor.limits);
        let seed = seed(
            &state.tenant_secret,
            &processor.revision,
            stage,
            &state.entity_ref,
        );
        let made = Made { call, limits, seed };
        if let Some(broken) = state.step.broken.take() {
            return Ok(faulted(
                state,
                processor,
                broken,
                CallReport::default(),
                made,
            ));
        }
        let called = calls.call(&processor.revision, &made.call, &limits, seed)?;
        state.calls += 1;
        let cost = CallCost::of(&called.report);
        state
            .called
            .entry(processor.name.clone())
            .or_default()
            .add(&cost);
        state.cpu_us = state.cpu_us.saturating_add(called.report.cpu_us);
        state.step.charge(&called.report);
        if state.observe.as_ref() == Some(&processor.name) {
            state.observed.note(stage, &state.given, &called);
        }
        let pending = match called.outcome {
            CallOutcome::Faulted(fault) => {
                return Ok(faulted(state, processor, fault, called.report, made));
            }
            CallOutcome::Answered(StageAnswer::Pending {
                wants,
                carry,
                emissions,
            }) => match carry {
                Some(carry) if stage == Stage::ReadLocation => {
                    let next = state.step.next_step(carry, emissions);
                    if next.is_ok() && wants.is_empty() {
                        continue;
                    }
                    next.and_then(|()| state.step.want(wants))
                }
                _ => state.step.want(wants),
            },
            CallOutcome::Answered(answer) => {
                let answer = cache_hint::proved(
                    state,
                    processor,
                    (&made.call, &made.limits, made.seed),
                    answer,
                    calls,
                )?;
                let answer = with_kept(state, answer);
                state.step = crate::budget::StepProgress::default();
                return Ok(CallEnd::Answered(answer));
            }
        };
        return Ok(match pending {
            Ok(()) => CallEnd::Pending,
            Err(fault) => faulted(state, processor, fault, called.report, made),
        });
    }
}

fn build(
    state: &Suspended,
    pipeline: &Pipeline,
    processor: &PipelineProcessor,
    stage: Stage,
    target: Option<&LocationRef>,
) -> StageCall {
    let grain = processor.descriptor.time;
    let request = Request {
        entity: state.given.clone(),
        location: state.location.clone(),
        origin_location: state.origin.clone(),
        config: Arc::clone(&processor.config),
        cache: state.caches.get(&processor.name).cloned(),
        reads: state.step.reads.clone(),
        integrations: Arc::clone(&pipeline.integrations),
        now_ms: grain.map(|grain| state.now_ms - state.now_ms % grain.milliseconds()),
    };
    match (stage, target) {
        (Stage::ReadLocation, Some(target)) => StageCall::ReadLocation(LocationRequest {
            request,
            target: target.clone(),
            presence: state.presence,
            carry: state.step.carry.clone(),
        }),
        (Stage::ReadLocation, None) => StageCall::ReadLocation(LocationRequest {
            target: state.location.clone(),
            presence: Presence::Required,
            carry: state.step.carry.clone(),
            request,
        }),
        (Stage::ValidateKind, _) => StageCall::ValidateKind(request),
        (Stage::PostProcess, _) => StageCall::PostProcess(request),
        (Stage::PreProcess | Stage::Policy | Stage::Describe, _) => StageCall::PreProcess(request),
    }
}

/// A final answer of read-location has the emissions of its earlier steps before its own.
fn with_kept(state: &mut Suspended, answer: StageAnswer) -> StageAnswer {
    let mut kept = std::mem::take(&mut state.step.kept);
    match answer {
        StageAnswer::LocationRead {
            handled,
            emissions,
            cache,
            diagnostics,
        } if !kept.is_empty() => {
            kept.extend(emissions);
            StageAnswer::LocationRead {
                handled,
                emissions: kept,
                cache,
                diagnostics,
            }
        }
        other => other,
    }
}

fn faulted(
    state: &mut Suspended,
    processor: &PipelineProcessor,
    fault: GuestFault,
    report: CallReport,
    made: Made,
) -> CallEnd {
    state.step = crate::budget::StepProgress::default();
    state.faults.push(FaultedCall {
        processor: processor.name.clone(),
        revision: processor.revision,
        stage: made.call.stage(),
        fault: fault.clone(),
        report,
        call: made.call,
        limits: made.limits,
        seed: made.seed,
    });
    CallEnd::Faulted(fault)
}
