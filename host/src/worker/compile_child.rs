//! The parent's side of `greenroom compile`: one upload, one child, limits, exit (DESIGN §1).
//!
//! Input is the component on standard input; output is the artifact on standard output, or a reason. A compile bomb costs
//! one rejected revision: CPU and memory are limited in the child, time and output here. The child is locked down like one
//! that runs guests, and it is not given the key that authenticates artifacts: a component that takes the compiler over
//! can spoil its own artifact, which runs in a sandbox child like any other, and nobody else's.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use greenroom_model::Digest;
use greenroom_sandbox::Artifact;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::compile_death::{self, Death};

/// Largest component, in bytes (DESIGN §3.2).
pub const COMPILE_INPUT_MAX: usize = 32 * 1024 * 1024;
/// Most a child may answer, in bytes; compiled code is 3–6 times its component.
const OUTPUT_MAX: u64 = 256 * 1024 * 1024;
/// Most that is kept of what a child says when it dies, in bytes.
const LAST_WORDS_MAX: u64 = 4 * 1024;
/// Wall-clock time of a child, whatever CPU time it was given.
const PATIENCE: Duration = Duration::from_secs(120);
/// Exit code of a child that rejects its input and says why.
pub(crate) const REJECTED: i32 = 3;

/// Starts compile children, one at a time.
pub struct CompileChild {
    program: OsString,
    cpu_seconds: u32,
    one: Semaphore,
}

/// Why there is no artifact.
#[derive(Debug, Error)]
pub(crate) enum CompileFailure {
    /// The component is not one we run; what to change.
    #[error("{0}")]
    Rejected(String),
    /// Ours: tried again.
    #[error("{0}")]
    Failed(String),
}

impl CompileChild {
    /// Children are `program compile`, each with that much CPU time.
    pub fn new(program: OsString, cpu_seconds: u32) -> Self {
        Self {
            program,
            cpu_seconds,
            one: Semaphore::new(1),
        }
    }

    /// Compiles the component of a revision.
    pub(crate) async fn compile(
        &self,
        component: Bytes,
        revision: Digest,
    ) -> Result<Artifact, CompileFailure> {
        let failed = |doing: &str, error: &dyn std::fmt::Display| {
            CompileFailure::Failed(format!("{doing}: {error}"))
        };
        let _permit = self
            .one
            .acquire()
            .await
            .map_err(|error| failed("wait for the compiler", &error))?;
        let mut child = Command::new(&self.program)
            .arg("compile")
            .arg(format!("--cpu-seconds={}", self.cpu_seconds))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("start the compiler", &error))?;
        let began = Instant::now();
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut input), Some(output), Some(errors)) = pipes else {
            return Err(CompileFailure::Failed(
                "the compiler has no pipe".to_owned(),
            ));
        };
        let (mut answer, mut last_words) = (Vec::new(), Vec::new());
        let exchange = async {
            // A child that dies early closes the pipe; its exit status says why.
            let _ = input.write_all(&component).await;
            drop(input);
            let (mut output, mut errors) = (output.take(OUTPUT_MAX), errors.take(LAST_WORDS_MAX));
            tokio::try_join!(
                output.read_to_end(&mut answer),
                errors.read_to_end(&mut last_words)
            )?;
            child.wait().await
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(status)) if status.success() => Artifact::from_compiler(&answer, revision)
                .map_err(|error| failed("read the artifact of the compiler", &error)),
            Ok(Ok(status)) if status.code() == Some(REJECTED) => Err(CompileFailure::Rejected(
                String::from_utf8_lossy(&answer).into_owned(),
            )),
            Ok(Ok(status)) => Err(compile_death::failure(&Death {
                status,
                last_words: &last_words,
                lived: began.elapsed(),
                cpu_seconds: self.cpu_seconds,
            })),
            Ok(Err(error)) => Err(failed("talk to the compiler", &error)),
            Err(_) => Err(CompileFailure::Rejected(format!(
                "compiling it took longer than {} s, which is the limit whatever the machine does: make it smaller or simpler",
                PATIENCE.as_secs()
            ))),
        }
    }
}
