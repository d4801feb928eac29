//! Allocates as much as an address can name, in one piece (c04).

use greenroom_test_programs::{Answer, Program, Request, program, say};

struct AllocateAll;

impl Program for AllocateAll {
    fn pre_process(_request: Request) -> Answer {
        let kept = std::hint::black_box(Vec::<u8>::with_capacity(isize::MAX as usize));
        say(kept.capacity().to_string())
    }
}

program!(AllocateAll);
