//! The sandbox: one engine, one linker, the loaded revisions, and the slots calls run in.
//!
//! Threads are the caller's: a call runs on the thread that makes it, which should be one kept for
//! that and needs a stack of 2 MiB. The sandbox keeps nothing of a call.

use std::sync::Arc;

use greenroom_model::Digest;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::bindings::v0_1::CatalogProcessorPre;
use crate::convert_answer::{Reception, processing_error};
use crate::convert_descriptor::descriptor;
use crate::convert_request::{check_input, location_request, request};
use crate::deserialize::deserialize;
use crate::guest_state::GuestState;
use crate::imports::new_linker;
use crate::loaded::{LoadedProcessor, LoadedSet, Scope};
use crate::run::run;
use crate::slots::Slots;
use crate::ticker::start_ticker;
use crate::{
    Artifact, CallLimits, CallOutcome, CallProcessor, CallReport, Called, Descriptor, EngineUse,
    PoolUse, SandboxError, StageAnswer, StageCall, new_engine,
};

/// How large a sandbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxOptions {
    /// Calls at once; more wait. As many as there are threads that call.
    pub concurrent_calls: u32,
    /// Compiled code kept loaded, in bytes.
    pub loaded_bytes: usize,
}

impl Default for SandboxOptions {
    /// 16 calls and 256 MiB. Compiled code of a processor in Rust is 300 KiB to 2 MiB: some hundred
    /// revisions.
    fn default() -> SandboxOptions {
        SandboxOptions {
            concurrent_calls: 16,
            loaded_bytes: 256 << 20,
        }
    }
}

/// Runs calls.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<GuestState>,
    loaded: LoadedSet,
    slots: Slots,
}

impl Sandbox {
    /// Makes a sandbox. One per process: two engines in one process invite mixing them up.
    ///
    /// # Errors
    /// [`SandboxError::Engine`] or [`SandboxError::Ticker`] where the machine lacks something.
    pub fn new(options: SandboxOptions) -> Result<Arc<Sandbox>, SandboxError> {
        let calls = options.concurrent_calls.max(1);
        let engine = new_engine(EngineUse::Calls(calls))?;
        let linker = new_linker(&engine)
            .map_err(|error| SandboxError::Engine(format!("define the imports: {error:#}")))?;
        start_ticker(&engine)?;
        Ok(Arc::new(Sandbox {
            engine,
            linker,
            loaded: LoadedSet::new(options.loaded_bytes),
            slots: Slots::new(calls),
        }))
    }

    /// Loads a revision for `scope`, replacing one of the same digest.
    ///
    /// # Errors
    /// [`SandboxError::Artifact`] when this engine does not take it; compile it again.
    pub fn load(
        &self,
        scope: Scope,
        artifact: &Artifact,
    ) -> Result<Arc<LoadedProcessor>, SandboxError> {
        let revision = artifact.wasm_digest();
        let refused = |error: wasmtime::Error| SandboxError::Artifact {
            revision,
            reason: format!("{error:#}"),
        };
        let (component, lines) = deserialize(&self.engine, artifact).map_err(refused)?;
        component
            .initialize_copy_on_write_image()
            .map_err(refused)?;
        let pre = self.linker.instantiate_pre(&component).map_err(refused)?;
        let pre = CatalogProcessorPre::new(pre).map_err(refused)?;
        let loaded = Arc::new(LoadedProcessor {
            revision,
            pre,
            lines,
            code_bytes: artifact.code_bytes(),
        });
        self.loaded.insert(scope, &loaded);
        Ok(loaded)
    }

    /// A loaded revision of `scope`, or else of those we ship.
    #[must_use]
    pub fn loaded(&self, scope: Scope, revision: &Digest) -> Option<Arc<LoadedProcessor>> {
        self.loaded
            .get(scope, revision)
            .or_else(|| self.loaded.get(None, revision))
    }

    /// What calls hold of the pool now.
    #[must_use]
    pub fn pool_use(&self) -> PoolUse {
        let calls = self.slots.taken().into();
        let Some(pool) = self.engine.pooling_allocator_metrics() else {
            return PoolUse {
                calls,
                ..PoolUse::default()
            };
        };
        PoolUse {
            calls,
            component_instances: pool.component_instances(),
            core_instances: pool.core_instances(),
            memories: pool.memories() as u64,
            tables: pool.tables() as u64,
        }
    }

    /// The sandbox as the orchestrator of one tenant's runs sees it.
    #[must_use]
    pub fn for_scope(self: &Arc<Self>, scope: Scope) -> ScopedSandbox {
        ScopedSandbox {
            sandbox: Arc::clone(self),
            scope,
        }
    }

    /// Asks a processor what it is. Without randomness: a revision has one descriptor.
    ///
    /// # Errors
    /// [`SandboxError`] when we failed; never for anything the guest did.
    pub fn describe(
        &self,
        processor: &LoadedProcessor,
        limits: &CallLimits,
    ) -> Result<Called<Descriptor>, SandboxError> {
        let _slot = self.slots.take();
        run(&self.engine, processor, limits, [0; 32], |guest, store| {
            let guest = guest.greenroom_processor_processor();
            Ok(descriptor(guest.call_describe(store)?))
        })
    }

    /// Makes one call of a loaded processor.
    ///
    /// # Errors
    /// [`SandboxError`] when we failed; never for anything the guest did.
    pub fn call(
        &self,
        processor: &LoadedProcessor,
        call: &StageCall,
        limits: &CallLimits,
        seed: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        if let Err(fault) = check_input(call, limits) {
            return Ok(Called {
                outcome: CallOutcome::Faulted(fault),
                report: CallReport::default(),
            });
        }
        let _slot = self.slots.take();
        let reception = Reception::new(limits);
        let given = call.request().entity.entity_ref();
        run(&self.engine, processor, limits, seed, |guest, store| {
            let guest = guest.greenroom_processor_processor();
            Ok(match call {
                StageCall::PreProcess(given_request) => guest
                    .call_pre_process(store, &request(given_request))?
                    .map_err(processing_error)
                    .and_then(|answer| reception.process(answer, given)),
                StageCall::ValidateKind(given_request) => guest
                    .call_validate_kind(store, &request(given_request))?
                    .map_err(processing_error)
                    .and_then(|answer| reception.validate(answer)),
                StageCall::ReadLocation(given_request) => guest
                    .call_read_location(store, &location_request(given_request))?
                    .map_err(processing_error)
                    .and_then(|answer| reception.location(answer)),
                StageCall::PostProcess(given_request) => guest
                    .call_post_process(store, &request(given_request))?
                    .map_err(processing_error)
                    .and_then(|answer| reception.process(answer, given)),
            })
        })
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("loaded", &self.loaded)
            .finish_non_exhaustive()
    }
}

/// A sandbox in which only one tenant's revisions, and those we ship, exist.
#[derive(Clone, Debug)]
pub struct ScopedSandbox {
    sandbox: Arc<Sandbox>,
    scope: Scope,
}

impl CallProcessor for ScopedSandbox {
    /// [`SandboxError::NotLoaded`] for a revision that is not loaded, or not any more: load it and
    /// call again.
    fn call(
        &self,
        revision: &Digest,
        call: &StageCall,
        limits: &CallLimits,
        seed: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        let loaded = self.sandbox.loaded(self.scope, revision);
        let loaded = loaded.ok_or(SandboxError::NotLoaded(*revision))?;
        self.sandbox.call(&loaded, call, limits, seed)
    }
}

#[cfg(test)]
#[path = "sandbox/tests.rs"]
mod tests;
