//! Never gets past its initialisers, which run inside instantiation (a15).

use greenroom_test_programs::{Program, program};

#[expect(unsafe_code, reason = "the section is what makes it an initialiser")]
#[unsafe(link_section = ".init_array")]
#[used]
static INITIALISER: extern "C" fn() = spin;

extern "C" fn spin() {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

struct LoopAtStart;

impl Program for LoopAtStart {}

program!(LoopAtStart);
