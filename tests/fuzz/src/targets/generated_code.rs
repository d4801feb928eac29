//! Modules and components made by wasm-smith from the bytes: valid code of shapes no compiler makes. A module is put into a
//! real component, so that its start function and initialisers run in real calls.

use std::sync::OnceLock;

use arbitrary::Unstructured;
use greenroom_sandbox::without_debug_sections;
use greenroom_test_artifacts::{LOOP_FOREVER_COMPONENT, splice};
use wasm_smith::{Component, Config, Module};

use super::sandboxed::{compiled, run_all_stages};

/// Makes code of the bytes and runs it.
pub fn run(data: &[u8]) {
    let Some((&shape, rest)) = data.split_first() else {
        return;
    };
    let mut bytes = Unstructured::new(rest);
    if shape & 7 == 0 {
        if let Ok(component) = Component::new(config(shape), &mut bytes) {
            compiled(&component.to_bytes());
        }
        return;
    }
    if let Ok(module) = Module::new(config(shape), &mut bytes) {
        run_all_stages(&splice::with_module(
            base(),
            &module.to_bytes(),
            1 + (shape >> 6),
        ));
    }
}

/// What the host offers, so that most of what is made is accepted; now and then everything there is.
fn config(shape: u8) -> Config {
    let all = shape & 0x38 == 0x38;
    Config {
        max_imports: 0,
        max_memories: 1,
        max_memory32_bytes: 1 << 22,
        max_tables: 4,
        max_table_elements: 2_000,
        allow_start_export: true,
        min_funcs: 1,
        gc_enabled: all,
        exceptions_enabled: all,
        threads_enabled: all,
        memory64_enabled: all,
        custom_page_sizes_enabled: all,
        relaxed_simd_enabled: all,
        wide_arithmetic_enabled: all,
        shared_everything_threads_enabled: false,
        // References beyond functions are not offered.
        reference_types_enabled: all,
        simd_enabled: true,
        bulk_memory_enabled: true,
        tail_call_enabled: true,
        ..Config::default()
    }
}

fn base() -> &'static [u8] {
    static BASE: OnceLock<Vec<u8>> = OnceLock::new();
    // One without a JSON parser, so that compiling it again for each input takes little.
    BASE.get_or_init(|| {
        let component = std::fs::read(LOOP_FOREVER_COMPONENT).unwrap_or_default();
        without_debug_sections(&component).into_owned()
    })
}
