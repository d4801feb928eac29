//! Wants 65 documents at once.

use greenroom_test_programs::{Answer, ProcessAnswer, Program, Request, Want, program};

struct Want65Reads;

impl Program for Want65Reads {
    fn pre_process(_request: Request) -> Answer {
        let want = |number| Want::Get(format!("https://example.com/{number}"));
        Ok(ProcessAnswer::Pending((0..65).map(want).collect()))
    }
}

program!(Want65Reads);
