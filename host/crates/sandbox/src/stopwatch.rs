//! CPU time of the calling thread and wall clock since a call began: the only clocks this crate
//! reads (house style §1). CPU time decides deadlines, so that waiting for a core is never the
//! guest's fault (c26).

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Measures one call. Stays on the thread that made it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    cpu_us: u64,
    wall_us: u64,
}

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch {
            cpu_us: microseconds(ClockId::ThreadCPUTime),
            wall_us: microseconds(ClockId::Monotonic),
        }
    }

    /// Microseconds of CPU this thread has used since the start.
    pub(crate) fn cpu_us(&self) -> u64 {
        microseconds(ClockId::ThreadCPUTime).saturating_sub(self.cpu_us)
    }

    /// Microseconds since the start.
    pub(crate) fn wall_us(&self) -> u64 {
        microseconds(ClockId::Monotonic).saturating_sub(self.wall_us)
    }
}

fn microseconds(clock: ClockId) -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    let seconds = u64::try_from(tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(tv_nsec).unwrap_or(0);
    seconds * 1_000_000 + nanoseconds / 1_000
}
