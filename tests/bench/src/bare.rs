//! The least that can be done with wasmtime: the same engine configuration, a store with a limiter, fuel and an epoch
//! deadline, an instance, the call, JSON parsed on the way out. What Greenroom adds to that is what the ratio shows.
//!
//! It can also keep its instance, which Greenroom never does: the price of a fresh one is the other ratio.

use greenroom_sandbox::{EngineUse, new_engine, without_debug_sections};
use serde_json::Value;
use wasmtime::component::Component;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};

use crate::bare_imports::linker;
use bindings::greenroom::processor::types::{Location, ProcessAnswer, Request};
use bindings::{CatalogProcessor, CatalogProcessorPre};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        world: "catalog-processor",
        imports: { default: trappable },
    });
}

const FUEL: u64 = 1_000_000_000;

/// The data of a store: what has been granted.
#[derive(Debug, Default)]
pub(crate) struct State {
    memory_bytes: usize,
    table_elements: usize,
}

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.memory_bytes += desired - current;
        Ok(self.memory_bytes <= 64 << 20)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.table_elements += desired - current;
        Ok(self.table_elements <= 100_000)
    }
}

/// A component that is ready to be called.
pub(crate) struct Bare {
    engine: Engine,
    pre: CatalogProcessorPre<State>,
    given: greenroom_sandbox::Request,
}

impl Bare {
    pub(crate) fn new(
        component: &[u8],
        given: greenroom_sandbox::Request,
    ) -> wasmtime::Result<Bare> {
        let engine = new_engine(EngineUse::Calls(16))
            .map_err(|error| wasmtime::Error::msg(error.to_string()))?;
        let component = Component::from_binary(&engine, &without_debug_sections(component))?;
        component.initialize_copy_on_write_image()?;
        let pre = linker(&engine, &component)?.instantiate_pre(&component)?;
        Ok(Bare {
            pre: CatalogProcessorPre::new(pre)?,
            engine,
            given,
        })
    }

    /// A call on a fresh instance; gives the fuel it took.
    pub(crate) fn fresh(&self) -> wasmtime::Result<u64> {
        let mut store = self.store()?;
        let instance = self.pre.instantiate(&mut store)?;
        self.call(&instance, &mut store)
    }

    /// An instance to be called again and again.
    pub(crate) fn reused(&self) -> wasmtime::Result<Reused<'_>> {
        let mut store = self.store()?;
        let instance = self.pre.instantiate(&mut store)?;
        Ok(Reused {
            bare: self,
            store,
            instance,
        })
    }

    fn store(&self) -> wasmtime::Result<Store<State>> {
        let mut store = Store::new(&self.engine, State::default());
        store.limiter(|state| state);
        store.set_hostcall_fuel(16 << 20);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Interrupt));
        store.set_epoch_deadline(1_000_000);
        store.set_fuel(FUEL)?;
        Ok(store)
    }

    fn call(&self, instance: &CatalogProcessor, store: &mut Store<State>) -> wasmtime::Result<u64> {
        let location = |location: &greenroom_model::LocationRef| Location {
            type_: location.r#type.clone(),
            target: location.target.clone(),
        };
        let request = Request {
            entity: self.given.entity.text().to_owned(),
            location: location(&self.given.location),
            origin_location: location(&self.given.origin_location),
            config: self.given.config.to_string(),
            cache: None,
            reads: Vec::new(),
            integrations: Vec::new(),
            now: None,
            extensions: Vec::new(),
        };
        let answer = instance
            .greenroom_processor_processor()
            .call_pre_process(&mut *store, &request)?;
        match answer {
            Ok(ProcessAnswer::Done(done)) => {
                if let Some(entity) = done.entity {
                    let value: Value = serde_json::from_str(&entity)?;
                    std::hint::black_box(value);
                }
                Ok(FUEL - store.get_fuel()?)
            }
            other => Err(wasmtime::Error::msg(format!("answered {other:?}"))),
        }
    }
}

/// An instance that is kept.
pub(crate) struct Reused<'a> {
    bare: &'a Bare,
    store: Store<State>,
    instance: CatalogProcessor,
}

impl Reused<'_> {
    /// One more call.
    pub(crate) fn call(&mut self) -> wasmtime::Result<u64> {
        self.store.set_fuel(FUEL)?;
        self.bare.call(&self.instance, &mut self.store)
    }
}

#[cfg(test)]
mod tests {
    use greenroom_sandbox::{CallLimits, Sandbox, SandboxOptions};

    use super::*;
    use crate::workload;

    /// The two paths do the same work, so that comparing their times compares paths: nearly the same fuel. It is the same to
    /// the unit for the component with its debug sections, which the bare loop compiles here as they are.
    #[test]
    fn both_paths_take_the_same_fuel_with_debug_sections_and_without() {
        let processor = workload::processor().unwrap();
        let bare = Bare::new(processor.wasm(), workload::request()).unwrap();
        let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
        let loaded = processor.load(&sandbox).unwrap();
        let called = sandbox
            .call(&loaded, &workload::call(), &CallLimits::default(), [0; 32])
            .unwrap();
        assert_eq!(called.outcome.fault(), None);
        let engine = new_engine(EngineUse::Calls(1)).unwrap();
        let whole = Component::from_binary(&engine, processor.wasm()).unwrap();
        let pre = linker(&engine, &whole)
            .unwrap()
            .instantiate_pre(&whole)
            .unwrap();
        let whole = Bare {
            pre: CatalogProcessorPre::new(pre).unwrap(),
            engine,
            given: workload::request(),
        };
        let fuel = bare.fresh().unwrap();
        assert_eq!(whole.fresh().unwrap(), fuel);
        // Imports are charged on our path and free on the bare one, and hashing starts from another seed: little, or nothing.
        let ours = called.report.fuel;
        assert!(ours.abs_diff(fuel) * 50 < fuel, "{fuel} and {ours}");
        let mut reused = bare.reused().unwrap();
        assert!(reused.call().unwrap() >= reused.call().unwrap());
    }
}
