//! Panics while the message of its panic is being written (c10).

use greenroom_test_programs::{Answer, Program, Request, program};
use std::fmt;

struct Unprintable;

impl fmt::Display for Unprintable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("the inner panic")
    }
}

struct PanicInPanic;

impl Program for PanicInPanic {
    fn pre_process(_request: Request) -> Answer {
        panic!("the outer panic: {Unprintable}")
    }
}

program!(PanicInPanic);
