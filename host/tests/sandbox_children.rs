//! A worker's sandbox children without a worker: the real binary behind the port `Orchestrate`, over a database of its own.

#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use futures_util::StreamExt as _;
use greenroom::supervisor::{Pulse, SandboxEnd};
use greenroom::worker::{Artifacts, BundledCode, CompileChild, Describe as _, SandboxChildren};
use greenroom_model::{Clock, Digest, ProcessorName, TenantId, TenantName, Timestamp};
use greenroom_orchestrator::{CallLimits, Job, Step, Verdict};
use greenroom_processing::{BundledProcessor, Orchestrate as _, Pipelines, TenantPipeline};
use greenroom_sandbox::{Artifact, CallOutcome};
use greenroom_storage::{Lane, NewTenant, Storage};
use greenroom_storage_sqlite::SqliteStorage;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }
}

/// One tenant, its children, and its pipeline of bundled processors.
struct Setup {
    children: Arc<SandboxChildren>,
    pipeline: Arc<TenantPipeline>,
    pulse: Pulse,
    _directory: tempfile::TempDir,
}

impl Setup {
    /// With these bundled processors, and `artifact` of each as it is handed over.
    async fn new(names: &[&str], artifact: impl Fn(Artifact, &[u8]) -> Artifact) -> Setup {
        let directory = tempfile::tempdir().unwrap();
        let opened = SqliteStorage::open(&directory.path().join("greenroom.db"), Arc::new(Fixed));
        let storage: Arc<dyn Storage> = Arc::new(opened.unwrap());
        let tenant = NewTenant {
            name: TenantName::parse("default").unwrap(),
            secret: [0; 32],
            epoch: "1".to_owned(),
        };
        let tenant = storage.create_tenant(tenant).await.unwrap().unwrap();
        let (mut codes, mut processors) = (Vec::new(), Vec::new());
        let bundle = greenroom_bundle::bundled();
        for shipped in bundle.iter().filter(|one| names.contains(&one.name())) {
            codes.push(BundledCode {
                component: shipped.wasm(),
                artifact: artifact(shipped.artifact().unwrap(), shipped.wasm()),
            });
            processors.push(BundledProcessor {
                name: ProcessorName::parse(shipped.name()).unwrap(),
                revision: shipped.wasm_digest(),
                descriptor: shipped.descriptor(),
                limits: CallLimits::default(),
                on_by_default: true,
            });
        }
        assert_eq!(codes.len(), names.len());
        let program = OsString::from(env!("CARGO_BIN_EXE_greenroom"));
        let compiler = CompileChild::new(program.clone(), 60);
        let artifacts = Artifacts::new(Arc::clone(&storage), codes, compiler, [7; 32]);
        let pulse = Pulse::default();
        Setup {
            children: SandboxChildren::start(program, 3, artifacts, pulse.clone()),
            pipeline: Pipelines::new(storage, processors)
                .of(tenant.id)
                .await
                .unwrap(),
            pulse,
            _directory: directory,
        }
    }

    async fn run(&self, name: &str) -> Step {
        let step = self.children.start(&self.pipeline, Lane::New, job(name));
        step.await.unwrap()
    }
}

fn job(name: &str) -> Job {
    let location = "url:https://example.com/a.yaml";
    let filler = "x".repeat(900);
    Job {
        entity: format!(
            r#"{{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{{"name":"{name}","annotations":{{"backstage.io/managed-by-location":"{location}","backstage.io/managed-by-origin-location":"{location}"}},"description":"{filler}"}},"spec":{{"type":"service","lifecycle":"production","owner":"core"}}}}"#
        ),
        caches: BTreeMap::new(),
        now_ms: 0,
        tenant_secret: [0; 32],
        observe: None,
    }
}

fn processed(step: &Step, name: &str) {
    let Step::Done(outcome) = step else {
        panic!("{step:?}");
    };
    let Verdict::Processed(processed) = &outcome.verdict else {
        panic!("{outcome:?}");
    };
    let entity_ref = processed.entity.entity_ref();
    assert_eq!(entity_ref.as_str(), format!("component:default/{name}"));
    assert!(!processed.relations.is_empty(), "a guest ran");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_of_many_entities_are_answered_each_with_its_own() {
    let setup = Setup::new(&["builtin-kinds", "template-kind"], |artifact, _| artifact).await;
    let names: Vec<String> = (0..500).map(|number| format!("c{number}")).collect();
    let mut steps = futures_util::stream::iter(&names)
        .map(|name| {
            let run = setup.run(name);
            async move { (name, run.await) }
        })
        .buffer_unordered(32);
    while let Some((name, step)) = steps.next().await {
        processed(&step, name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_no_engine_here_takes_is_made_anew_from_the_component() {
    let damaged = |artifact: Artifact, wasm: &[u8]| {
        let mut bytes = artifact.to_bytes();
        let end = bytes.len();
        bytes[end - artifact.code_bytes()..].fill(0);
        Artifact::from_compiler(&bytes, Digest::of(wasm)).unwrap()
    };
    let setup = Setup::new(&["builtin-kinds"], damaged).await;
    processed(&setup.run("web").await, "web");
    let ended = |end: &SandboxEnd| setup.pulse.sandbox_ends(*end) > 0;
    assert!(!SandboxEnd::ALL.iter().any(ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processor_is_asked_what_it_is_in_a_child() {
    let setup = Setup::new(&["builtin-kinds"], |artifact, _| artifact).await;
    let processor = &setup.pipeline.pipeline.processors[0];
    let tenant = TenantId(setup.pipeline.tenant.0);
    let limits = CallLimits::default();
    let called = setup
        .children
        .describe(tenant, &processor.revision, &limits)
        .await
        .unwrap();
    let CallOutcome::Answered(descriptor) = called.outcome else {
        panic!("{called:?}");
    };
    assert_eq!(descriptor, processor.descriptor);
    let unknown = Digest::of("no");
    let asked = setup.children.describe(tenant, &unknown, &limits);
    let error = asked.await.unwrap_err().to_string();
    assert!(error.contains("upload it again"), "{error}");
}

#[tokio::test]
async fn a_worker_whose_children_cannot_be_started_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let opened = SqliteStorage::open(&directory.path().join("greenroom.db"), Arc::new(Fixed));
    let storage: Arc<dyn Storage> = Arc::new(opened.unwrap());
    let tenant = NewTenant {
        name: TenantName::parse("default").unwrap(),
        secret: [0; 32],
        epoch: "1".to_owned(),
    };
    let tenant = storage.create_tenant(tenant).await.unwrap().unwrap();
    let pipelines = Pipelines::new(Arc::clone(&storage), Vec::new());
    let pipeline = pipelines.of(tenant.id).await.unwrap();
    let compiler = CompileChild::new("/bin/false".into(), 60);
    let artifacts = Artifacts::new(storage, Vec::new(), compiler, [7; 32]);
    let pulse = Pulse::default();
    let children = SandboxChildren::start("/bin/false".into(), 2, artifacts, pulse.clone());
    let error = children
        .start(&pipeline, Lane::New, job("web"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("start a sandbox child"),
        "{error}"
    );
    assert!(pulse.sandbox_ends(SandboxEnd::NotStarted) >= 1);
}
