//! Bindings of track 0.1 (`wit/v0.1`), generated. Conversions to this crate's types are in `convert_*`.

wasmtime::component::bindgen!({
    path: "../../../wit/v0.1",
    world: "catalog-processor",
    imports: { default: trappable },
});

pub(crate) use greenroom::processor::types;
