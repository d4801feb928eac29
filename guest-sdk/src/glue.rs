//! Between the contract and the trait: one function a stage, the same for guest and native tests.
//!
//! The rule of reads lives here: a call that recorded a want is answered "pending" with its wants,
//! whatever the processor returned, and everything else it produced is dropped.

use greenroom_model::{Entity, Presence};

use crate::bindings::greenroom::processor::types as wit;
use crate::context::{Context, location};
use crate::emitter::Emitter;
use crate::error::ProcessorError;
use crate::logging::{Log, LogLine};
use crate::outcome::{Handled, Target, Verdict};
use crate::processor::Processor;

/// An answer and the log of the native call that gave it.
pub(crate) type Logged<T> = (Result<T, wit::ProcessingError>, Vec<LogLine>);

type ProcessStage<P> = fn(&P, Entity, &Context, &mut Emitter) -> Result<Entity, ProcessorError>;

/// `describe` of the contract.
#[must_use]
pub fn describe<P: Processor>() -> wit::Descriptor {
    P::default().describe().into()
}

/// `pre-process` of the contract.
///
/// # Errors
/// What the processor returned.
pub fn pre_process<P: Processor>(
    request: wit::Request,
) -> Result<wit::ProcessAnswer, wit::ProcessingError> {
    pre_process_logged::<P>(request).0
}

/// `post-process` of the contract.
///
/// # Errors
/// What the processor returned.
pub fn post_process<P: Processor>(
    request: wit::Request,
) -> Result<wit::ProcessAnswer, wit::ProcessingError> {
    post_process_logged::<P>(request).0
}

/// `validate-kind` of the contract.
///
/// # Errors
/// What the processor returned.
pub fn validate_kind<P: Processor>(
    request: wit::Request,
) -> Result<wit::ValidateAnswer, wit::ProcessingError> {
    validate_kind_logged::<P>(request).0
}

/// `read-location` of the contract.
///
/// # Errors
/// What the processor returned.
pub fn read_location<P: Processor>(
    request: wit::LocationRequest,
) -> Result<wit::LocationAnswer, wit::ProcessingError> {
    read_location_logged::<P>(request).0
}

pub(crate) fn pre_process_logged<P: Processor>(
    request: wit::Request,
) -> Logged<wit::ProcessAnswer> {
    process(request, P::pre_process)
}

pub(crate) fn post_process_logged<P: Processor>(
    request: wit::Request,
) -> Logged<wit::ProcessAnswer> {
    process(request, P::post_process)
}

fn process<P: Processor>(
    request: wit::Request,
    stage: ProcessStage<P>,
) -> Logged<wit::ProcessAnswer> {
    let (before, cx) = Context::new(request, None, Log::default());
    let mut out = Emitter::default();
    let result = parse(&before).and_then(|entity| stage(&P::default(), entity, &cx, &mut out));
    let (wants, log) = cx.finish();
    let answer = if wants.is_empty() {
        result.map_err(Into::into).map(|entity| {
            let after = entity.to_json();
            wit::ProcessAnswer::Done(wit::Processed {
                entity: (after != before).then_some(after),
                emissions: out.emissions,
                cache: out.cache,
                diagnostics: out.diagnostics,
                extensions: Vec::new(),
            })
        })
    } else {
        Ok(wit::ProcessAnswer::Pending(wants))
    };
    (answer, log.into_lines())
}

pub(crate) fn validate_kind_logged<P: Processor>(
    request: wit::Request,
) -> Logged<wit::ValidateAnswer> {
    let (text, cx) = Context::new(request, None, Log::default());
    let mut out = Emitter::default();
    let result = parse(&text).and_then(|entity| P::default().validate_kind(&entity, &cx, &mut out));
    let (wants, log) = cx.finish();
    let answer = if wants.is_empty() {
        result.map_err(Into::into).map(|verdict| {
            wit::ValidateAnswer::Done(wit::Validated {
                recognised: verdict == Verdict::Valid,
                diagnostics: out.diagnostics,
                extensions: Vec::new(),
            })
        })
    } else {
        Ok(wit::ValidateAnswer::Pending(wants))
    };
    (answer, log.into_lines())
}

pub(crate) fn read_location_logged<P: Processor>(
    request: wit::LocationRequest,
) -> Logged<wit::LocationAnswer> {
    let target = Target {
        location: location(request.target),
        presence: match request.presence {
            wit::Presence::Required => Presence::Required,
            wit::Presence::Optional => Presence::Optional,
        },
    };
    let (_, cx) = Context::new(request.request, request.carry, Log::default());
    let mut out = Emitter::default();
    let result = P::default().read_location(&target, &cx, &mut out);
    let (wants, log) = cx.finish();
    let answer = if !wants.is_empty() {
        Ok(wit::LocationAnswer::Pending(wit::LocationPending {
            wants,
            carry: None,
            emissions: Vec::new(),
        }))
    } else {
        result.map_err(Into::into).map(|handled| match out.carry {
            Some(carry) if handled == Handled::Yes => {
                wit::LocationAnswer::Pending(wit::LocationPending {
                    wants: out.next,
                    carry: Some(carry),
                    emissions: out.emissions,
                })
            }
            _ => wit::LocationAnswer::Done(wit::LocationRead {
                handled: handled == Handled::Yes,
                emissions: out.emissions,
                cache: out.cache,
                diagnostics: out.diagnostics,
                extensions: Vec::new(),
            }),
        })
    };
    (answer, log.into_lines())
}

fn parse(text: &str) -> Result<Entity, ProcessorError> {
    Entity::from_json(text).map_err(|error| ProcessorError::Invalid(error.to_string()))
}
