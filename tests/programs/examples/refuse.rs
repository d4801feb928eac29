//! Gives up because a read was refused.

use greenroom_test_programs::{Answer, ProcessingError, Program, Request, program};

struct Refuse;

impl Program for Refuse {
    fn pre_process(_request: Request) -> Answer {
        Err(ProcessingError::Refused("not in the grant".to_owned()))
    }
}

program!(Refuse);
