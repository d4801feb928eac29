//! Recurses through its own stack of 64 KiB, and so below address 0 (c04).

use greenroom_test_programs::{Answer, Program, Request, program, say};

#[expect(unconditional_recursion, reason = "the behaviour of this program")]
fn down(depth: usize) -> usize {
    let frame = std::hint::black_box([depth; 512]);
    down(depth + 1) ^ frame[depth % 512]
}

struct UnderflowStack;

impl Program for UnderflowStack {
    fn pre_process(request: Request) -> Answer {
        say(down(request.entity.len()).to_string())
    }
}

program!(UnderflowStack);
