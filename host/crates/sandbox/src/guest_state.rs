//! What a store holds for one call, and the price of what a guest asks of us.

use wasmtime::{StoreContextMut, Trap};

use crate::limiter::Limiter;
use crate::log::Collector;
use crate::randomness::Randomness;

/// Fuel for any call of a host import.
const IMPORT_FUEL: u64 = 1_000;

/// The data of one store.
#[derive(Debug)]
pub(crate) struct GuestState {
    pub(crate) limiter: Limiter,
    pub(crate) log: Collector,
    pub(crate) randomness: Randomness,
}

/// Charges a call of a host import: [`IMPORT_FUEL`] and one for each of `bytes`. Called before
/// anything is copied or made, so that what a guest can make us do is bounded by its fuel and the
/// same on every machine.
pub(crate) fn charge(
    store: &mut StoreContextMut<'_, GuestState>,
    bytes: u64,
) -> wasmtime::Result<()> {
    let price = IMPORT_FUEL.saturating_add(bytes);
    let left = store.get_fuel()?;
    store.set_fuel(left.saturating_sub(price))?;
    if left < price {
        return Err(Trap::OutOfFuel.into());
    }
    Ok(())
}
