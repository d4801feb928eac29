//! Behaves: adds an annotation.

use greenroom_test_programs::{Answer, ProcessingError, Program, Request, entity, program};

struct Annotate;

impl Program for Annotate {
    fn pre_process(request: Request) -> Answer {
        let mut value: serde_json::Value = match serde_json::from_str(&request.entity) {
            Ok(value) => value,
            Err(error) => return Err(ProcessingError::Invalid(error.to_string())),
        };
        value["metadata"]["annotations"]["example.com/seen"] = "yes".into();
        entity(value.to_string())
    }
}

program!(Annotate);
