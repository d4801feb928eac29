//! Limits of the process, and what it is to others: killed first when memory runs out, never dumped, not attachable, gone
//! when the thread that started it is gone.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setpriority_process, setrlimit, setsid,
};

use crate::{Inmate, LockdownError};

/// Address space of a compiler, in bytes (DESIGN §3.2).
const COMPILER_MEMORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Largest file of a process that runs guests: an image of initial memory, which the engine keeps as a memory file and of
/// which inspection allows 64 MiB.
const IMAGE_BYTES: u64 = 80 * 1024 * 1024;
/// Descriptors of a process that runs guests: the images of some thousand loaded modules.
const DESCRIPTORS: u64 = 16_384;
/// Lower priority than the API's (DESIGN §1).
const NICE: i32 = 10;
/// The lowest there is.
const NICEST: i32 = 19;

/// Asks the kernel to take this process before any other when memory runs out: it is the one that is replaced in
/// milliseconds. Needs a path, so it comes before paths are gone; not being heard is no reason not to go on.
pub(crate) fn mark_first_to_go() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the kernel offers this as a file only, and the process renounces paths right after"
    )]
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Makes this process, and what it starts, a session of its own, lower than all others.
///
/// Where the kernel shares out cores among sessions first (`sched(7)`, "the autogroup feature"), a lower priority counts within one
/// only. Somebody in another session, such as a database, would have no more of a core than guests have. In a container, and on most
/// kernels of servers, there is nothing to say. Needs a path.
pub fn leave_session() {
    if setsid().is_err() {
        return;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the kernel offers this as a file only"
    )]
    let _ = std::fs::write("/proc/self/autogroup", NICE.to_string());
}

/// Sets the limits.
pub(crate) fn limit(inmate: Inmate) -> Result<(), LockdownError> {
    let attribute = |what, result: rustix::io::Result<()>| {
        result.map_err(|error| LockdownError::Limit {
            what,
            source: error.into(),
        })
    };
    attribute(
        "dumping",
        set_dumpable_behavior(DumpableBehavior::NotDumpable),
    )?;
    attribute(
        "the life",
        set_parent_process_death_signal(Some(Signal::KILL)),
    )?;
    // Not being allowed to be nice is no reason not to go on.
    let _ = setpriority_process(None, NICE);
    set("core files", Resource::Core, 0)?;
    match inmate {
        Inmate::Guests => {
            set("file sizes", Resource::Fsize, IMAGE_BYTES)?;
            let allowed = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
            set("descriptors", Resource::Nofile, DESCRIPTORS.min(allowed))
        }
        Inmate::Compiler { cpu_seconds } => {
            set("file sizes", Resource::Fsize, 0)?;
            set("memory", Resource::As, COMPILER_MEMORY_BYTES)?;
            set("CPU time", Resource::Cpu, cpu_seconds)
        }
    }
}

/// Lets the calling thread give way to every other: whoever wakes up beside it has the core at once. Threads that it starts
/// begin like it.
///
/// The lowest priority is not enough for that: who slept for less than its share still waits, for up to a tick of some
/// milliseconds. A thread that is *idle* (`sched(7)`, `SCHED_IDLE`) is preempted by any other of its session or container.
pub fn give_way() {
    // Of this thread alone: Linux keeps both for each. Not being allowed to be nice is no reason not to go on.
    let _ = setpriority_process(None, NICEST);
    let nothing_more = libc::sched_param { sched_priority: 0 };
    #[expect(
        unsafe_code,
        reason = "neither the standard library nor rustix sets a policy; the kernel reads one integer and changes this thread alone"
    )]
    let _ = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_IDLE,
            &raw const nothing_more,
        )
    };
}

/// Allows no further process or thread.
pub(crate) fn no_more_processes() -> Result<(), LockdownError> {
    set("processes", Resource::Nproc, 0)
}

fn set(what: &'static str, resource: Resource, value: u64) -> Result<(), LockdownError> {
    let limit = Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    setrlimit(resource, limit).map_err(|error| LockdownError::Limit {
        what,
        source: error.into(),
    })
}
