//! `wasi:io`: streams that end in the log or are closed, and pollables that are always ready.
//!
//! A stream is a number: which output it is. Nothing is kept per handle.

use wasmtime::StoreContextMut;
use wasmtime::bail;
use wasmtime::component::{
    ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType, WasmList,
};

use super::WASI;
use crate::guest_state::{GuestState, charge};
use crate::log::Output;

/// `wasi:io/error.error`; never made.
pub(super) struct IoError;
/// `wasi:io/poll.pollable`; always ready.
pub(super) struct Pollable;
/// `wasi:io/streams.input-stream`; always closed.
pub(super) struct InputStream;
/// `wasi:io/streams.output-stream`; its number is [`STDOUT`] or [`STDERR`].
pub(super) struct OutputStream;

pub(super) const STDOUT: u32 = 1;
pub(super) const STDERR: u32 = 2;

/// Bytes a guest may write at once, as `check-write` tells it.
const PERMIT: u64 = 64 * 1024;

/// `wasi:io/streams.stream-error`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

type Streamed<T> = wasmtime::Result<(Result<T, StreamError>,)>;
type Store<'a> = StoreContextMut<'a, GuestState>;

/// A handle of a pollable; all are alike.
pub(super) fn pollable() -> Resource<Pollable> {
    Resource::new_own(0)
}

pub(super) fn define(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut error = linker.instance(&format!("wasi:io/error@{WASI}"))?;
    error.resource("error", ResourceType::host::<IoError>(), |_, _| Ok(()))?;
    error.func_wrap(
        "[method]error.to-debug-string",
        |mut store: Store<'_>, (_,): (Resource<IoError>,)| {
            charge(&mut store, 0)?;
            Ok((String::new(),))
        },
    )?;
    let mut poll = linker.instance(&format!("wasi:io/poll@{WASI}"))?;
    define_poll(&mut poll)?;
    let mut streams = linker.instance(&format!("wasi:io/streams@{WASI}"))?;
    define_input(&mut streams)?;
    define_output(&mut streams)
}

fn define_poll(poll: &mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> {
    poll.resource("pollable", ResourceType::host::<Pollable>(), |_, _| Ok(()))?;
    poll.func_wrap(
        "[method]pollable.ready",
        |mut store: Store<'_>, (_,): (Resource<Pollable>,)| {
            charge(&mut store, 0)?;
            Ok((true,))
        },
    )?;
    poll.func_wrap(
        "[method]pollable.block",
        |mut store: Store<'_>, (_,): (Resource<Pollable>,)| charge(&mut store, 0),
    )?;
    poll.func_wrap(
        "poll",
        |mut store: Store<'_>, (list,): (WasmList<Resource<Pollable>>,)| {
            charge(&mut store, list.len() as u64)?;
            if list.len() == 0 {
                bail!("polled an empty list");
            }
            let ready = (0..u32::try_from(list.len())?).collect::<Vec<u32>>();
            Ok((ready,))
        },
    )
}

fn define_input(streams: &mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> {
    type Read = (Resource<InputStream>, u64);
    streams.resource(
        "input-stream",
        ResourceType::host::<InputStream>(),
        |_, _| Ok(()),
    )?;
    for name in ["read", "blocking-read"] {
        streams.func_wrap(
            &format!("[method]input-stream.{name}"),
            |mut store: Store<'_>, _: Read| -> Streamed<Vec<u8>> {
                charge(&mut store, 0)?;
                Ok((Err(StreamError::Closed),))
            },
        )?;
    }
    for name in ["skip", "blocking-skip"] {
        streams.func_wrap(
            &format!("[method]input-stream.{name}"),
            |mut store: Store<'_>, _: Read| -> Streamed<u64> {
                charge(&mut store, 0)?;
                Ok((Err(StreamError::Closed),))
            },
        )?;
    }
    streams.func_wrap(
        "[method]input-stream.subscribe",
        |mut store: Store<'_>, (_,): (Resource<InputStream>,)| {
            charge(&mut store, 0)?;
            Ok((pollable(),))
        },
    )
}

fn define_output(streams: &mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> {
    type Stream = Resource<OutputStream>;
    streams.resource(
        "output-stream",
        ResourceType::host::<OutputStream>(),
        |_, _| Ok(()),
    )?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |mut store: Store<'_>, (_,): (Stream,)| -> Streamed<u64> {
            charge(&mut store, 0)?;
            Ok((Ok(PERMIT),))
        },
    )?;
    for name in ["write", "blocking-write-and-flush"] {
        streams.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: Store<'_>, (stream, bytes): (Stream, WasmList<u8>)| -> Streamed<()> {
                charge(&mut store, bytes.len() as u64)?;
                let room = store.data().log.room().saturating_add(1);
                let kept = bytes.as_le_slice(&store);
                let kept = kept[..kept.len().min(room)].to_vec();
                store.data_mut().log.write(output(&stream), &kept);
                Ok((Ok(()),))
            },
        )?;
    }
    for name in ["flush", "blocking-flush"] {
        streams.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: Store<'_>, (_,): (Stream,)| -> Streamed<()> {
                charge(&mut store, 0)?;
                Ok((Ok(()),))
            },
        )?;
    }
    streams.func_wrap(
        "[method]output-stream.subscribe",
        |mut store: Store<'_>, (_,): (Stream,)| {
            charge(&mut store, 0)?;
            Ok((pollable(),))
        },
    )?;
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        streams.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: Store<'_>, (_, len): (Stream, u64)| -> Streamed<()> {
                // Zeroes are nothing to read: charged, not kept.
                charge(&mut store, len)?;
                Ok((Ok(()),))
            },
        )?;
    }
    for name in ["splice", "blocking-splice"] {
        streams.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: Store<'_>, _: (Stream, Resource<InputStream>, u64)| -> Streamed<u64> {
                charge(&mut store, 0)?;
                Ok((Err(StreamError::Closed),))
            },
        )?;
    }
    Ok(())
}

fn output(stream: &Resource<OutputStream>) -> Output {
    if stream.rep() == STDOUT {
        Output::Out
    } else {
        Output::Err
    }
}
