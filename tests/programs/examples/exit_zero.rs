//! Leaves by `exit(0)`: no result, whatever the status (c10).

use greenroom_test_programs::{Answer, Program, Request, program};

struct ExitZero;

impl Program for ExitZero {
    fn pre_process(_request: Request) -> Answer {
        std::process::exit(0)
    }
}

program!(ExitZero);
