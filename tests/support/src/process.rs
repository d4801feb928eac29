//! Processes of a host under test, by pid, as Linux shows them.

use std::fs;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// The state letter and the parent of a process.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also parentheses.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

/// Whether the process runs; a zombie does not.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// Processes whose parent is `pid` and that run.
pub fn children_of(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&child| {
            stat(child).is_some_and(|(state, parent)| parent == pid && !matches!(state, 'Z' | 'X'))
        })
        .collect()
}

/// A figure of `/proc/<pid>/status` in bytes, such as `VmRSS` or `VmHWM`.
///
/// # Panics
/// If the process or the figure is not there.
pub fn memory_of(pid: u32, figure: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.expect("a figure in kB") * 1024
}

/// Lets the peak of a process's resident memory (`VmHWM`) begin anew.
///
/// # Panics
/// If the system does not let us.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("reset the peak of memory");
}

/// Lets this process open as many files as it may; how many that is. Hosts that it starts may as many.
///
/// # Panics
/// If the system does not let us.
pub fn raise_descriptor_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(1 << 16);
    let raised = Rlimit {
        current: Some(most),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("raise the limit of descriptors");
    most
}

/// `kill -9` of one process.
pub fn kill_hard(pid: u32) {
    if let Some(pid) = pid_of(pid) {
        // It may be gone already.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// What Ctrl-C sends.
pub fn stop_softly(pid: u32) {
    if let Some(pid) = pid_of(pid) {
        let _ = kill_process(pid, Signal::INT);
    }
}

/// `kill -9` of a process and of all it started. `pid` leads a group of its own.
pub fn kill_group(pid: u32) {
    if let Some(pid) = pid_of(pid) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}
