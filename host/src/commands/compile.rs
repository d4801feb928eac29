//! `greenroom compile`: one upload, compiled in a process that owns nothing (DESIGN §1).
//!
//! Locks itself down, reads the component from standard input, writes the artifact to standard output and exits; or writes
//! what to change and exits with 3. It holds no key: whoever started it seals what it answers.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use greenroom_lockdown::{Inmate, enclose};
use greenroom_sandbox::{CompileError, CompileLimits, compile};

use crate::worker::COMPILE_INPUT_MAX;

/// Exit code for a rejected component.
const REJECTED: u8 = 3;

pub(super) fn run(cpu_seconds: u64) -> ExitCode {
    match limited(cpu_seconds) {
        Ok(artifact) => match std::io::stdout().write_all(&artifact) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(Some(reason)) => {
            // The parent reads the reason; if it is gone there is nobody to tell.
            let _ = std::io::stdout().write_all(reason.as_bytes());
            ExitCode::from(REJECTED)
        }
        Err(None) => ExitCode::FAILURE,
    }
}

/// The artifact; a reason to reject the input; or nothing, when we failed.
fn limited(cpu_seconds: u64) -> Result<Vec<u8>, Option<String>> {
    // Who started this sees only that it failed, as for any failure of ours.
    enclose(Inmate::Compiler { cpu_seconds })
        .and_then(greenroom_lockdown::Enclosed::seal)
        .map_err(|_| None)?;
    let mut component = Vec::new();
    std::io::stdin()
        .lock()
        .take(COMPILE_INPUT_MAX as u64 + 1)
        .read_to_end(&mut component)
        .map_err(|_| None)?;
    match compile(&component, &CompileLimits::default()) {
        Ok(artifact) => Ok(artifact.to_bytes()),
        Err(CompileError::Rejected(rejection)) => Err(Some(rejection.to_string())),
        Err(CompileError::Failed(_)) => Err(None),
    }
}
