//! `greenroom sandbox`: the process that runs guests, started by a worker and by nobody else (DESIGN §1).
//!
//! Nothing happens here before it locks itself down: no log, no configuration, no environment.

use std::process::ExitCode;

/// Runs until the worker is gone.
pub(super) fn run(threads: u32) -> ExitCode {
    match greenroom_sandbox_child::run(threads) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Its last words, which the worker logs.
            eprintln!("greenroom sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}
