//! Waits: blocks on a pollable due in 500 years, polls a list of them, sleeps by them (c11).

#![expect(
    unsafe_code,
    reason = "calls imports of WASI that the standard library keeps to itself"
)]

use greenroom_test_programs::{Answer, Program, Request, program, say};

#[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.2.6")]
unsafe extern "C" {
    #[link_name = "subscribe-duration"]
    fn subscribe_duration(nanoseconds: u64) -> i32;
}

#[link(wasm_import_module = "wasi:io/poll@0.2.6")]
unsafe extern "C" {
    #[link_name = "[method]pollable.block"]
    fn block(pollable: i32);
    #[link_name = "poll"]
    fn poll(list: *const i32, length: usize, result: *mut [usize; 2]);
}

struct WaitForever;

impl Program for WaitForever {
    fn pre_process(_request: Request) -> Answer {
        let mut ready = [0_usize; 2];
        // SAFETY: handles are valid, and the result area has the two words the import writes.
        unsafe {
            let (first, second) = (subscribe_duration(u64::MAX), subscribe_duration(u64::MAX));
            block(first);
            poll([first, second].as_ptr(), 2, &raw mut ready);
        }
        say(format!("{} ready", ready[1]))
    }
}

program!(WaitForever);
