//! What a guest can import, and nothing more: our `log`, and the parts of WASI that a standard
//! library drags in, with nothing behind them (ref wasm §4.1).
//!
//! The WASI parts are written here and not taken from wasmtime-wasi: ours have no files, sockets,
//! runtime or table behind them, charge fuel, and never wait. A pollable is always ready, so sleeping
//! returns at once; the clock stands still; standard input is closed; streams and pollables are bare
//! numbers, so that a flood of handles costs the host nothing but the bounded count (c11, c12).

mod log;
mod wasi_cli;
mod wasi_io;
mod wasi_random;

pub(crate) use wasi_cli::GuestExit;

use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::guest_state::GuestState;

/// Interfaces a component may import, each at any version of its track, for messages to authors.
pub(crate) const OFFERED: [&str; 20] = [
    "greenroom:processor/log@0.1",
    "greenroom:processor/types@0.1",
    "wasi:cli/environment@0.2",
    "wasi:cli/exit@0.2",
    "wasi:cli/stderr@0.2",
    "wasi:cli/stdin@0.2",
    "wasi:cli/stdout@0.2",
    "wasi:cli/terminal-input@0.2",
    "wasi:cli/terminal-output@0.2",
    "wasi:cli/terminal-stderr@0.2",
    "wasi:cli/terminal-stdin@0.2",
    "wasi:cli/terminal-stdout@0.2",
    "wasi:clocks/monotonic-clock@0.2",
    "wasi:clocks/wall-clock@0.2",
    "wasi:io/error@0.2",
    "wasi:io/poll@0.2",
    "wasi:io/streams@0.2",
    "wasi:random/insecure-seed@0.2",
    "wasi:random/insecure@0.2",
    "wasi:random/random@0.2",
];

/// The version under which the WASI parts are defined; the linker matches its track.
const WASI: &str = "0.2.12";

/// Makes the linker. Once per engine: on the way of a call it would cost more than the call.
pub(crate) fn new_linker(engine: &Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    log::define(&mut linker)?;
    wasi_io::define(&mut linker)?;
    wasi_cli::define(&mut linker)?;
    wasi_random::define(&mut linker)?;
    Ok(linker)
}
