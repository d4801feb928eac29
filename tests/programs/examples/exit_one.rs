//! Leaves by `exit(1)` (c10).

use greenroom_test_programs::{Answer, Program, Request, program};

struct ExitOne;

impl Program for ExitOne {
    fn pre_process(_request: Request) -> Answer {
        std::process::exit(1)
    }
}

program!(ExitOne);
