//! Sandbox children of a host under test, as Linux shows them.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{children_of, is_alive};

/// A process that runs guests for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxChild {
    /// Its pid.
    pub pid: u32,
    /// Whether it was started for one run.
    pub alone: bool,
}

/// How a child is made to end, or to seem ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// `SIGKILL`, as the system's when memory runs out.
    Kill,
    /// `SIGSEGV`, as a defect of the engine.
    Segv,
    /// `SIGABRT`, as a failed assertion.
    Abort,
    /// `SIGSTOP`: it lives and says nothing.
    Stop,
}

impl SandboxChild {
    /// Those of a worker.
    pub fn of(worker: u32) -> Vec<SandboxChild> {
        children_of(worker)
            .into_iter()
            .filter_map(|pid| {
                let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                let mut words = command.split(|byte| *byte == 0).skip(1);
                (words.next()? == b"sandbox").then(|| SandboxChild {
                    pid,
                    alone: words.any(|word| word == b"--alone"),
                })
            })
            .collect()
    }

    /// CPU time it has used, in hundredths of a second.
    pub fn cpu_ticks(self) -> u64 {
        let of = |place| stat(&format!("/proc/{}/stat", self.pid), place).unwrap_or(0);
        of(14) + of(15)
    }

    /// Its process group.
    pub fn process_group(self) -> Option<u64> {
        stat(&format!("/proc/{}/stat", self.pid), 5)
    }

    /// The threads that guests run on: name and scheduling policy (`SCHED_OTHER` is 0, `SCHED_IDLE` is 5), by name.
    pub fn guest_threads(self) -> Vec<(String, u64)> {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return Vec::new();
        };
        let mut guests: Vec<(String, u64)> = threads
            .filter_map(|thread| {
                let path = thread.ok()?.path();
                let name = fs::read_to_string(path.join("comm")).ok()?;
                let policy = stat(path.join("stat").to_str()?, 41)?;
                Some((name.trim().to_owned(), policy))
            })
            .filter(|(name, _)| name.starts_with("guest-"))
            .collect();
        guests.sort();
        guests
    }

    /// One line of `/proc/<pid>/status`.
    pub fn status(self, name: &str) -> String {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// Strikes it.
    pub fn strike(self, blow: Blow) {
        let signal = match blow {
            Blow::Kill => Signal::KILL,
            Blow::Segv => Signal::SEGV,
            Blow::Abort => Signal::ABORT,
            Blow::Stop => Signal::STOP,
        };
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return;
        };
        // It may be gone already.
        let _ = kill_process(pid, signal);
        // A handler of the runtime looks at a SIGSEGV first, finds that no address is to blame, and steps aside for the next.
        for _ in 0..200 {
            if blow != Blow::Segv || !is_alive(self.pid) {
                return;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "the handler that runs in between tells nobody that it has"
            )]
            std::thread::sleep(Duration::from_millis(5));
            let _ = kill_process(pid, signal);
        }
    }
}

/// A number of a `stat` file, by its place in `proc_pid_stat(5)`, from 4 on.
fn stat(path: &str, place: usize) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let (_, after_name) = text.rsplit_once(") ")?;
    after_name.split(' ').nth(place - 3)?.parse().ok()
}
