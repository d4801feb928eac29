//! The stages of one run, in order (ref §2.2): pre-process, policies, validate-kind, read-location for a Location,
//! post-process. [`start`] begins a run, [`resume`] takes it up where a read interrupted it.
//!
//! An `error` from pre-process, a policy, validate-kind or post-process rejects the run; from read-location it concerns
//! that target alone. Nothing is validated after post-process.

use greenroom_model::location::{LocationError, origin_location, own_location};
use greenroom_model::{Diagnostic, Entity, EntityRef, ErrorCause, Level, Presence, Stage, policy};
use greenroom_sandbox::{
    CallProcessor, FaultKind, GivenEntity, GuestDiagnostic, GuestFault, Read, SandboxError,
    StageAnswer,
};

use crate::budget::StepProgress;
use crate::call::{CallEnd, call};
use crate::collect::{Collected, Emitter};
use crate::job::{Job, Step, WantedReads};
use crate::observed::Observed;
use crate::outcome::{Outcome, Processed, TracedWant, Verdict};
use crate::pipeline::{Pipeline, PipelineProcessor};
use crate::read_location::{self, Turn};
use crate::state::{Cursor, Suspended};
use crate::trace::outcome_digest;

/// The most diagnostics a run keeps (c16).
const MAX_DIAGNOSTICS: usize = 100;

/// Begins a run.
///
/// # Errors
/// Only ours: a guest's failure is part of the outcome.
pub fn start(
    job: Job,
    pipeline: &Pipeline,
    calls: &dyn CallProcessor,
) -> Result<Step, SandboxError> {
    match prepare(job, pipeline) {
        Ok(state) => drive(state, pipeline, calls),
        Err(diagnostic) => Ok(Step::Done(Box::new(Outcome {
            verdict: Verdict::Rejected {
                deterministic: true,
            },
            diagnostics: vec![diagnostic],
            faults: Vec::new(),
            trace: Vec::new(),
            cpu_us: 0,
            calls: 0,
            called: Default::default(),
            due_ms: None,
            observed: Observed::default(),
        }))),
    }
}

/// Takes up a run with what its wanted reads gave, in the order they were wanted.
///
/// # Errors
/// Only ours: a guest's failure is part of the outcome.
pub fn resume(
    mut state: Suspended,
    reads: Vec<Read>,
    pipeline: &Pipeline,
    calls: &dyn CallProcessor,
) -> Result<Step, SandboxError> {
    if let Some((stage, processor)) = waiting(&state, pipeline) {
        let name = processor.name.clone();
        state.trace.extend(reads.iter().map(|read| TracedWant {
            stage,
            processor: name.clone(),
            want: read.want.clone(),
            digest: outcome_digest(&read.outcome),
        }));
    }
    state.step.add(reads);
    drive(state, pipeline, calls)
}

fn prepare(job: Job, pipeline: &Pipeline) -> Result<Suspended, Diagnostic> {
    let entity = Entity::from_json(&job.entity).map_err(|error| {
        Diagnostic::error(error.name(), error.to_string()).at_stage(Stage::PreProcess)
    })?;
    let bad = |error: LocationError| {
        Diagnostic::error(error.name(), error.to_string()).at_stage(Stage::PreProcess)
    };
    let location = own_location(&entity).map_err(bad)?;
    let origin = origin_location(&entity).map_err(bad)?;
    let matched = pipeline.matching(&entity).map(|(index, _)| index).collect();
    Ok(Suspended {
        entity_ref: entity.entity_ref(),
        given: GivenEntity::of(job.entity, entity.entity_ref()),
        entity,
        location,
        origin,
        matched,
        caches: job.caches,
        new_caches: Default::default(),
        tenant_secret: job.tenant_secret,
        now_ms: job.now_ms,
        cursor: Cursor::PreProcess(0),
        recognised: false,
        targets: Vec::new(),
        presence: Presence::Required,
        collected: Collected::default(),
        step: StepProgress::default(),
        diagnostics: Vec::new(),
        faults: Vec::new(),
        trace: Vec::new(),
        complete: true,
        may_pass: false,
        cpu_us: 0,
        calls: 0,
        observe: job.observe,
        observed: Observed::default(),
        called: Default::default(),
    })
}

/// The stage and processor whose reads a suspended run waits for.
fn waiting<'p>(
    state: &Suspended,
    pipeline: &'p Pipeline,
) -> Option<(Stage, &'p PipelineProcessor)> {
    let (stage, place) = match state.cursor {
        Cursor::PreProcess(place) => (Stage::PreProcess, place),
        Cursor::ValidateKind(place) => (Stage::ValidateKind, place),
        Cursor::ReadLocation { processor, .. } => (Stage::ReadLocation, processor),
        Cursor::PostProcess(place) => (Stage::PostProcess, place),
    };
    let index = state.matched.get(place)?;
    Some((stage, pipeline.processors.get(*index)?))
}

/// Runs stages until the run is over or needs reads.
fn drive(
    mut state: Suspended,
    pipeline: &Pipeline,
    calls: &dyn CallProcessor,
) -> Result<Step, SandboxError> {
    loop {
        let turn = match state.cursor {
            Cursor::PreProcess(from) => match state.next_with(pipeline, from, Stage::PreProcess) {
                Some((place, processor)) => {
                    state.cursor = Cursor::PreProcess(place);
                    let turn =
                        entity_stage(&mut state, pipeline, processor, Stage::PreProcess, calls)?;
                    advance(turn, || state.cursor = Cursor::PreProcess(place + 1))
                }
                None => match policy::apply(state.entity.clone()) {
                    Ok(entity) => {
                        state.set_entity(entity);
                        state.cursor = Cursor::ValidateKind(0);
                        Turn::Next
                    }
                    Err(error) => {
                        state.diagnostics.push(error.diagnostic());
                        Turn::Rejected {
                            deterministic: true,
                        }
                    }
                },
            },
            Cursor::ValidateKind(from) => {
                match state.next_with(pipeline, from, Stage::ValidateKind) {
                    Some((place, processor)) => {
                        state.cursor = Cursor::ValidateKind(place);
                        let turn = entity_stage(
                            &mut state,
                            pipeline,
                            processor,
                            Stage::ValidateKind,
                            calls,
                        )?;
                        advance(turn, || state.cursor = Cursor::ValidateKind(place + 1))
                    }
                    None if state.recognised => {
                        state.cursor = read_location::enter(&mut state, pipeline);
                        Turn::Next
                    }
                    None => {
                        state.diagnostics.push(unrecognised(&state.entity_ref));
                        Turn::Rejected {
                            deterministic: true,
                        }
                    }
                }
            }
            Cursor::ReadLocation { target, processor } => {
                read_location::turn(&mut state, pipeline, target, processor, calls)?
            }
            Cursor::PostProcess(from) => {
                match state.next_with(pipeline, from, Stage::PostProcess) {
                    Some((place, processor)) => {
                        state.cursor = Cursor::PostProcess(place);
                        let turn = entity_stage(
                            &mut state,
                            pipeline,
                            processor,
                            Stage::PostProcess,
                            calls,
                        )?;
                        advance(turn, || state.cursor = Cursor::PostProcess(place + 1))
                    }
                    None => return Ok(Step::Done(Box::new(finish(state, pipeline)))),
                }
            }
        };
        match turn {
            Turn::Next => {}
            Turn::Pending => return Ok(suspend(state, pipeline)),
            Turn::Rejected { deterministic } => {
                let due_ms = state.due_ms(pipeline);
                return Ok(Step::Done(Box::new(outcome(
                    state,
                    due_ms,
                    Verdict::Rejected { deterministic },
                ))));
            }
        }
    }
}

fn advance(turn: Turn, step: impl FnOnce()) -> Turn {
    if matches!(turn, Turn::Next) {
        step();
    }
    turn
}

/// One processor's pre-process, validate-kind or post-process.
fn entity_stage(
    state: &mut Suspended,
    pipeline: &Pipeline,
    processor: &PipelineProcessor,
    stage: Stage,
    calls: &dyn CallProcessor,
) -> Result<Turn, SandboxError> {
    let (emissions, diagnostics) = match call(state, pipeline, processor, stage, None, calls)? {
        CallEnd::Pending => return Ok(Turn::Pending),
        CallEnd::Faulted(fault) => {
            let deterministic = fault.kind.is_deterministic();
            let doing = format!("{} the entity {}", doing(stage), state.entity_ref);
            state
                .diagnostics
                .push(fault_diagnostic(processor, stage, &doing, &fault));
            return Ok(Turn::Rejected { deterministic });
        }
        CallEnd::Answered(StageAnswer::Processed(processed)) => {
            if let Some(entity) = processed.entity {
                state.set_entity(entity);
            }
            if let Some(cache) = processed.cache {
                state.new_caches.insert(processor.name.clone(), cache);
            }
            (processed.emissions, processed.diagnostics)
        }
        CallEnd::Answered(StageAnswer::Validated {
            recognised,
            diagnostics,
        }) => {
            state.recognised |= recognised;
            (Vec::new(), diagnostics)
        }
        CallEnd::Answered(StageAnswer::LocationRead { .. } | StageAnswer::Pending { .. }) => {
            return Err(SandboxError::Internal {
                revision: processor.revision,
                reason: format!("answered {stage} with the answer of another stage"),
            });
        }
    };
    let mut said: Vec<Diagnostic> = diagnostics
        .into_iter()
        .map(|one| guest_diagnostic(processor, stage, one))
        .collect();
    let emitter = Emitter {
        pipeline,
        entity_ref: &state.entity_ref,
        parent: &state.entity,
        own_location: &state.location,
        origin: &state.origin,
        location: &state.location,
    };
    let emitted = state.collected.add(emissions, &emitter);
    // What is wrong with a child concerns the child; what the processor itself calls an error concerns the entity.
    let rejected = said.iter().any(|one| one.level == Level::Error);
    state.complete &= !emitted.iter().any(|one| one.level == Level::Error);
    said.extend(
        emitted
            .into_iter()
            .map(|one| one.from_processor(processor.name.as_str()).at_stage(stage)),
    );
    state.diagnostics.extend(said);
    Ok(if rejected {
        Turn::Rejected {
            deterministic: true,
        }
    } else {
        Turn::Next
    })
}

fn suspend(state: Suspended, pipeline: &Pipeline) -> Step {
    let (stage, name) = match waiting(&state, pipeline) {
        Some((stage, processor)) => (stage, processor.name.clone()),
        // A cursor always stands on a processor of the pipeline it was driven with.
        None => {
            return Step::Done(Box::new(outcome(
                state,
                None,
                Verdict::Rejected {
                    deterministic: false,
                },
            )));
        }
    };
    let target = match state.cursor {
        Cursor::ReadLocation { target, .. } => state.targets.get(target).cloned(),
        Cursor::PreProcess(_) | Cursor::ValidateKind(_) | Cursor::PostProcess(_) => None,
    };
    let wanted = WantedReads {
        processor: name,
        stage,
        wants: state.step.wanted.clone(),
        location: state.location.clone(),
        origin_location: state.origin.clone(),
        target,
    };
    Step::Wants(Box::new(wanted), Box::new(state))
}

fn finish(mut state: Suspended, pipeline: &Pipeline) -> Outcome {
    let due_ms = state.due_ms(pipeline);
    let collected = std::mem::take(&mut state.collected);
    let processed = Processed {
        entity: state.entity.clone(),
        children: collected.children,
        relations: collected.relations.into_iter().collect(),
        refresh_keys: collected.refresh_keys.into_iter().collect(),
        caches: std::mem::take(&mut state.new_caches),
        complete: state.complete,
        may_pass: state.may_pass,
    };
    outcome(state, due_ms, Verdict::Processed(Box::new(processed)))
}

fn outcome(mut state: Suspended, due_ms: Option<u64>, verdict: Verdict) -> Outcome {
    state.diagnostics.truncate(MAX_DIAGNOSTICS);
    Outcome {
        verdict,
        diagnostics: state.diagnostics,
        faults: state.faults,
        trace: state.trace,
        cpu_us: state.cpu_us,
        calls: state.calls,
        called: state.called,
        due_ms,
        observed: state.observed,
    }
}

/// A guest's diagnostic as it is stored and served.
pub(crate) fn guest_diagnostic(
    processor: &PipelineProcessor,
    stage: Stage,
    said: GuestDiagnostic,
) -> Diagnostic {
    let name = match said.level {
        Level::Error => "InputError",
        Level::Warning => "Warning",
        Level::Info => "Info",
    };
    let mut diagnostic = Diagnostic::new(said.level, name, said.message)
        .at_stage(stage)
        .from_processor(processor.name.as_str());
    diagnostic.position = said.position.map(Box::new);
    let place = said
        .position
        .map(|at| format!("line {}, column {}", at.line, at.column));
    match (said.location, place) {
        (Some(location), Some(place)) => diagnostic.about(format!("{location} ({place})")),
        (Some(location), None) => diagnostic.about(location.to_string()),
        (None, Some(place)) => diagnostic.about(place),
        (None, None) => diagnostic,
    }
}

/// A fault as Backstage words a thrown error: the processor, what it was doing, and the cause (ref §2.2).
pub(crate) fn fault_diagnostic(
    processor: &PipelineProcessor,
    stage: Stage,
    doing: &str,
    fault: &GuestFault,
) -> Diagnostic {
    let name = match (fault.kind, fault.error) {
        (FaultKind::Rejected | FaultKind::Denied, Some(error)) => error.error_name(),
        (kind, _) => kind.as_str(),
    };
    Diagnostic::error(
        "InputError",
        format!(
            "Processor {} threw an error while {doing}; caused by {name}: {}",
            processor.name.as_str(),
            fault.message
        ),
    )
    .at_stage(stage)
    .from_processor(processor.name.as_str())
    .caused_by(ErrorCause::new(name, fault.message.clone()))
}

pub(crate) fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::PreProcess | Stage::Policy | Stage::Describe => "preprocessing",
        Stage::ValidateKind => "validating",
        Stage::ReadLocation => "reading",
        Stage::PostProcess => "postprocessing",
    }
}

fn unrecognised(entity_ref: &EntityRef) -> Diagnostic {
    Diagnostic::error(
        "InputError",
        format!(
            "No processor recognized the entity {entity_ref} as valid, possibly caused by a foreign kind or apiVersion"
        ),
    )
    .at_stage(Stage::ValidateKind)
}
