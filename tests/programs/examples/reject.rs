//! Gives up: the entity is wrong.

use greenroom_test_programs::{Answer, ProcessingError, Program, Request, program};

struct Reject;

impl Program for Reject {
    fn pre_process(_request: Request) -> Answer {
        Err(ProcessingError::Invalid("spec.owner is missing".to_owned()))
    }
}

program!(Reject);
