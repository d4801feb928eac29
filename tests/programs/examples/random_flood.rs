//! Asks for 4 GiB of randomness at once, or as many bytes as its configuration says (c12).

#![expect(
    unsafe_code,
    reason = "calls an import of WASI that the standard library keeps to itself"
)]

use greenroom_test_programs::{Answer, Program, Request, program, say};

#[link(wasm_import_module = "wasi:random/random@0.2.6")]
unsafe extern "C" {
    #[link_name = "get-random-bytes"]
    fn get_random_bytes(bytes: u64, result: *mut [usize; 2]);
}

struct RandomFlood;

impl Program for RandomFlood {
    fn pre_process(request: Request) -> Answer {
        let bytes = request.config.parse().unwrap_or(4 << 30);
        let mut result = [0_usize; 2];
        // SAFETY: the result area has the two words the import writes.
        unsafe { get_random_bytes(bytes, &raw mut result) };
        say(result[1].to_string())
    }
}

program!(RandomFlood);
