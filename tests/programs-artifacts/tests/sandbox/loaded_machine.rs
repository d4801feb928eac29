//! A core that is shared: waiting for it is not guest time (c26), and a long call leaves it to others now and then (q01).

use std::sync::atomic::{AtomicBool, Ordering};

use greenroom_sandbox::CallLimits;
use greenroom_test_artifacts::SLOW_CPU_COMPONENT;

use crate::support::{Program, request};

/// Threads that spin beside the honest one, for each core.
const SPINNERS: usize = 8;

#[test]
fn c26_a_correct_processor_beside_spinning_threads_never_meets_its_deadline() {
    let program = Program::load(SLOW_CPU_COMPONENT);
    let honest = request().config("8000000");
    let quiet = program.call(&honest);
    // Four times what it takes alone: enough for a core that is shared, not for one that is waited for.
    let limits = CallLimits {
        cpu_ms: quiet.report.cpu_us / 250 + 4,
        ..CallLimits::default()
    };
    let done = AtomicBool::new(false);
    let mut waited = false;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..SPINNERS * cores {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        for _ in 0..20 {
            let called = program.call_within(&honest, &limits);
            waited |= called.report.wall_us > limits.cpu_ms * 1000;
            let fault = called.outcome.fault().cloned();
            if fault.is_some() {
                done.store(true, Ordering::Relaxed);
            }
            assert_eq!(fault, None, "c26: {} us of CPU", called.report.cpu_us);
            if waited {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(
        waited,
        "c26: the honest call never waited, so this proved nothing"
    );
}

/// How often this thread has left its core of its own accord.
fn left_the_core() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("Linux tells");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok())
        .expect("a count")
}

#[test]
fn q01_a_long_call_leaves_its_core_to_others_at_each_tick() {
    let program = Program::load(SLOW_CPU_COMPONENT);
    let before = left_the_core();
    let called = program.call(&request().config("8000000"));
    let left = left_the_core() - before;
    assert_eq!(called.outcome.fault(), None);
    // A tick is 2 ms, and the ticker may be late.
    let ticks = called.report.cpu_us / 2_000;
    assert!(ticks >= 4, "it was too short: {ticks} ticks");
    assert!(left >= ticks / 4, "{left} times in {ticks} ticks");
}
