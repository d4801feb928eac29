//! Says what an error of wasmtime means: whose fault, and which. By type, once, here.
//!
//! Order is the rule. Fuel, deadline and stack are certain. Any other death after a refused growth
//! is `memory-limit`, because allocators die in many ways. One type of wasmtime is private and is
//! matched by its text; the test `huge_output` pins it.

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use crate::imports::GuestExit;
use crate::limiter::{Limiter, Refusal};
use crate::line_table::LineTable;
use crate::printable::{MESSAGE_BYTES, NAME_CHARS, printable, start_of};
use crate::{
    CallLimits, CallLog, FaultKind, Frame, GuestFault, LoadedProcessor, LogLevel, SandboxError,
};

/// How wasmtime says that a crossing would have copied too much.
const CROSSING_TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";

/// The fault behind `error`, or our own failure.
pub(crate) fn classify(
    error: &wasmtime::Error,
    processor: &LoadedProcessor,
    limiter: &Limiter,
    limits: &CallLimits,
    log: &CallLog,
) -> Result<GuestFault, SandboxError> {
    if error.is::<PoolConcurrencyLimitError>() || limiter.system_refused() {
        return Err(SandboxError::NoRoom(processor.revision));
    }
    let trap = error.downcast_ref::<Trap>().copied();
    let (kind, message) = match trap {
        Some(Trap::OutOfFuel) => {
            let fuel = limits.fuel;
            (FaultKind::OutOfFuel, format!("used up its fuel of {fuel}"))
        }
        Some(Trap::Interrupt) => {
            let (cpu, wall) = (limits.cpu_ms, limits.wall_ms);
            let message = format!("ran longer than {cpu} ms of CPU time or {wall} ms in all");
            (FaultKind::Deadline, message)
        }
        Some(Trap::StackOverflow) => {
            let message = "recursed deeper than the stack of 512 KiB".to_owned();
            (FaultKind::StackOverflow, message)
        }
        _ => match limiter.refusal() {
            Some(refusal) => (FaultKind::MemoryLimit, describe(refusal, limits)),
            None => other(error, trap, limits, log),
        },
    };
    Ok(GuestFault {
        kind,
        message,
        error: None,
        backtrace: backtrace(error, &processor.lines),
    })
}

fn describe(refusal: Refusal, limits: &CallLimits) -> String {
    match refusal {
        Refusal::Memory { held, asked } => {
            let limit = limits.memory_bytes;
            format!(
                "died after asking for {asked} bytes of memory, holding {held}; the limit is {limit}"
            )
        }
        Refusal::Table { asked } => {
            let limit = limits.table_elements;
            format!("died after asking for {asked} more table elements; the limit is {limit}")
        }
    }
}

fn other(
    error: &wasmtime::Error,
    trap: Option<Trap>,
    limits: &CallLimits,
    log: &CallLog,
) -> (FaultKind, String) {
    let root = error.root_cause().to_string();
    if root.contains(CROSSING_TOO_LARGE) {
        let limit = limits.host_bytes;
        let message = format!("passed more than {limit} bytes to the host at once; return less");
        return (FaultKind::OutputTooLarge, message);
    }
    if trap.is_none() && error.is::<std::str::Utf8Error>() {
        return (
            FaultKind::InvalidOutput,
            "returned text that is not UTF-8".to_owned(),
        );
    }
    let message = match (trap, panic_message(log)) {
        (Some(Trap::UnreachableCodeReached), Some(panic)) => panic.to_owned(),
        (Some(trap), _) => trap.to_string(),
        (None, _) if error.is::<GuestExit>() => root,
        // Anything else is a broken rule of the canonical ABI, told by its text.
        (None, _) => printable(start_of(&root, MESSAGE_BYTES), usize::MAX),
    };
    (FaultKind::Trap, message)
}

/// What the guest said last before it died: the hook of our SDK logs a panic as an error, a plain
/// Rust panic is two lines of standard error, where and what.
fn panic_message(log: &CallLog) -> Option<&str> {
    let last = log.lines.last()?;
    let line = if last.level == LogLevel::Error {
        last
    } else {
        let mut lines = log.lines.iter().rev();
        let place = lines.position(|line| line.message.contains("panicked at"))?;
        let place = log.lines.len() - 1 - place;
        let what = log.lines.get(place + 1);
        what.filter(|line| !line.message.starts_with("note:"))
            .unwrap_or(&log.lines[place])
    };
    Some(start_of(&line.message, MESSAGE_BYTES))
}

fn backtrace(error: &wasmtime::Error, lines: &LineTable) -> Vec<Frame> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    backtrace
        .frames()
        .iter()
        .map(|frame| {
            let index = frame.func_index();
            let offset = frame
                .module_offset()
                .and_then(|offset| lines.uploaded_offset(offset as u64));
            let place = offset.and_then(|offset| lines.line_of(offset));
            Frame {
                function: frame
                    .func_name()
                    .map_or_else(|| format!("wasm-function[{index}]"), demangled),
                file: place.map(|(file, _)| file.to_owned()),
                line: place.map(|(_, line)| line),
                offset,
            }
        })
        .collect()
}

/// A name as its author wrote it, without the hash Rust puts at its end; other languages' as they
/// stand. Names no longer than [`MESSAGE_BYTES`] are looked into: the component's author chose it.
fn demangled(name: &str) -> String {
    let name = start_of(name, MESSAGE_BYTES);
    printable(&format!("{:#}", rustc_demangle::demangle(name)), NAME_CHARS)
}
