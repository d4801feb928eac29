//! Says something on standard error and aborts (c10).

use greenroom_test_programs::{Answer, Program, Request, program};

struct AbortNow;

impl Program for AbortNow {
    fn pre_process(_request: Request) -> Answer {
        eprintln!("giving up on `web`");
        std::process::abort()
    }
}

program!(AbortNow);
