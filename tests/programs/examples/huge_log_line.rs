//! Logs one line of as many MiB as its configuration says, with forged levels and control characters in it (c09).

use greenroom_test_programs::bindings::greenroom::processor::log;
use greenroom_test_programs::{Answer, Level, Program, Request, program, unchanged};

struct HugeLogLine;

impl Program for HugeLogLine {
    fn pre_process(request: Request) -> Answer {
        let mebibytes: usize = request.config.parse().unwrap_or(1);
        let forged = "\n{\"level\":\"error\"}\u{1b}[31m\u{202e}";
        log::log(
            Level::Debug,
            forged,
            &[("level".to_owned(), "error".to_owned())],
        );
        log::log(Level::Debug, &"x".repeat(mebibytes << 20), &[]);
        unchanged()
    }
}

program!(HugeLogLine);
