//! c21: a host function that panics. The hook is an import of the test's own in place of `log`.

use std::sync::Arc;

use greenroom_model::LocationRef;
use greenroom_test_artifacts::{ANNOTATE_COMPONENT, LOG_FLOOD_COMPONENT};
use wasmtime::StoreContextMut;
use wasmtime::component::{WasmList, WasmStr};

use super::*;
use crate::bindings::v0_1::types::Level;
use crate::{CompileLimits, GivenEntity, Request, compile};

/// A sandbox of one slot in which logging panics.
fn with_a_panicking_log() -> Sandbox {
    let engine = new_engine(EngineUse::Calls(1)).unwrap();
    let mut linker = new_linker(&engine).unwrap();
    linker.allow_shadowing(true);
    type Arguments = (Level, WasmStr, WasmList<(WasmStr, WasmStr)>);
    linker
        .instance("greenroom:processor/log@0.1.0")
        .unwrap()
        .func_wrap(
            "log",
            |_: StoreContextMut<'_, GuestState>, _: Arguments| -> wasmtime::Result<()> {
                panic!("the log is broken")
            },
        )
        .unwrap();
    Sandbox {
        engine,
        linker,
        loaded: LoadedSet::new(256 << 20),
        slots: Slots::new(1),
    }
}

fn load(sandbox: &Sandbox, path: &str) -> Arc<LoadedProcessor> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test reads the program that the build made for it"
    )]
    let wasm = std::fs::read(path).unwrap();
    let artifact = compile(&wasm, &CompileLimits::default()).unwrap();
    sandbox.load(None, &artifact).unwrap()
}

#[test]
fn c21_a_panic_of_a_host_function_is_our_error_and_leaves_nothing_behind() {
    let sandbox = with_a_panicking_log();
    let logging = load(&sandbox, LOG_FLOOD_COMPONENT);
    let quiet = load(&sandbox, ANNOTATE_COMPONENT);
    let location = LocationRef::new("url", "https://example.com/catalog-info.yaml");
    let call = StageCall::PreProcess(Request {
        entity: GivenEntity::parse(
            r#"{"apiVersion":"a/v1","kind":"Component","metadata":{"name":"web","annotations":{}}}"#,
        )
        .unwrap(),
        location: location.clone(),
        origin_location: location,
        config: "{}".into(),
        cache: None,
        reads: Vec::new(),
        integrations: Arc::from([]),
        now_ms: None,
    });
    let limits = CallLimits::default();
    for _ in 0..3 {
        let error = sandbox.call(&logging, &call, &limits, [0; 32]).unwrap_err();
        assert!(error.retryable());
        let SandboxError::Internal { revision, reason } = error else {
            panic!("{error:?}");
        };
        assert_eq!(revision, logging.revision());
        assert!(reason.contains("the log is broken"), "{reason}");
        // The one slot is free again, and the guest next to it is served.
        assert_eq!(sandbox.pool_use(), PoolUse::default());
        let called = sandbox.call(&quiet, &call, &limits, [0; 32]).unwrap();
        assert_eq!(called.outcome.fault(), None);
    }
}
