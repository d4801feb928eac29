//! Makes one call: a fresh store and instance, all limits set before anything of the guest runs
//! (start functions run inside instantiation), everything caught, and the store dropped on the
//! thread that used it.
//!
//! A store is never used twice. That, and not care in the guest, is why nothing accumulates.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use wasmtime::{Engine, Store, UpdateDeadline};

use crate::bindings::v0_1::CatalogProcessor;
use crate::classify::classify;
use crate::guest_state::GuestState;
use crate::limiter::Limiter;
use crate::log::Collector;
use crate::randomness::Randomness;
use crate::stopwatch::Stopwatch;
use crate::{
    CallLimits, CallOutcome, CallReport, Called, GuestFault, LoadedProcessor, SandboxError,
};

/// Handles a guest may hold; a guest in Rust holds three.
const MAX_HANDLES: usize = 1024;

/// How long a call that has gone on for longer than a tick leaves its core to others, at each tick.
const PAUSE: Duration = Duration::from_micros(50);

/// What a call of the guest gives: an answer of wasmtime, in which the guest's own result has
/// become an answer or a fault.
pub(crate) type GuestResult<T> = wasmtime::Result<Result<T, GuestFault>>;

/// Runs `call` on a fresh instance of `processor`.
pub(crate) fn run<T>(
    engine: &Engine,
    processor: &LoadedProcessor,
    limits: &CallLimits,
    seed: [u8; 32],
    call: impl FnOnce(&CatalogProcessor, &mut Store<GuestState>) -> GuestResult<T>,
) -> Result<Called<T>, SandboxError> {
    let revision = processor.revision;
    let internal = |reason: String| SandboxError::Internal { revision, reason };
    let watch = Stopwatch::start();
    let mut store =
        new_store(engine, limits, seed, watch).map_err(|error| internal(error.to_string()))?;
    // A panic of ours in an import unwinds through the guest to here. The store is not used again,
    // so that what it left half done is of no concern.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let instance = processor.pre.instantiate(&mut store)?;
        call(&instance, &mut store)
    }));
    let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    let state = store.into_data();
    let log = state.log.finish();
    let outcome = match result {
        Ok(Ok(Ok(answer))) => CallOutcome::Answered(answer),
        Ok(Ok(Err(fault))) => CallOutcome::Faulted(fault),
        Ok(Err(error)) => {
            CallOutcome::Faulted(classify(&error, processor, &state.limiter, limits, &log)?)
        }
        Err(panic) => {
            return Err(internal(format!(
                "a host function panicked: {}",
                text(&*panic)
            )));
        }
    };
    let report = CallReport {
        fuel,
        peak_memory_bytes: state.limiter.peak_memory_bytes(),
        cpu_us: watch.cpu_us(),
        wall_us: watch.wall_us(),
        log,
    };
    Ok(Called { outcome, report })
}

fn new_store(
    engine: &Engine,
    limits: &CallLimits,
    seed: [u8; 32],
    watch: Stopwatch,
) -> wasmtime::Result<Store<GuestState>> {
    let state = GuestState {
        limiter: Limiter::new(limits.memory_bytes, limits.table_elements),
        log: Collector::new(limits.log_bytes),
        randomness: Randomness::new(seed),
    };
    let mut store = Store::try_new(engine, state)?;
    store.limiter(|state| &mut state.limiter);
    store.set_fuel(limits.fuel)?;
    store.set_hostcall_fuel(usize::try_from(limits.host_bytes).unwrap_or(usize::MAX));
    store.set_max_component_handles(MAX_HANDLES);
    let cpu_us = limits.cpu_ms.saturating_mul(1000);
    let wall_us = limits.wall_ms.saturating_mul(1000);
    let mut is_long = false;
    store.epoch_deadline_callback(move |_| {
        if watch.cpu_us() >= cpu_us || watch.wall_us() >= wall_us {
            return Ok(UpdateDeadline::Interrupt);
        }
        if std::mem::replace(&mut is_long, true) {
            thread::sleep(PAUSE);
        }
        Ok(UpdateDeadline::Continue(1))
    });
    store.set_epoch_deadline(1);
    Ok(store)
}

fn text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
