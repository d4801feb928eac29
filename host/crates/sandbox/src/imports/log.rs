//! `greenroom:processor/log`: the only call out of a processor.
//!
//! Texts are looked at in the guest's memory, charged, and copied only as far as the log has room.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList, WasmStr};

use crate::LogLevel;
use crate::bindings::v0_1::types::Level;
use crate::guest_state::{GuestState, charge};
use crate::log::MAX_FIELDS;
use crate::printable::start_of;

type Fields = WasmList<(WasmStr, WasmStr)>;

pub(super) fn define(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker
        .instance("greenroom:processor/log@0.1.0")?
        .func_wrap("log", log)
}

fn log(
    mut store: StoreContextMut<'_, GuestState>,
    (level, message, fields): (Level, WasmStr, Fields),
) -> wasmtime::Result<()> {
    // A pair of strings is 16 bytes in the guest; their texts are charged below, once known.
    charge(&mut store, 16_u64.saturating_mul(fields.len() as u64))?;
    let kept: Vec<(WasmStr, WasmStr)> = fields
        .iter(&mut store)?
        .take(MAX_FIELDS)
        .collect::<wasmtime::Result<_>>()?;
    let mut bytes = 0;
    let room = store.data().log.room();
    let mut cut = fields.len() > MAX_FIELDS;
    let mut copy = |text: &str| {
        bytes += text.len() as u64;
        let start = start_of(text, room);
        cut |= start.len() < text.len();
        start.to_owned()
    };
    let message = copy(&message.to_str(&store)?);
    let mut pairs = Vec::with_capacity(kept.len());
    for (key, value) in kept {
        pairs.push((copy(&key.to_str(&store)?), copy(&value.to_str(&store)?)));
    }
    charge(&mut store, bytes)?;
    let log = &mut store.data_mut().log;
    if cut {
        log.cut();
    }
    log.line(severity(level), &message, &pairs);
    Ok(())
}

fn severity(level: Level) -> LogLevel {
    match level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warning => LogLevel::Warning,
        Level::Error => LogLevel::Error,
    }
}
