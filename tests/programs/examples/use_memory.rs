//! Allocates as many MiB as its configuration says, and says so.

use greenroom_test_programs::{Answer, Program, Request, program, say};

struct UseMemory;

impl Program for UseMemory {
    fn pre_process(request: Request) -> Answer {
        let mebibytes: usize = request.config.parse().unwrap_or(1);
        let kept = std::hint::black_box(vec![1_u8; mebibytes << 20]);
        say(format!("{}", kept.len()))
    }
}

program!(UseMemory);
