//! `greenroom compile`: one upload, compiled under limits in a process that owns nothing (DESIGN §1).
//!
//! Reads the artifact key (32 bytes) and the component from standard input, writes the sealed artifact to standard output
//! and exits; or writes what to change and exits with 3.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use greenroom_sandbox::{ArtifactKey, CompileError, CompileLimits, compile};
use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};

use crate::worker::COMPILE_INPUT_MAX;

/// Address space, in bytes (DESIGN §3.2).
const MEMORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;
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
    let limit = |resource, value| {
        setrlimit(
            resource,
            Rlimit {
                current: Some(value),
                maximum: Some(value),
            },
        )
        .map_err(|_| None)
    };
    limit(Resource::As, MEMORY_BYTES)?;
    limit(Resource::Cpu, cpu_seconds)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    // Not being allowed to be nice is no reason not to compile.
    let _ = setpriority_process(None, 10);
    let mut key = [0; 32];
    let mut component = Vec::new();
    let mut input = std::io::stdin().lock();
    input.read_exact(&mut key).map_err(|_| None)?;
    input
        .take(COMPILE_INPUT_MAX as u64 + 1)
        .read_to_end(&mut component)
        .map_err(|_| None)?;
    match compile(&component, &CompileLimits::default()) {
        Ok(artifact) => Ok(artifact.seal(&ArtifactKey::new(key))),
        Err(CompileError::Rejected(rejection)) => Err(Some(rejection.to_string())),
        Err(CompileError::Failed(_)) => Err(None),
    }
}
