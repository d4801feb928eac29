//! Logs for ever: what the host does for it is charged like its own work (c01).

use greenroom_test_programs::bindings::greenroom::processor::log;
use greenroom_test_programs::{Answer, Level, Program, Request, program};

struct LoopOverLog;

impl Program for LoopOverLog {
    fn pre_process(_request: Request) -> Answer {
        loop {
            log::log(Level::Info, "again", &[]);
        }
    }
}

program!(LoopOverLog);
