//! Looks at every word of its memory, and of a page it grows by, for the pattern another program leaves behind, and at that
//! page for anything at all; says how many it found (c06).

use greenroom_test_programs::{Answer, Program, Request, memory, program, say};
use std::hint::black_box;

const COMPLEMENT: u64 = !0xa7a7_5ec2_e7a7_c0de;

struct SeekPattern;

impl Program for SeekPattern {
    fn pre_process(_request: Request) -> Answer {
        let (mut patterns, mut dirty) = (0_u64, 0_u64);
        let before = memory::bytes();
        let _ = memory::grow(1);
        let end = memory::bytes();
        // Not the first word: a reference to address 0 is not for Rust to make.
        for address in (8..end).step_by(8) {
            #[expect(
                unsafe_code,
                reason = "reading all of its own memory is what this program does"
            )]
            // SAFETY: the address is aligned and below the size of memory.
            let word = unsafe { (black_box(address) as *const u64).read_volatile() };
            patterns += u64::from(word == !black_box(COMPLEMENT));
            dirty += u64::from(address >= before && word != 0);
        }
        say(format!("{patterns} patterns, {dirty} dirty words"))
    }
}

program!(SeekPattern);
