//! Behaves, but burns some 20 ms; the configuration says how many turns instead.

use greenroom_test_programs::{Answer, Program, Request, program, say};

struct SlowCpu;

impl Program for SlowCpu {
    fn pre_process(request: Request) -> Answer {
        let turns: u64 = request.config.parse().unwrap_or(3_000_000);
        let mut state = 1_u64;
        for _ in 0..turns {
            state = std::hint::black_box(state.rotate_left(5) ^ 0x9e37_79b9_7f4a_7c15);
        }
        say(state.to_string())
    }
}

program!(SlowCpu);
