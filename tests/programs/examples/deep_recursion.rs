//! Recurses without end and without its own stack.

use greenroom_test_programs::{Answer, Program, Request, program, say};

#[expect(unconditional_recursion, reason = "the behaviour of this program")]
fn down(depth: u64) -> u64 {
    std::hint::black_box(down(std::hint::black_box(depth + 1)) ^ depth)
}

struct DeepRecursion;

impl Program for DeepRecursion {
    fn pre_process(request: Request) -> Answer {
        say(down(request.entity.len() as u64).to_string())
    }
}

program!(DeepRecursion);
