//! `wasi:cli` and `wasi:clocks`: no arguments, no environment, no terminal, and a clock that stands
//! still. A processor that needs the time declares a grain and finds it in its request.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource, ResourceType};

use super::WASI;
use super::wasi_io::{InputStream, OutputStream, STDERR, STDOUT, pollable};
use crate::guest_state::{GuestState, charge};

/// `wasi:cli/terminal-input.terminal-input`; never made.
struct TerminalInput;
/// `wasi:cli/terminal-output.terminal-output`; never made.
struct TerminalOutput;

/// The guest left by `exit`: without a result, whatever its status.
#[derive(Debug, thiserror::Error)]
#[error("left by exit({0}) without a result")]
pub(crate) struct GuestExit(pub(crate) u8);

/// `wasi:clocks/wall-clock.datetime`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Store<'a> = StoreContextMut<'a, GuestState>;

pub(super) fn define(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    define_environment(linker)?;
    define_outputs(linker)?;
    define_terminals(linker)?;
    define_clocks(linker)
}

fn define_environment(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut environment = linker.instance(&format!("wasi:cli/environment@{WASI}"))?;
    environment.func_wrap("get-environment", |mut store: Store<'_>, (): ()| {
        charge(&mut store, 0)?;
        Ok((Vec::<(String, String)>::new(),))
    })?;
    environment.func_wrap("get-arguments", |mut store: Store<'_>, (): ()| {
        charge(&mut store, 0)?;
        Ok((Vec::<String>::new(),))
    })?;
    environment.func_wrap("initial-cwd", |mut store: Store<'_>, (): ()| {
        charge(&mut store, 0)?;
        Ok((None::<String>,))
    })?;
    let mut exit = linker.instance(&format!("wasi:cli/exit@{WASI}"))?;
    exit.func_wrap(
        "exit",
        |_: Store<'_>, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
            Err(GuestExit(u8::from(status.is_err())).into())
        },
    )?;
    exit.func_wrap(
        "exit-with-code",
        |_: Store<'_>, (code,): (u8,)| -> wasmtime::Result<()> { Err(GuestExit(code).into()) },
    )
}

fn define_outputs(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker
        .instance(&format!("wasi:cli/stdin@{WASI}"))?
        .func_wrap("get-stdin", |mut store: Store<'_>, (): ()| {
            charge(&mut store, 0)?;
            Ok((Resource::<InputStream>::new_own(0),))
        })?;
    for (name, number) in [("stdout", STDOUT), ("stderr", STDERR)] {
        linker
            .instance(&format!("wasi:cli/{name}@{WASI}"))?
            .func_wrap(
                &format!("get-{name}"),
                move |mut store: Store<'_>, (): ()| {
                    charge(&mut store, 0)?;
                    Ok((Resource::<OutputStream>::new_own(number),))
                },
            )?;
    }
    Ok(())
}

fn define_terminals(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker
        .instance(&format!("wasi:cli/terminal-input@{WASI}"))?
        .resource(
            "terminal-input",
            ResourceType::host::<TerminalInput>(),
            |_, _| Ok(()),
        )?;
    linker
        .instance(&format!("wasi:cli/terminal-output@{WASI}"))?
        .resource(
            "terminal-output",
            ResourceType::host::<TerminalOutput>(),
            |_, _| Ok(()),
        )?;
    linker
        .instance(&format!("wasi:cli/terminal-stdin@{WASI}"))?
        .func_wrap("get-terminal-stdin", |mut store: Store<'_>, (): ()| {
            charge(&mut store, 0)?;
            Ok((None::<Resource<TerminalInput>>,))
        })?;
    for name in ["stdout", "stderr"] {
        linker
            .instance(&format!("wasi:cli/terminal-{name}@{WASI}"))?
            .func_wrap(
                &format!("get-terminal-{name}"),
                |mut store: Store<'_>, (): ()| {
                    charge(&mut store, 0)?;
                    Ok((None::<Resource<TerminalOutput>>,))
                },
            )?;
    }
    Ok(())
}

fn define_clocks(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut monotonic = linker.instance(&format!("wasi:clocks/monotonic-clock@{WASI}"))?;
    for (name, value) in [("now", 0_u64), ("resolution", 1)] {
        monotonic.func_wrap(name, move |mut store: Store<'_>, (): ()| {
            charge(&mut store, 0)?;
            Ok((value,))
        })?;
    }
    for name in ["subscribe-instant", "subscribe-duration"] {
        monotonic.func_wrap(name, |mut store: Store<'_>, (_,): (u64,)| {
            charge(&mut store, 0)?;
            Ok((pollable(),))
        })?;
    }
    let mut wall = linker.instance(&format!("wasi:clocks/wall-clock@{WASI}"))?;
    for (name, seconds) in [("now", 0), ("resolution", 1)] {
        wall.func_wrap(name, move |mut store: Store<'_>, (): ()| {
            charge(&mut store, 0)?;
            let nanoseconds = 0;
            Ok((Datetime {
                seconds,
                nanoseconds,
            },))
        })?;
    }
    Ok(())
}
