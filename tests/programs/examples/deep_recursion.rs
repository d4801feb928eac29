//! Recurses without end and without its own stack.

use greenroom_test_programs::{Answer, Program, Request, program, say};

// Takes no address of a local: such a frame lives on the wasm stack alone.
#[inline(never)]
fn down(depth: u64) -> u64 {
    if depth == u64::MAX {
        return 0;
    }
    down(depth + 1).wrapping_mul(31) ^ depth
}

struct DeepRecursion;

impl Program for DeepRecursion {
    fn pre_process(request: Request) -> Answer {
        say(down(request.entity.len() as u64).to_string())
    }
}

program!(DeepRecursion);
