//! Compiles components and calls them, under limits small enough to do it thousands of times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use greenroom_model::{LocationRef, Presence};
use greenroom_sandbox::{
    Artifact, CallLimits, Called, CompileError, CompileLimits, Compiler, GivenEntity,
    LoadedProcessor, LocationRequest, Request, Sandbox, SandboxOptions, StageAnswer, StageCall,
    compile,
};

/// What a call may use here.
pub(super) fn limits() -> CallLimits {
    CallLimits {
        memory_bytes: 8 << 20,
        table_elements: 10_000,
        fuel: 2_000_000,
        config_bytes: 1 << 20,
        ..CallLimits::default()
    }
}

/// One sandbox for all targets of a process.
pub(super) fn sandbox() -> &'static Arc<Sandbox> {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let options = SandboxOptions {
            concurrent_calls: 8,
            loaded_bytes: 16 << 20,
        };
        match Sandbox::new(options) {
            Ok(sandbox) => sandbox,
            Err(error) => panic!("make a sandbox: {error}"),
        }
    })
}

/// The artifact of a component; none where it is rejected, which must say why.
pub(super) fn compiled(component: &[u8]) -> Option<Artifact> {
    static COMPILER: OnceLock<Compiler> = OnceLock::new();
    let compiler = COMPILER.get_or_init(|| {
        let limits = CompileLimits {
            function_bytes: 64 << 10,
            ..CompileLimits::default()
        };
        match Compiler::new(limits) {
            Ok(compiler) => compiler,
            Err(error) => panic!("make a compiler: {error}"),
        }
    });
    match compiler.compile(component) {
        Ok(artifact) => Some(artifact),
        Err(CompileError::Rejected(reason)) => {
            let reason = reason.to_string();
            assert!(!reason.is_empty() && reason.len() < 8 * 1024, "{reason}");
            None
        }
        Err(CompileError::Failed(error)) => panic!("compiling is our failure: {error}"),
    }
}

/// A program of `tests/programs`, loaded.
pub(super) fn program(path: &str) -> Arc<LoadedProcessor> {
    let loaded = std::fs::read(path)
        .map_err(|error| error.to_string())
        .and_then(|component| {
            compile(&component, &CompileLimits::default()).map_err(|error| error.to_string())
        })
        .and_then(|artifact| {
            sandbox()
                .load(None, &artifact)
                .map_err(|error| error.to_string())
        });
    match loaded {
        Ok(loaded) => loaded,
        Err(error) => panic!("load `{path}`: {error}"),
    }
}

/// A request with a configuration.
pub(super) fn request(config: &str) -> Request {
    let entity = r#"{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"web","annotations":{}},"spec":{}}"#;
    let location = LocationRef::new("url", "https://example.com/catalog-info.yaml");
    Request {
        entity: GivenEntity::parse(entity).expect("it has a ref"),
        location: location.clone(),
        origin_location: location,
        config: config.into(),
        cache: None,
        reads: Vec::new(),
        integrations: Arc::from([]),
        now_ms: None,
    }
}

/// One call, which never fails on our side and leaves nothing behind.
pub(super) fn called(processor: &LoadedProcessor, call: &StageCall) -> Called<StageAnswer> {
    let limits = limits();
    match sandbox().call(processor, call, &limits, [0; 32]) {
        Ok(called) => {
            assert!(called.report.fuel <= limits.fuel);
            assert!(called.report.peak_memory_bytes <= limits.memory_bytes);
            assert!(called.report.log.bytes <= limits.log_bytes);
            called
        }
        Err(error) => panic!("the call is our failure: {error}"),
    }
}

static CALLED: AtomicU64 = AtomicU64::new(0);

/// Components that were accepted and called in this process: a driver whose inputs are all refused has tested little.
#[must_use]
pub fn components_called() -> u64 {
    CALLED.load(Ordering::Relaxed)
}

/// Every stage of a component once, and what it says it is.
pub(super) fn run_all_stages(component: &[u8]) {
    let Some(artifact) = compiled(component) else {
        return;
    };
    let processor = match sandbox().load(None, &artifact) {
        Ok(processor) => processor,
        Err(error) => panic!("what was just compiled does not load: {error}"),
    };
    if let Err(error) = sandbox().describe(&processor, &limits()) {
        panic!("describing is our failure: {error}");
    }
    let location = LocationRequest {
        request: request("{}"),
        target: LocationRef::new("url", "https://example.com/"),
        presence: Presence::Required,
        carry: None,
    };
    for call in [
        StageCall::PreProcess(request("{}")),
        StageCall::ValidateKind(request("{}")),
        StageCall::ReadLocation(location),
        StageCall::PostProcess(request("{}")),
    ] {
        called(&processor, &call);
    }
    CALLED.fetch_add(1, Ordering::Relaxed);
}
