//! Grows its memory to as many pages as the configuration says, one instruction, and says what it has then; panics where
//! growing was refused and the configuration ends in `!` (c03).

use greenroom_test_programs::{Answer, Program, Request, memory, program, say};

struct GrowPages;

impl Program for GrowPages {
    fn pre_process(request: Request) -> Answer {
        let fatal = request.config.ends_with('!');
        let pages: usize = request.config.trim_end_matches('!').parse().unwrap_or(0);
        let grown = memory::grow(pages.saturating_sub(memory::bytes() >> 16)).is_some();
        assert!(grown || !fatal, "could not grow");
        say(format!("{grown} {}", memory::bytes() >> 16))
    }
}

program!(GrowPages);
