//! Never returns.

use greenroom_test_programs::{Answer, Program, Request, program};

struct LoopForever;

impl Program for LoopForever {
    fn pre_process(_request: Request) -> Answer {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
}

program!(LoopForever);
