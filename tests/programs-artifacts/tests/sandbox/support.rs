//! Loads a program into a sandbox and calls it, for tests that read as sentences.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot load its program fails"
)]

use std::sync::{Arc, OnceLock};

use greenroom_model::{Digest, Entity, LocationRef};
use greenroom_sandbox::{
    Artifact, CallLimits, CallOutcome, Called, CompileLimits, Descriptor, FaultKind, GivenEntity,
    LoadedProcessor, Processed, Read, ReadOutcome, Request, Sandbox, SandboxOptions, StageAnswer,
    StageCall, Want, compile,
};

/// A loaded program. All of them share one sandbox, as all tenants do.
pub(crate) struct Program {
    sandbox: Arc<Sandbox>,
    loaded: Arc<LoadedProcessor>,
}

/// A request for `component:default/web`, to be changed.
#[derive(Clone)]
pub(crate) struct RequestBuilder {
    request: Request,
    seed: u8,
}

pub(crate) fn request() -> RequestBuilder {
    let entity = r#"{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"web","annotations":{}},"spec":{"type":"service"}}"#;
    let location = LocationRef::new("url", "https://example.com/catalog-info.yaml");
    RequestBuilder {
        request: Request {
            entity: GivenEntity::parse(entity).expect("it has a ref"),
            location: location.clone(),
            origin_location: location,
            config: "{}".into(),
            cache: None,
            reads: Vec::new(),
            integrations: Arc::from([]),
            now_ms: None,
        },
        seed: 0,
    }
}

impl RequestBuilder {
    pub(crate) fn config(mut self, config: &str) -> Self {
        self.request.config = config.into();
        self
    }

    /// The same entity, padded to that many bytes.
    pub(crate) fn entity_of(mut self, bytes: usize) -> Self {
        let padding = "x".repeat(bytes - self.request.entity.text().len() - ",\"x\":\"\"".len());
        let with = format!(",\"x\":\"{padding}\"}}}}");
        let start = self.request.entity.text().strip_suffix("}}").unwrap();
        self.request.entity = GivenEntity::parse(format!("{start}{with}")).unwrap();
        self
    }

    pub(crate) fn annotated(mut self, annotation: &str, value: &str) -> Self {
        let with = format!("\"annotations\":{{\"{annotation}\":\"{value}\"");
        let text = self
            .request
            .entity
            .text()
            .replace("\"annotations\":{", &with);
        self.request.entity = GivenEntity::parse(text).unwrap();
        self
    }

    pub(crate) fn cache(mut self, cache: &str) -> Self {
        self.request.cache = Some(cache.to_owned());
        self
    }

    pub(crate) fn seed(mut self, seed: u8) -> Self {
        self.seed = seed;
        self
    }

    pub(crate) fn read(mut self, want: Want, body: &[u8]) -> Self {
        let outcome = ReadOutcome::Document {
            body: body.into(),
            final_url: "https://example.com/".to_owned(),
            digest: Digest::of(body),
        };
        self.request.reads.push(Read { want, outcome });
        self
    }

    pub(crate) fn into_call(self) -> StageCall {
        StageCall::PreProcess(self.request)
    }
}

pub(crate) fn bytes_of(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// A component with the module of the text `module` in it, see [`greenroom_test_artifacts::splice`].
pub(crate) fn with_module(component: &[u8], module: &str, instances: u8) -> Vec<u8> {
    let module = wat::parse_str(format!("(module {module})")).unwrap();
    greenroom_test_artifacts::splice::with_module(component, &module, instances)
}

pub(crate) fn compiled(path: &str) -> Artifact {
    compile(&bytes_of(path), &CompileLimits::default()).unwrap()
}

impl Program {
    pub(crate) fn load(path: &str) -> Program {
        Program::of(&bytes_of(path))
    }

    pub(crate) fn of(component: &[u8]) -> Program {
        static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
        let sandbox = SANDBOX.get_or_init(|| Sandbox::new(SandboxOptions::default()).unwrap());
        let artifact = compile(component, &CompileLimits::default()).unwrap();
        let loaded = sandbox.load(None, &artifact).unwrap();
        Program {
            sandbox: Arc::clone(sandbox),
            loaded,
        }
    }

    pub(crate) fn describe(&self, limits: &CallLimits) -> Called<Descriptor> {
        self.sandbox.describe(&self.loaded, limits).unwrap()
    }

    pub(crate) fn call(&self, request: &RequestBuilder) -> Called<StageAnswer> {
        self.call_within(request, &CallLimits::default())
    }

    pub(crate) fn call_within(
        &self,
        request: &RequestBuilder,
        limits: &CallLimits,
    ) -> Called<StageAnswer> {
        let (call, seed) = (request.clone().into_call(), [request.seed; 32]);
        self.sandbox
            .call(&self.loaded, &call, limits, seed)
            .unwrap()
    }

    pub(crate) fn make(&self, call: &StageCall, limits: &CallLimits) -> Called<StageAnswer> {
        self.sandbox
            .call(&self.loaded, call, limits, [0; 32])
            .unwrap()
    }

    pub(crate) fn fault_of(&self, called: Called<StageAnswer>) -> FaultKind {
        match called.outcome {
            CallOutcome::Faulted(fault) => fault.kind,
            CallOutcome::Answered(answer) => panic!("answered {answer:?}"),
        }
    }

    pub(crate) fn processed(&self, called: Called<StageAnswer>) -> Processed {
        match called.outcome {
            CallOutcome::Answered(StageAnswer::Processed(processed)) => processed,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn entity(&self, called: Called<StageAnswer>) -> Entity {
        self.processed(called).entity.unwrap()
    }

    pub(crate) fn said(&self, called: Called<StageAnswer>) -> String {
        self.processed(called).diagnostics.remove(0).message
    }

    pub(crate) fn wants(&self, called: Called<StageAnswer>) -> Vec<Want> {
        match called.outcome {
            CallOutcome::Answered(StageAnswer::Pending { wants, .. }) => wants,
            other => panic!("{other:?}"),
        }
    }
}
