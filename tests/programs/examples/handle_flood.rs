//! Takes handles and never gives one back (c12).

#![expect(
    unsafe_code,
    reason = "calls an import of WASI that the standard library keeps to itself"
)]

use greenroom_test_programs::{Answer, Program, Request, program};

#[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.2.6")]
unsafe extern "C" {
    #[link_name = "subscribe-duration"]
    fn subscribe_duration(nanoseconds: u64) -> i32;
}

struct HandleFlood;

impl Program for HandleFlood {
    fn pre_process(_request: Request) -> Answer {
        loop {
            // SAFETY: the import takes a number and gives one.
            std::hint::black_box(unsafe { subscribe_duration(1) });
        }
    }
}

program!(HandleFlood);
