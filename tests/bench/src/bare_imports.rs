//! The imports of the bare loop: those a standard library calls before it gets anywhere, and traps for the rest.

use wasmtime::StoreContextMut;
use wasmtime::component::{Component, Linker};

use crate::bare::State;

/// A linker for `component`.
pub(crate) fn linker(
    engine: &wasmtime::Engine,
    component: &Component,
) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    linker.allow_shadowing(true);
    linker.define_unknown_imports_as_traps(component)?;
    for version in ["0.2.0", "0.2.3", "0.2.4", "0.2.6", "0.2.9", "0.2.12"] {
        let imports = |interface: &str| {
            let name = format!("wasi:{interface}@{version}");
            component
                .component_type()
                .imports(engine)
                .any(|(import, _)| import == name)
                .then_some(name)
        };
        if let Some(name) = imports("random/insecure-seed") {
            linker
                .instance(&name)?
                .func_wrap("insecure-seed", |_: StoreContextMut<'_, State>, (): ()| {
                    Ok(((1_u64, 2_u64),))
                })?;
        }
        if let Some(name) = imports("random/random") {
            linker
                .instance(&name)?
                .func_wrap("get-random-u64", |_: StoreContextMut<'_, State>, (): ()| {
                    Ok((1_u64,))
                })?;
        }
        if let Some(name) = imports("cli/environment") {
            linker.instance(&name)?.func_wrap(
                "get-environment",
                |_: StoreContextMut<'_, State>, (): ()| Ok((Vec::<(String, String)>::new(),)),
            )?;
        }
    }
    Ok(linker)
}
