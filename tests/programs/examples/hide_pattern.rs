//! Leaves a pattern everywhere it can: in a static, on its stack, on its heap, and in a page it grew by, to the last byte
//! (c06). With the configuration `trap` it then dies.

use greenroom_test_programs::{Answer, Program, Request, memory, program, say};
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

/// What [`seek_pattern`](../seek_pattern.rs) looks for, as it stands in memory, is its complement, so that neither program
/// has it in its code.
const COMPLEMENT: u64 = !0xa7a7_5ec2_e7a7_c0de;
const PAGE_WORDS: usize = 65_536 / 8;

static KEPT: Mutex<[u64; 512]> = Mutex::new([0; 512]);

#[inline(never)]
fn on_the_stack(depth: usize, pattern: u64) -> u64 {
    let frame = black_box([pattern; 256]);
    if depth == 0 {
        return frame[depth];
    }
    on_the_stack(depth - 1, pattern) ^ frame[depth]
}

struct HidePattern;

impl Program for HidePattern {
    fn pre_process(request: Request) -> Answer {
        let pattern = !black_box(COMPLEMENT);
        KEPT.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill(pattern);
        black_box(on_the_stack(6, pattern));
        let heap = black_box(vec![pattern; 4 * PAGE_WORDS]);
        if let Some(page) = memory::grow(1) {
            for word in page.chunks_exact_mut(8) {
                word.copy_from_slice(&pattern.to_le_bytes());
            }
        }
        assert!(request.config != "trap", "as it was told");
        say(format!("hid {} words", heap.len()))
    }
}

program!(HidePattern);
