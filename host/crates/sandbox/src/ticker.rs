//! The clock behind deadlines: a thread that moves the engine's epoch every [`TICK`].
//!
//! It is a thread of its own and not a timer of somebody's runtime, because a timer does not fire
//! while all threads of the runtime sit in guests. It holds the engine weakly and ends with it.

use std::thread;
use std::time::Duration;

use wasmtime::Engine;

use crate::SandboxError;

/// How often running guests are looked at. A deadline is late by at most this and the longest
/// single operation.
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// Starts the clock of `engine`.
pub(crate) fn start_ticker(engine: &Engine) -> Result<(), SandboxError> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("sandbox-ticker".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .map(drop)
        .map_err(SandboxError::Ticker)
}
