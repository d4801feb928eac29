//! Behaves: declares a schema of its configuration and annotates with the team in it. Panics on entities named `bad…`, as a
//! revision does that is not ready for them.

use greenroom_test_programs::{
    Answer, Descriptor, ProcessingError, Program, Request, descriptor, entity, program,
};
use serde_json::Value;

struct Configured;

impl Program for Configured {
    fn describe() -> Descriptor {
        Descriptor {
            config_schema: Some(
                r#"{"type":"object","required":["team"],"properties":{"team":{"type":"string","pattern":"^[a-z]+$"}}}"#
                    .to_owned(),
            ),
            ..descriptor()
        }
    }

    fn pre_process(request: Request) -> Answer {
        let read = |text: &str| {
            serde_json::from_str::<Value>(text)
                .map_err(|error| ProcessingError::Invalid(error.to_string()))
        };
        let (mut value, config) = (read(&request.entity)?, read(&request.config)?);
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        assert!(!name.starts_with("bad"), "not ready for `{name}`");
        value["metadata"]["annotations"]["example.com/seen"] = config["team"].clone();
        entity(value.to_string())
    }
}

program!(Configured);
