//! `guest_result` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greenroom_fuzz::targets::guest_result::run(data));
