//! The bindings to `wit/v0.1`, generated; nothing is written by hand here.
//!
//! Authors never see these types: `crate::glue` translates them. They compile on every target, so
//! that native tests go through the same translation as the guest; calling the one import, `log`,
//! is confined to the Wasm build (see `crate::logging`).

wit_bindgen::generate!({
    path: "../wit/v0.1",
    world: "catalog-processor",
    pub_export_macro: true,
    export_macro_name: "export_processor",
    default_bindings_module: "greenroom_sdk::bindings",
    runtime_path: "greenroom_sdk::hidden::wit_bindgen::rt",
    additional_derives: [PartialEq],
});
