//! Why a compile child ended without an answer, in words for the author of the component: the figure and the limit (a08).
//!
//! A limit of the kernel shows as a signal, one of memory as the allocator's last words. What no limit explains is the
//! compiler's own death on this input, and the input is refused for it; only a kill from outside is ours and tried again.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use super::compile_child::CompileFailure;

/// Memory of a compile child, in GiB (DESIGN §3.2).
const MEMORY_GIB: u64 = 2;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

/// What is known of a dead child.
pub(super) struct Death<'a> {
    /// How it ended.
    pub(super) status: ExitStatus,
    /// What it wrote to standard error.
    pub(super) last_words: &'a [u8],
    /// How long it lived.
    pub(super) lived: Duration,
    /// Its limit of CPU time, in seconds.
    pub(super) cpu_seconds: u32,
}

/// Whose fault it is, and what to say.
pub(super) fn failure(death: &Death<'_>) -> CompileFailure {
    let words = String::from_utf8_lossy(death.last_words);
    let cpu = || {
        CompileFailure::Rejected(format!(
            "compiling it used {0} s of CPU time, and {0} s is the limit: make it smaller or simpler",
            death.cpu_seconds
        ))
    };
    if let Some(bytes) = refused_allocation(&words) {
        return CompileFailure::Rejected(format!(
            "compiling it needed more than {MEMORY_GIB} GiB of memory, which is the limit (an allocation of {bytes} bytes was refused): make it smaller or simpler"
        ));
    }
    match death.status.signal() {
        Some(SIGXCPU) => cpu(),
        // The kernel's last resort where soft and hard limit are one; also what an operator or a full machine sends.
        Some(SIGKILL) if used_up(death) => cpu(),
        Some(SIGKILL) => CompileFailure::Failed("the compiler was killed from outside".to_owned()),
        None if death.status.code() == Some(1) => {
            CompileFailure::Failed("the compiler could not do its work".to_owned())
        }
        Some(signal) => CompileFailure::Rejected(format!(
            "the compiler died on it (signal {signal}): make it simpler, and report it"
        )),
        None => CompileFailure::Rejected(format!(
            "the compiler gave up on it ({}): make it simpler, and report it",
            death.status
        )),
    }
}

/// Whether so much CPU time can have been used.
fn used_up(death: &Death<'_>) -> bool {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    death.lived.as_secs_f64() * cores as f64 >= f64::from(death.cpu_seconds) * 0.9
}

/// The size in `memory allocation of N bytes failed`, the last words of Rust's allocator.
fn refused_allocation(words: &str) -> Option<u64> {
    let (_, rest) = words.split_once("memory allocation of ")?;
    let (figure, rest) = rest.split_once(' ')?;
    rest.starts_with("bytes failed")
        .then(|| figure.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGABRT: i32 = 6;

    fn told(status: i32, last_words: &str, lived_s: u64) -> Result<String, String> {
        let death = Death {
            status: ExitStatus::from_raw(status),
            last_words: last_words.as_bytes(),
            lived: Duration::from_secs(lived_s),
            cpu_seconds: 60,
        };
        match failure(&death) {
            CompileFailure::Rejected(reason) => Ok(reason),
            CompileFailure::Failed(reason) => Err(reason),
        }
    }

    #[test]
    fn a08_each_death_is_told_with_figure_and_limit() {
        let cpu = told(SIGXCPU, "", 70).unwrap();
        assert!(
            cpu.contains("60 s of CPU time, and 60 s is the limit"),
            "{cpu}"
        );
        assert_eq!(told(SIGKILL, "", 61).unwrap(), cpu);
        let memory = told(SIGABRT, "memory allocation of 4096 bytes failed\n", 3).unwrap();
        assert!(
            memory.contains("more than 2 GiB") && memory.contains("4096 bytes"),
            "{memory}"
        );
        assert!(told(11, "", 1).unwrap().contains("signal 11"));
        assert!(
            told(101 << 8, "thread panicked", 1)
                .unwrap()
                .contains("gave up on it")
        );
    }

    #[test]
    fn what_is_ours_is_not_the_components() {
        assert!(told(SIGKILL, "", 1).unwrap_err().contains("from outside"));
        assert!(told(1 << 8, "", 1).is_err());
    }
}
