//! c26: waiting for a core is not guest time.

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
