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
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::compile_death::{self, Death};

/// Largest component, in bytes (DESIGN §3.2).
pub const COMPILE_INPUT_MAX: usize = 32 * 1024 * 1024;
/// Most a child may answer, in MiB; compiled code is 3–6 times its component.
const OUTPUT_MAX_MIB: u64 = 256;
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
    output_max_mib: u64,
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
            output_max_mib: OUTPUT_MAX_MIB,
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
            // What is pressed on a terminal is for the worker to act on.
            .process_group(0)
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
        let output_max = self.output_max_mib << 20;
        let (mut answer, mut last_words) = (Vec::new(), Vec::new());
        let exchange = async {
            let feed = async {
                // A child that dies early closes the pipe; its exit status says why.
                let _ = input.write_all(&component).await;
                drop(input);
                Ok(())
            };
            tokio::try_join!(
                feed,
                read_to_cap(output, output_max + 1, &mut answer),
                read_to_cap(errors, LAST_WORDS_MAX, &mut last_words)
            )?;
            child.wait().await
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            // However it ended: most likely of a pipe that nobody reads any more.
            Ok(Ok(_)) if answer.len() as u64 > output_max => {
                Err(CompileFailure::Rejected(format!(
                    "it compiles to more than {} MiB of code, which is the limit: make it smaller",
                    self.output_max_mib
                )))
            }
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

/// Reads a pipe to its end or to `cap` bytes, and closes it: a child with more to say is told so at once, by a pipe that is
/// broken, and does not wait for a reader until our patience ends.
async fn read_to_cap(
    pipe: impl AsyncRead + Unpin,
    cap: u64,
    into: &mut Vec<u8>,
) -> std::io::Result<()> {
    pipe.take(cap).read_to_end(into).await?;
    Ok(())
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a stand-in for the compiler is a script of the test's own"
)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// What comes of one upload with a shell script in the compiler's place, and how long it took.
    async fn compiled_by(script: &str) -> (CompileFailure, Duration) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stand-in");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let compiler = CompileChild {
            output_max_mib: 1,
            ..CompileChild::new(path.into(), 60)
        };
        let component = Bytes::from(vec![0; 1 << 20]);
        let began = Instant::now();
        let failure = compiler
            .compile(component, Digest::of(b"any"))
            .await
            .unwrap_err();
        (failure, began.elapsed())
    }

    #[tokio::test]
    async fn a08_an_answer_over_the_cap_is_refused_at_once() {
        // The input is left unread: neither pipe waits for the other.
        let (failure, took) = compiled_by("exec head -c 3000000 /dev/zero").await;
        let CompileFailure::Rejected(reason) = failure else {
            panic!("{failure}");
        };
        assert_eq!(
            reason,
            "it compiles to more than 1 MiB of code, which is the limit: make it smaller"
        );
        assert!(took < PATIENCE / 10, "{took:?}");
    }

    #[tokio::test]
    async fn a08_a_child_that_never_stops_complaining_is_refused_at_once() {
        let (failure, took) = compiled_by("exec yes complaint >&2").await;
        let CompileFailure::Rejected(reason) = failure else {
            panic!("{failure}");
        };
        assert!(reason.contains("signal 13"), "{reason}");
        assert!(took < PATIENCE / 10, "{took:?}");
    }
}
