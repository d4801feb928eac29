//! Runs the stages natively: rounds until nothing is pending, every call twice.

use greenroom_model::{Entity, LocationRef, Presence, location::generated};

use super::Test;
use super::fixtures;
use super::outcome::Outcome;
use crate::bindings::greenroom::processor::types as wit;
use crate::emitter::from_location;
use crate::glue::{self, Logged};
use crate::processor::{Processor, Stage};

/// Most rounds of a stage, as the host has it.
const MAX_ROUNDS: usize = 64;

pub(super) fn run<P: Processor>(test: &Test, entity: Entity) -> Outcome {
    let descriptor = P::default().describe();
    let mut outcome = Outcome::of(entity);
    for stage in [Stage::PreProcess, Stage::ValidateKind, Stage::PostProcess] {
        let before = outcome.clone();
        let request = request(test, &outcome.entity);
        match stage {
            Stage::PreProcess => {
                process(
                    test,
                    request,
                    stage,
                    &mut outcome,
                    glue::pre_process_logged::<P>,
                );
            }
            Stage::PostProcess => {
                process(
                    test,
                    request,
                    stage,
                    &mut outcome,
                    glue::post_process_logged::<P>,
                );
            }
            Stage::ValidateKind | Stage::ReadLocation => {
                validate::<P>(test, request, &mut outcome);
            }
        }
        if !descriptor.has(stage) {
            outcome.rounds = before.rounds;
            assert_eq!(
                outcome, before,
                "{stage:?} did something but is not among the stages of describe(); add it"
            );
        }
        if outcome.error.is_some() {
            break;
        }
    }
    outcome
}

fn process(
    test: &Test,
    mut request: wit::Request,
    stage: Stage,
    outcome: &mut Outcome,
    call: impl Fn(wit::Request) -> Logged<wit::ProcessAnswer>,
) {
    for _ in 0..=MAX_ROUNDS {
        match twice(&request, &call, outcome) {
            Ok(wit::ProcessAnswer::Done(done)) => {
                if let Some(text) = done.entity {
                    let entity = Entity::from_json(&text)
                        .unwrap_or_else(|error| panic!("the returned entity: {error}"));
                    assert_eq!(
                        entity.entity_ref(),
                        outcome.entity.entity_ref(),
                        "kind, namespace and name must stay the same"
                    );
                    outcome.entity = entity;
                }
                outcome.add_emissions(done.emissions);
                outcome.add_diagnostics(done.diagnostics);
                outcome.cache = done.cache.or(outcome.cache.take());
                return;
            }
            Ok(wit::ProcessAnswer::Pending(wants)) => answer(test, &mut request.reads, wants),
            Err(error) => return outcome.fail(stage, error),
        }
    }
    panic!("{stage:?} is still pending after {MAX_ROUNDS} rounds");
}

fn validate<P: Processor>(test: &Test, mut request: wit::Request, outcome: &mut Outcome) {
    for _ in 0..=MAX_ROUNDS {
        match twice(&request, glue::validate_kind_logged::<P>, outcome) {
            Ok(wit::ValidateAnswer::Done(done)) => {
                outcome.recognised = done.recognised;
                outcome.add_diagnostics(done.diagnostics);
                return;
            }
            Ok(wit::ValidateAnswer::Pending(wants)) => answer(test, &mut request.reads, wants),
            Err(error) => return outcome.fail(Stage::ValidateKind, error),
        }
    }
    panic!("validate-kind is still pending after {MAX_ROUNDS} rounds");
}

pub(super) fn read_location<P: Processor>(
    test: &Test,
    location: &LocationRef,
    presence: Presence,
) -> Outcome {
    let entity = generated(&test.location, Some(presence), None)
        .unwrap_or_else(|error| panic!("the test's location: {error}"));
    let mut outcome = Outcome::of(entity);
    let mut request = wit::LocationRequest {
        request: request(test, &outcome.entity),
        target: from_location(location),
        presence: match presence {
            Presence::Required => wit::Presence::Required,
            Presence::Optional => wit::Presence::Optional,
        },
        carry: None,
    };
    outcome.steps = 1;
    let mut rounds = 0;
    while rounds <= MAX_ROUNDS {
        rounds += 1;
        match twice(&request, glue::read_location_logged::<P>, &mut outcome) {
            Ok(wit::LocationAnswer::Done(done)) => {
                outcome.handled = done.handled;
                outcome.add_emissions(done.emissions);
                outcome.add_diagnostics(done.diagnostics);
                outcome.cache = done.cache;
                return outcome;
            }
            Ok(wit::LocationAnswer::Pending(pending)) => {
                if let Some(carry) = pending.carry {
                    outcome.add_emissions(pending.emissions);
                    outcome.steps += 1;
                    rounds = 0;
                    request.request.reads.clear();
                    request.carry = Some(carry);
                    for want in pending.wants {
                        request.request.reads.push(fixtures::resolve(test, want));
                    }
                } else {
                    answer(test, &mut request.request.reads, pending.wants);
                }
            }
            Err(error) => {
                outcome.fail(Stage::ReadLocation, error);
                return outcome;
            }
        }
    }
    panic!("read-location is still pending after {MAX_ROUNDS} rounds");
}

/// One round: the call, and the same call again, which must answer the same.
fn twice<R: Clone, A: PartialEq + std::fmt::Debug>(
    request: &R,
    call: impl Fn(R) -> Logged<A>,
    outcome: &mut Outcome,
) -> Result<A, wit::ProcessingError> {
    let (first, log) = call(request.clone());
    let (second, _) = call(request.clone());
    assert_eq!(
        first, second,
        "two calls with the same request differ; does something live in a static?"
    );
    outcome.rounds += 1;
    outcome.log.extend(log);
    first
}

fn answer(test: &Test, reads: &mut Vec<wit::Read>, wants: Vec<wit::Want>) {
    let before = reads.len();
    for want in wants {
        if !reads.iter().any(|read| read.want == want) {
            reads.push(fixtures::resolve(test, want));
        }
    }
    assert!(reads.len() > before, "a round asked for nothing new");
    assert!(reads.len() <= MAX_ROUNDS, "a stage has at most 64 reads");
}

fn request(test: &Test, entity: &Entity) -> wit::Request {
    wit::Request {
        entity: entity.to_json(),
        location: from_location(&test.location),
        origin_location: from_location(&test.origin_location),
        config: test.config.to_string(),
        cache: test.cache.clone(),
        reads: Vec::new(),
        integrations: test
            .integrations
            .iter()
            .map(|integration| wit::Integration {
                type_: integration.r#type.as_str().to_owned(),
                host: integration.host.clone(),
            })
            .collect(),
        now: test.now.map(|now| now.0.max(0).unsigned_abs()),
        extensions: Vec::new(),
    }
}
