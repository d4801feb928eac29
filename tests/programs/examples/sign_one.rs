//! Signs the entity as `one` in two stages of a run, so that a run by two revisions would show.

use greenroom_test_programs::{
    Answer, Descriptor, ProcessingError, Program, Request, Stage, descriptor, entity, program,
};

struct SignOne;

impl Program for SignOne {
    fn describe() -> Descriptor {
        Descriptor {
            stages: vec![Stage::PreProcess, Stage::PostProcess],
            ..descriptor()
        }
    }

    fn pre_process(request: Request) -> Answer {
        sign(&request.entity, "example.com/before")
    }

    fn post_process(request: Request) -> Answer {
        sign(&request.entity, "example.com/after")
    }
}

fn sign(text: &str, annotation: &str) -> Answer {
    let mut value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| ProcessingError::Invalid(error.to_string()))?;
    value["metadata"]["annotations"][annotation] = "one".into();
    entity(value.to_string())
}

program!(SignOne);
