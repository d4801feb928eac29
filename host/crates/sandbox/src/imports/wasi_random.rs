//! `wasi:random`: bytes that follow from the call's seed.

use wasmtime::StoreContextMut;
use wasmtime::bail;
use wasmtime::component::Linker;

use super::WASI;
use crate::guest_state::{GuestState, charge};
use crate::randomness::MAX_BYTES;

/// Fuel for each byte, near what hashing it takes.
const FUEL_PER_BYTE: u64 = 16;

type Store<'a> = StoreContextMut<'a, GuestState>;

pub(super) fn define(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    for (interface, bytes, number) in [
        ("random", "get-random-bytes", "get-random-u64"),
        (
            "insecure",
            "get-insecure-random-bytes",
            "get-insecure-random-u64",
        ),
    ] {
        let mut random = linker.instance(&format!("wasi:random/{interface}@{WASI}"))?;
        random.func_wrap(bytes, |mut store: Store<'_>, (len,): (u64,)| {
            charge(&mut store, len.min(MAX_BYTES) * FUEL_PER_BYTE)?;
            if len > MAX_BYTES {
                bail!("asked for {len} random bytes at once; ask for at most {MAX_BYTES}");
            }
            let len = usize::try_from(len)?;
            Ok((store.data_mut().randomness.bytes(len),))
        })?;
        random.func_wrap(number, |mut store: Store<'_>, (): ()| {
            charge(&mut store, 8 * FUEL_PER_BYTE)?;
            Ok((store.data_mut().randomness.number(),))
        })?;
    }
    linker
        .instance(&format!("wasi:random/insecure-seed@{WASI}"))?
        .func_wrap("insecure-seed", |mut store: Store<'_>, (): ()| {
            charge(&mut store, 16 * FUEL_PER_BYTE)?;
            Ok((store.data().randomness.hash_seed(),))
        })
}
