//! Fills, or with the configuration `copy` copies, 64 MiB for ever: single instructions that take long (c02).

use greenroom_test_programs::{Answer, Program, Request, program};
use std::hint::black_box;

const HALF: usize = 64 << 20;

struct BulkMemory;

impl Program for BulkMemory {
    fn pre_process(request: Request) -> Answer {
        let mut memory = vec![1_u8; 2 * HALF];
        loop {
            let memory = black_box(memory.as_mut_slice());
            if request.config == "copy" {
                memory.copy_within(..HALF, HALF);
            } else {
                memory[..HALF].fill(black_box(7));
            }
        }
    }
}

program!(BulkMemory);
