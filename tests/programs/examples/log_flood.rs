//! Logs a hundred thousand lines and answers.

use greenroom_test_programs::bindings::greenroom::processor::log;
use greenroom_test_programs::{Answer, Level, Program, Request, program, unchanged};

struct LogFlood;

impl Program for LogFlood {
    fn pre_process(_request: Request) -> Answer {
        for _ in 0..100_000 {
            log::log(Level::Error, "x", &[]);
        }
        unchanged()
    }
}

program!(LogFlood);
