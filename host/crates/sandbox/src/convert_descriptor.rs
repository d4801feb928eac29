//! Turns what `describe` returned into a descriptor, within bounds that keep it showable and cheap
//! to match (a16). The bounds are named in the fault: the author sees them at upload.

use greenroom_model::{Stage, check_matcher_values, check_subscription};

use crate::bindings::v0_1::types as wit;
use crate::printable::printable;
use crate::{Descriptor, FaultKind, GuestFault, Matcher, TimeGrain, Track};

const MAX_SCHEMA_BYTES: usize = 64 * 1024;
const MAX_SUMMARY_CHARS: usize = 200;
/// Priorities from here to its negative may be declared.
const MAX_PRIORITY: i32 = 10_000;

pub(crate) fn descriptor(given: wit::Descriptor) -> Result<Descriptor, GuestFault> {
    let mut stages: Vec<Stage> = given.stages.iter().map(stage).collect();
    stages.sort_unstable();
    stages.dedup();
    if stages.is_empty() {
        return Err(invalid("names no stage; declare at least one"));
    }
    if given.priority.unsigned_abs() > MAX_PRIORITY.unsigned_abs() {
        let priority = given.priority;
        return Err(invalid(&format!(
            "has priority {priority}; use -{MAX_PRIORITY} to {MAX_PRIORITY}"
        )));
    }
    let subscription: Vec<Matcher> = given.subscription.into_iter().map(matcher).collect();
    check_subscription(&subscription)
        .and_then(|()| check_matcher_values("location-types", &given.location_types))
        .map_err(|error| invalid(&error.to_string()))?;
    if let Some(schema) = &given.config_schema {
        at_most("bytes of config-schema", schema.len(), MAX_SCHEMA_BYTES)?;
        crate::checked_json::checked_object(schema)
            .map_err(|why| invalid(&format!("has a config-schema that is not valid: {why}")))?;
    }
    if let Some(summary) = &given.summary {
        at_most(
            "characters of summary",
            summary.chars().count(),
            MAX_SUMMARY_CHARS,
        )?;
    }
    Ok(Descriptor {
        track: Track::V0_1,
        stages,
        subscription,
        location_types: given.location_types,
        priority: given.priority,
        config_schema: given.config_schema,
        time: given.time.map(|grain| match grain {
            wit::TimeGrain::Hour => TimeGrain::Hour,
            wit::TimeGrain::Day => TimeGrain::Day,
        }),
        summary: given
            .summary
            .map(|summary| printable(&summary, MAX_SUMMARY_CHARS)),
    })
}

fn stage(stage: &wit::Stage) -> Stage {
    match stage {
        wit::Stage::PreProcess => Stage::PreProcess,
        wit::Stage::ValidateKind => Stage::ValidateKind,
        wit::Stage::ReadLocation => Stage::ReadLocation,
        wit::Stage::PostProcess => Stage::PostProcess,
    }
}

fn matcher(matcher: wit::Matcher) -> Matcher {
    Matcher {
        kinds: matcher.kinds,
        types: matcher.types,
        annotations: matcher.annotations,
        keys_starting_with: matcher.keys_starting_with,
    }
}

fn at_most(what: &str, count: usize, most: usize) -> Result<(), GuestFault> {
    if count > most {
        return Err(invalid(&format!(
            "has {count} {what}; at most {most} may be"
        )));
    }
    Ok(())
}

fn invalid(what: &str) -> GuestFault {
    GuestFault::new(FaultKind::InvalidOutput, format!("the descriptor {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given() -> wit::Descriptor {
        wit::Descriptor {
            stages: vec![wit::Stage::PostProcess, wit::Stage::PreProcess],
            subscription: Vec::new(),
            location_types: Vec::new(),
            priority: 20,
            config_schema: None,
            time: None,
            summary: None,
            extensions: Vec::new(),
        }
    }

    #[test]
    fn stages_come_out_in_their_order() {
        let stages = descriptor(given()).unwrap().stages;
        assert_eq!(stages, [Stage::PreProcess, Stage::PostProcess]);
    }

    #[test]
    fn a16_descriptors_out_of_bounds_are_refused() {
        let mut many = given();
        many.subscription = vec![wit::Matcher {
            kinds: Vec::new(),
            types: Vec::new(),
            annotations: vec!["a".to_owned(); 100_000],
            keys_starting_with: Vec::new(),
        }];
        let mut lowest = given();
        lowest.priority = i32::MIN;
        let mut none = given();
        none.stages.clear();
        let mut control = given();
        control.location_types = vec!["u\nrl".to_owned()];
        let mut schema = given();
        schema.config_schema = Some("[".to_owned());
        let mut large = given();
        large.config_schema = Some(format!("{{}}{}", " ".repeat(MAX_SCHEMA_BYTES)));
        let mut long = given();
        long.summary = Some("é".repeat(201));
        for bad in [many, lowest, none, control, schema, large, long] {
            let fault = descriptor(bad).unwrap_err();
            assert_eq!(fault.kind, FaultKind::InvalidOutput);
        }
    }
}
