//! The read-location stage of a Location entity (ref §2.4): each target is offered to the processors that read its type,
//! in order, until one handles it. A target that fails is a diagnostic of the Location and suspends removals; the other
//! targets are read all the same.

use greenroom_model::location::{LOCATION_KIND, Targets};
use greenroom_model::{Diagnostic, Level, LocationRef, Stage};
use greenroom_sandbox::{CallProcessor, SandboxError, StageAnswer};

use crate::call::{CallEnd, call};
use crate::collect::Emitter;
use crate::pipeline::Pipeline;
use crate::run::{fault_diagnostic, guest_diagnostic};
use crate::state::{Cursor, Suspended};

/// The most targets of one Location (y16).
const MAX_TARGETS: usize = 10_000;

/// How one turn of a run went.
pub(crate) enum Turn {
    /// On to the next call.
    Next,
    /// Reads are needed first.
    Pending,
    /// The run is rejected.
    Rejected {
        /// Whether it would be again.
        deterministic: bool,
    },
}

/// Where a valid entity goes on: its targets if it is a Location, else post-process.
pub(crate) fn enter(state: &mut Suspended, pipeline: &Pipeline) -> Cursor {
    if state.entity.kind() != LOCATION_KIND {
        return Cursor::PostProcess(0);
    }
    let found = Targets::of(&state.entity, &state.location);
    state.presence = found.presence;
    let own_type = found.r#type == state.location.r#type;
    if !own_type && !pipeline.location_types.contains(&found.r#type) {
        let allowed = pipeline.location_types.join(", ");
        let reason = format!(
            "location type `{}` is not allowed here: use one of {allowed}",
            found.r#type
        );
        fail(state, Diagnostic::error("InputError", reason));
        return Cursor::PostProcess(0);
    }
    if found.targets.len() > MAX_TARGETS {
        let reason = format!(
            "a Location may have at most {MAX_TARGETS} targets, this one has {}: split it",
            found.targets.len()
        );
        fail(state, Diagnostic::error("InputError", reason));
        return Cursor::PostProcess(0);
    }
    for target in found.locations(&state.location, &pipeline.url_integrations()) {
        if target.r#type == "file" && target.target.ends_with('/') {
            let reason = format!(
                "file target `{}` ends with a path separator: name a file",
                target.target
            );
            fail(
                state,
                Diagnostic::error("InputError", reason).about(target.to_string()),
            );
        } else {
            state.targets.push(target);
        }
    }
    Cursor::ReadLocation {
        target: 0,
        processor: 0,
    }
}

/// Offers the target to the next processor.
pub(crate) fn turn(
    state: &mut Suspended,
    pipeline: &Pipeline,
    target: usize,
    from: usize,
    calls: &dyn CallProcessor,
) -> Result<Turn, SandboxError> {
    let Some(location) = state.targets.get(target).cloned() else {
        state.cursor = Cursor::PostProcess(0);
        return Ok(Turn::Next);
    };
    let next_target = Cursor::ReadLocation {
        target: target + 1,
        processor: 0,
    };
    let Some((place, processor)) = state.next_with(pipeline, from, Stage::ReadLocation) else {
        fail(
            state,
            Diagnostic::error(
                "InputError",
                format!("No processor was able to handle reading of {location}"),
            )
            .about(location.to_string()),
        );
        state.cursor = next_target;
        return Ok(Turn::Next);
    };
    let next_processor = Cursor::ReadLocation {
        target,
        processor: place + 1,
    };
    if !processor
        .descriptor
        .location_types
        .contains(&location.r#type)
    {
        state.cursor = next_processor;
        return Ok(Turn::Next);
    }
    state.cursor = Cursor::ReadLocation {
        target,
        processor: place,
    };
    match call(
        state,
        pipeline,
        processor,
        Stage::ReadLocation,
        Some(&location),
        calls,
    )? {
        CallEnd::Pending => return Ok(Turn::Pending),
        CallEnd::Faulted(fault) => {
            state.may_pass |= !fault.kind.is_deterministic();
            let diagnostic = fault_diagnostic(
                processor,
                Stage::ReadLocation,
                &format!("reading {location}"),
                &fault,
            );
            fail(state, diagnostic.about(location.to_string()));
            state.cursor = next_target;
        }
        CallEnd::Answered(StageAnswer::LocationRead { handled: false, .. }) => {
            state.cursor = next_processor;
        }
        CallEnd::Answered(StageAnswer::LocationRead {
            handled: true,
            emissions,
            cache,
            diagnostics,
        }) => {
            if let Some(cache) = cache {
                state.new_caches.insert(processor.name.clone(), cache);
            }
            let mut said: Vec<Diagnostic> = diagnostics
                .into_iter()
                .map(|one| {
                    about_target(
                        guest_diagnostic(processor, Stage::ReadLocation, one),
                        &location,
                    )
                })
                .collect();
            let emitter = Emitter {
                pipeline,
                entity_ref: &state.entity_ref,
                parent: &state.entity,
                own_location: &state.location,
                origin: &state.origin,
                location: &location,
            };
            let emitted = state.collected.add(emissions, &emitter);
            said.extend(emitted.into_iter().map(|one| {
                one.at_stage(Stage::ReadLocation)
                    .from_processor(processor.name.as_str())
            }));
            state.complete &= !said.iter().any(|one| one.level == Level::Error);
            state.diagnostics.extend(said);
            state.cursor = next_target;
        }
        CallEnd::Answered(
            StageAnswer::Processed(_) | StageAnswer::Validated { .. } | StageAnswer::Pending { .. },
        ) => {
            return Err(SandboxError::Internal {
                revision: processor.revision,
                reason: "answered read-location with the answer of another stage".to_owned(),
            });
        }
    }
    Ok(Turn::Next)
}

/// A target failed: nothing of this parent is removed.
fn fail(state: &mut Suspended, diagnostic: Diagnostic) {
    state.complete = false;
    state
        .diagnostics
        .push(diagnostic.at_stage(Stage::ReadLocation));
}

fn about_target(diagnostic: Diagnostic, location: &LocationRef) -> Diagnostic {
    if diagnostic.target.is_some() {
        diagnostic
    } else {
        diagnostic.about(location.to_string())
    }
}
