//! Appends 10 kB to a global in every call and says how long it was before.

use greenroom_test_programs::{Answer, Program, Request, program, say};
use std::sync::{Mutex, PoisonError};

static LEAKED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct LeakGlobal;

impl Program for LeakGlobal {
    fn pre_process(_request: Request) -> Answer {
        let mut leaked = LEAKED.lock().unwrap_or_else(PoisonError::into_inner);
        let before = leaked.len();
        leaked.extend_from_slice(&[7; 10_000]);
        say(before.to_string())
    }
}

program!(LeakGlobal);
