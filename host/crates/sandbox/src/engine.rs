//! The one function that makes an engine (ref wasm §10.1).
//!
//! It is one function, because compiled code fits only an engine with the same settings: the host,
//! the compile process and the build script of the bundled processors all call it. What an engine is
//! *for* changes only how memory is allocated, which compiled code does not depend on: calls come
//! from a pool that is reserved once, compiling reserves nothing and so works under a limit on
//! address space.
//!
//! Whoever changes a setting here raises [`CONFIG_REVISION`], and every artifact is compiled again.

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, ModuleVersionStrategy, OptLevel,
    PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

use crate::{ENGINE_CEILING, SandboxError, WASM_STACK_BYTES};

/// Number of this configuration, part of every artifact.
pub const CONFIG_REVISION: u32 = 2;

/// The exact wasmtime version. Its own check compares only the major number, so that a security fix
/// in a patch release would not replace old code by itself.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// Core instances of one component; a guest in Rust has 3, a composed one a few times that.
pub(crate) const MAX_CORE_INSTANCES: u32 = 24;
/// Memories of one component.
pub(crate) const MAX_MEMORIES: u32 = 4;
/// Tables of one component; a guest in Rust has 2.
pub(crate) const MAX_TABLES: u32 = 8;

/// Bytes of each memory kept between calls and wiped by writing: a 64 KiB stack, static data and a
/// usual heap of a guest built by our SDK. Anything less than the guest's stack is worse than 0.
const KEEP_RESIDENT_BYTES: usize = 256 * 1024;

/// What an engine is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineUse {
    /// Compiling only; no pool.
    Compile,
    /// Making at most this many calls at once.
    Calls(u32),
}

/// Makes an engine. Two engines of one build accept each other's artifacts.
///
/// # Errors
/// [`SandboxError::Engine`] where the machine cannot give what it needs, such as 4 GiB of address
/// space for each memory of the pool.
pub fn new_engine(usage: EngineUse) -> Result<Engine, SandboxError> {
    let mut config = Config::new();
    // A budget that is the same everywhere, and a clock that stops what the budget does not.
    config.consume_fuel(true).epoch_interruption(true);
    config.cranelift_nan_canonicalization(true);
    config.cranelift_opt_level(OptLevel::Speed);
    // One set of features for the validator of uploads and for the engine.
    config.wasm_features(WasmFeatures::all() & !offered_features(), false);
    config.max_wasm_stack(WASM_STACK_BYTES);
    config
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16))
        // Debug sections are split off before; lines come from our own table (`line_table`).
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .native_unwind_info(false);
    config.memory_guaranteed_dense_image_size(16 << 20);
    config
        .module_version(ModuleVersionStrategy::Custom(format!(
            "{WASMTIME_VERSION}+{CONFIG_REVISION}"
        )))
        .map_err(|error| SandboxError::Engine(error.to_string()))?;
    if let EngineUse::Calls(calls) = usage {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(calls.max(1))));
    }
    Engine::new(&config).map_err(|error| SandboxError::Engine(format!("{error:#}")))
}

/// The proposals a component may use: what compilers emit by default today. Threads, shared memory,
/// 64-bit and multiple memories, garbage collection, exceptions, stack switching, component async
/// and everything not deterministic stay out.
pub(crate) fn offered_features() -> WasmFeatures {
    WasmFeatures::WASM2.difference(WasmFeatures::GC_TYPES)
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::COMPONENT_MODEL
}

/// Room for `calls` calls, each as large as a component may be, so that no combination of
/// components meets an empty pool while a slot is free.
fn pool(calls: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(MAX_CORE_INSTANCES))
        .total_memories(calls.saturating_mul(MAX_MEMORIES))
        .total_tables(calls.saturating_mul(MAX_TABLES))
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_tables_per_module(MAX_TABLES)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(2 << 20)
        .max_memory_size(usize::try_from(ENGINE_CEILING.memory_bytes).unwrap_or(usize::MAX))
        .table_elements(usize::try_from(ENGINE_CEILING.table_elements).unwrap_or(usize::MAX))
        .max_unused_warm_slots(calls.saturating_mul(MAX_MEMORIES))
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(16 << 10);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_in_artifacts_is_the_one_that_is_built() {
        let lock = include_str!("../../../../Cargo.lock");
        let entry = format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"");
        assert!(lock.contains(&entry));
    }

    #[test]
    fn settings_do_not_depend_on_what_an_engine_is_for() {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let hash = |usage| {
            let mut hasher = DefaultHasher::new();
            let engine = new_engine(usage).unwrap();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(EngineUse::Compile), hash(EngineUse::Calls(2)));
    }
}
