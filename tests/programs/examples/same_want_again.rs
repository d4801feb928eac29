//! Wants the same document in every round.

use greenroom_test_programs::{Answer, ProcessAnswer, Program, Request, Want, program};

struct SameWantAgain;

impl Program for SameWantAgain {
    fn pre_process(_request: Request) -> Answer {
        let want = Want::Get("https://example.com/same".to_owned());
        Ok(ProcessAnswer::Pending(vec![want]))
    }
}

program!(SameWantAgain);
