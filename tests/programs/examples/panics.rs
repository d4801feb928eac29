//! Panics with a message.

use greenroom_test_programs::{Answer, Program, Request, program};

struct Panics;

impl Program for Panics {
    fn pre_process(_request: Request) -> Answer {
        panic!("no owner for `{}`", "web");
    }
}

program!(Panics);
