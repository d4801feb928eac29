//! Bindings of the contract, a module per track.

pub(crate) mod v0_1;
