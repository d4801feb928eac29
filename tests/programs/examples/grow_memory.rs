//! Allocates until there is no more.

use greenroom_test_programs::{Answer, Program, Request, program};

struct GrowMemory;

impl Program for GrowMemory {
    fn pre_process(_request: Request) -> Answer {
        let mut kept = Vec::new();
        loop {
            kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
        }
    }
}

program!(GrowMemory);
