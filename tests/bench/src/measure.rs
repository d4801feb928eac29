//! Times small things fairly: in turns, so that all of them meet the same disturbances, and by the middle of many rounds, so
//! that one disturbed round counts for nothing.

use rustix::time::{ClockId, clock_gettime};

/// Calls in one round of one contender.
const CALLS_PER_ROUND: u32 = 50;

/// Something to be timed.
pub(crate) type Contender<'a> = &'a mut dyn FnMut();

/// Nanoseconds of CPU one call of each contender takes: the median over `rounds`.
pub(crate) fn in_turns(contenders: &mut [Contender<'_>], rounds: usize) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let before = cpu_ns();
            for _ in 0..CALLS_PER_ROUND {
                contender();
            }
            // The first round warms up.
            if round > 0 {
                times.push((cpu_ns() - before) / f64::from(CALLS_PER_ROUND));
            }
        }
    }
    times.into_iter().map(median).collect()
}

/// The least of sorted figures that so many percent of them do not exceed; zero where there are none.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0.0)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

/// CPU time of this thread: what other processes take of a shared machine does not count.
fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Resident memory of this process in bytes.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
