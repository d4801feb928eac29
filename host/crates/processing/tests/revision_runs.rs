//! Dry runs and previews over a real database, with the stages run for real and the guests scripted: what a report says of
//! what guests answered, and that nothing is written.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use greenroom_model::{
    Clock as _, Digest, EntityRef, Level, ProcessorName, Stage, TenantId, TenantName,
};
use greenroom_orchestrator::{
    CallLimits, CallProcessor, Descriptor, FaultKind, Job, Read, ReadOutcome, SandboxError, Step,
    Suspended, Track, Want, resume, start,
};
use greenroom_processing::{
    BundledProcessor, DryRunOutcome, Instead, Orchestrate, OrchestrateError, Pipelines, Ports,
    Preview, PreviewReport, ReadAnswer, ReadSource, Reading, TenantPipeline, Wanted, dry_run,
};
use greenroom_sandbox::{
    CallOutcome, CallReport, Called, Emission, GuestDiagnostic, GuestFault, LogLevel, LogLine,
    StageAnswer, StageCall,
};
use greenroom_storage::conformance::TestClock;
use greenroom_storage::conformance::trial::{Ends, Trial};
use greenroom_storage::{
    Lane, Mutation, MutationKind, NewTenant, ProcessorSettings, ProvidedEntity, ReadKey,
    RevisionState, Storage,
};
use greenroom_storage_sqlite::SqliteStorage;
use serde_json::{Value, json};

/// What a revision does with an entity: `one` labels it, `two` labels it otherwise and faults on some, `waits` reads.
struct Guests;

impl CallProcessor for Guests {
    fn call(
        &self,
        revision: &Digest,
        call: &StageCall,
        limits: &CallLimits,
        _seed: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        let is = |name: &str| *revision == Digest::of(name);
        let mut entity: Value = serde_json::from_str(call.request().entity.text()).unwrap();
        let name = entity["metadata"]["name"].as_str().unwrap().to_owned();
        let config: Value = serde_json::from_str(&call.request().config).unwrap();
        let answer = match call.stage() {
            Stage::ValidateKind => StageAnswer::Validated {
                recognised: true,
                diagnostics: Vec::new(),
            },
            _ if is("two") && name.starts_with("bad") => {
                return Ok(Called {
                    outcome: CallOutcome::Faulted(GuestFault::new(FaultKind::Trap, "it panicked")),
                    report: report(7),
                });
            }
            _ if is("one") && name.starts_with("was-bad") => {
                StageAnswer::Processed(greenroom_sandbox::Processed {
                    diagnostics: vec![GuestDiagnostic {
                        level: Level::Error,
                        message: "not to my taste".into(),
                        location: None,
                        position: None,
                    }],
                    ..Default::default()
                })
            }
            _ if is("waits") && call.request().reads.is_empty() => StageAnswer::Pending {
                wants: vec![
                    Want::Get("https://h.test/a".into()),
                    Want::List("https://h.test/*".into()),
                ],
                carry: None,
                emissions: Vec::new(),
            },
            _ => {
                let label = if is("two") && name.starts_with("new") {
                    "two"
                } else {
                    "one"
                };
                let label = config["label"].as_str().unwrap_or(label);
                entity["metadata"]["labels"] = json!({"by": label});
                StageAnswer::Processed(greenroom_sandbox::Processed {
                    entity: Some(greenroom_model::Entity::from_value(entity).unwrap()),
                    emissions: vec![Emission::RefreshKey(format!("key-{label}"))],
                    ..Default::default()
                })
            }
        };
        assert_eq!(limits.memory_bytes, CallLimits::default().memory_bytes);
        Ok(Called {
            outcome: CallOutcome::Answered(answer),
            report: report(if is("two") { 20 } else { 10 }),
        })
    }
}

fn report(fuel: u64) -> CallReport {
    let mut report = CallReport {
        fuel,
        peak_memory_bytes: fuel * 1_000,
        cpu_us: fuel * 2,
        ..CallReport::default()
    };
    report.log.lines.push(LogLine {
        level: LogLevel::Info,
        message: "said".into(),
        fields: Vec::new(),
    });
    report
}

/// Runs stages here, and notes in which lane and under which pipeline.
#[derive(Default)]
struct Here {
    lanes: Mutex<Vec<Lane>>,
}

#[async_trait]
impl Orchestrate for Here {
    async fn start(
        &self,
        pipeline: &Arc<TenantPipeline>,
        lane: Lane,
        job: Job,
    ) -> Result<Step, OrchestrateError> {
        self.lanes.lock().unwrap().push(lane);
        start(job, &pipeline.pipeline, &Guests)
            .map_err(|error| OrchestrateError::Sandbox(error.to_string()))
    }

    async fn resume(
        &self,
        pipeline: &Arc<TenantPipeline>,
        _lane: Lane,
        state: Box<Suspended>,
        reads: Vec<Read>,
    ) -> Result<Step, OrchestrateError> {
        resume(*state, reads, &pipeline.pipeline, &Guests)
            .map_err(|error| OrchestrateError::Sandbox(error.to_string()))
    }
}

/// Answers each want with a refusal and a listing, or none at all.
struct Reader {
    available: bool,
}

#[async_trait]
impl ReadSource for Reader {
    async fn read(&self, wanted: Wanted<'_>) -> ReadAnswer {
        if !self.available {
            return ReadAnswer::Unavailable {
                retry_at: TestClock::new().now(),
                reason: "h.test does not answer".into(),
            };
        }
        let read = |want: &Want| Reading {
            key: ReadKey {
                credential: String::new(),
                want: format!("{want:?}"),
            },
            read: Read {
                want: want.clone(),
                outcome: match want {
                    Want::Get(_) => ReadOutcome::Refused("not granted".into()),
                    Want::List(_) => ReadOutcome::Listing(Vec::new()),
                },
            },
        };
        ReadAnswer::Read(wanted.reads.wants.iter().map(read).collect())
    }
}

struct World {
    storage: Arc<dyn Storage>,
    tenant: TenantId,
    pipelines: Pipelines,
    here: Here,
    reader: Reader,
    clock: Arc<TestClock>,
    _directory: tempfile::TempDir,
}

fn name() -> ProcessorName {
    ProcessorName::parse("labels").unwrap()
}

impl World {
    /// A tenant with the revisions `one`, `two` and `waits` of a processor, the first of them current.
    async fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::new());
        let path = directory.path().join("catalog.db");
        let storage: Arc<dyn Storage> =
            Arc::new(SqliteStorage::open(&path, clock.clone()).unwrap());
        let tenant = NewTenant {
            name: TenantName::parse("acme").unwrap(),
            secret: [7; 32],
            epoch: "e".into(),
        };
        let tenant = storage.create_tenant(tenant).await.unwrap().unwrap().id;
        storage.create_processor(tenant, &name()).await.unwrap();
        for (number, code) in (1..).zip(["one", "two", "waits", "rejected"]) {
            let digest = Digest::of(code);
            storage
                .add_revision(tenant, &name(), &digest, 1)
                .await
                .unwrap();
            let state = match code {
                "rejected" => RevisionState::Rejected {
                    reason: "no".into(),
                },
                _ => RevisionState::Ready {
                    descriptor: json!(descriptor(&[Stage::PreProcess])).to_string(),
                },
            };
            storage
                .finish_inspection(tenant, &name(), number, state)
                .await
                .unwrap();
        }
        assert!(storage.activate_revision(tenant, &name(), 1).await.unwrap());
        let kinds = BundledProcessor {
            name: ProcessorName::parse("kinds").unwrap(),
            revision: Digest::of("kinds"),
            descriptor: descriptor(&[Stage::ValidateKind]),
            limits: CallLimits::default(),
            on_by_default: true,
        };
        World {
            pipelines: Pipelines::new(Arc::clone(&storage), vec![kinds]),
            storage,
            tenant,
            here: Here::default(),
            reader: Reader { available: true },
            clock,
            _directory: directory,
        }
    }

    fn ports(&self) -> Ports<'_> {
        Ports {
            orchestrate: &self.here,
            reads: &self.reader,
            clock: &*self.clock,
        }
    }

    async fn with(&self, number: Option<u32>, config: Option<Value>) -> Arc<TenantPipeline> {
        let instead = Instead::Revision { number, config };
        let made = self.pipelines.with(self.tenant, &name(), instead).await;
        made.unwrap().unwrap()
    }

    async fn provide(&self, names: &[&str]) {
        let mutation = Mutation {
            kind: MutationKind::Full,
            added: names
                .iter()
                .map(|name| ProvidedEntity {
                    entity_ref: EntityRef::parse(&format!("component:default/{name}")).unwrap(),
                    unprocessed: entity(name),
                    location_key: None,
                })
                .collect(),
            removed: Vec::new(),
        };
        self.storage
            .apply_mutation(self.tenant, "provider:p", mutation)
            .await
            .unwrap();
    }

    async fn preview(
        &self,
        current: Arc<TenantPipeline>,
        number: u32,
        entities: Option<u64>,
    ) -> PreviewReport {
        let previewed = self.with(Some(number), None).await;
        let mut preview = Preview::new(name(), current, previewed, entities);
        while preview.step(&*self.storage, self.ports()).await.unwrap() {}
        preview.into_report()
    }
}

fn descriptor(stages: &[Stage]) -> Descriptor {
    Descriptor {
        track: Track::V0_1,
        stages: stages.to_vec(),
        subscription: Vec::new(),
        location_types: Vec::new(),
        priority: 20,
        config_schema: None,
        time: None,
        summary: None,
    }
}

fn entity(name: &str) -> String {
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": name, "annotations": {
            "backstage.io/managed-by-location": "url:https://h.test/a.yaml",
            "backstage.io/managed-by-origin-location": "url:https://h.test/a.yaml",
        }},
        "spec": {"type": "service"},
    })
    .to_string()
}

#[tokio::test]
async fn a_dry_run_reports_what_the_revision_did_and_what_it_cost() {
    let world = World::new().await;
    let pipeline = world.with(Some(2), Some(json!({"label": "given"}))).await;
    let report = dry_run(&entity("x"), &pipeline, &name(), world.ports())
        .await
        .unwrap();
    assert_eq!(report.outcome, DryRunOutcome::Processed);
    let shown = json!(report);
    assert_eq!(shown["before"]["metadata"].get("labels"), None);
    assert_eq!(
        shown["entity"]["metadata"]["labels"],
        json!({"by": "given"})
    );
    let label = json!([{"op": "add", "path": "/metadata/labels", "to": {"by": "given"}}]);
    // All that the pipeline did: the policies gave a namespace.
    let whole = json!([label[0], {"op": "add", "path": "/metadata/namespace", "to": "default"}]);
    assert_eq!(shown["diff"], whole);
    assert_eq!(shown["emissions"]["refreshKeys"], json!(["key-given"]));
    // The calls of this processor only, each with its own diff.
    let calls = shown["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_eq!(
        (&call["processor"], &call["stage"]),
        (&json!("labels"), &json!("pre-process"))
    );
    assert_eq!(
        (&call["fuel"], &call["peakMemoryBytes"], &call["cpuUs"]),
        (&json!(20), &json!(20_000), &json!(40))
    );
    assert_eq!(
        (&call["diff"], &call["log"]["lines"][0]["message"]),
        (&label, &json!("said"))
    );
    assert_eq!(
        shown["cost"],
        json!({"calls": 1, "fuel": 20, "cpuUs": 40, "peakMemoryBytes": 20_000})
    );
    assert_eq!(*world.here.lanes.lock().unwrap(), [Lane::OnRequest]);
}

#[tokio::test]
async fn a_dry_run_shows_a_fault_and_the_current_revision_stays_what_it_was() {
    let world = World::new().await;
    let current = world.pipelines.of(world.tenant).await.unwrap();
    let pipeline = world.with(Some(2), None).await;
    let report = dry_run(&entity("bad"), &pipeline, &name(), world.ports())
        .await
        .unwrap();
    let shown = json!(report);
    assert_eq!(
        (&shown["outcome"], &shown["entity"]),
        (&json!("rejected"), &Value::Null)
    );
    assert_eq!(shown["calls"][0]["fault"]["kind"], "trap");
    assert_eq!(shown["diagnostics"][0]["level"], "error");
    assert_eq!(shown["diff"], json!([]));
    let after = world.pipelines.of(world.tenant).await.unwrap();
    assert!(
        Arc::ptr_eq(&current, &after),
        "the tenant's own pipeline is untouched"
    );
    // Without a number it is the current one; what is not ready is none.
    let own = world.with(None, None).await;
    let report = dry_run(&entity("bad"), &own, &name(), world.ports())
        .await
        .unwrap();
    assert_eq!(report.outcome, DryRunOutcome::Processed);
    for number in [4, 5] {
        let instead = Instead::Revision {
            number: Some(number),
            config: None,
        };
        assert!(
            world
                .pipelines
                .with(world.tenant, &name(), instead)
                .await
                .unwrap()
                .is_none()
        );
    }
    let nobody = ProcessorName::parse("nobody").unwrap();
    assert!(
        world
            .pipelines
            .with(world.tenant, &nobody, Instead::Nothing)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_dry_run_lists_its_reads_or_what_it_waits_for() {
    let mut world = World::new().await;
    let pipeline = world.with(Some(3), None).await;
    let report = dry_run(&entity("x"), &pipeline, &name(), world.ports())
        .await
        .unwrap();
    let shown = json!(report);
    assert_eq!(shown["outcome"], "processed");
    assert_eq!(
        shown["reads"],
        json!([
            {"stage": "pre-process", "want": {"get": "https://h.test/a"}, "outcome": "refused", "reason": "not granted"},
            {"stage": "pre-process", "want": {"list": "https://h.test/*"}, "outcome": "listing"},
        ])
    );
    let pending: Vec<_> = shown["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| &call["pending"])
        .collect();
    assert_eq!(pending, [&json!(true), &json!(false)]);

    world.reader.available = false;
    let report = dry_run(&entity("x"), &pipeline, &name(), world.ports())
        .await
        .unwrap();
    let shown = json!(report);
    assert_eq!(
        (&shown["outcome"], &shown["waitsFor"]),
        (&json!("waiting"), &json!("h.test does not answer"))
    );
    assert_eq!(
        shown["calls"].as_array().unwrap().len(),
        1,
        "the call before the read is shown"
    );
}

#[tokio::test]
async fn a_preview_counts_compares_and_writes_nothing() {
    let world = World::new().await;
    let names = [
        "same-1",
        "same-2",
        "new-1",
        "bad-1",
        "was-bad-1",
        "bad-was-bad",
    ];
    world.provide(&names).await;
    let before = world.storage.data_version().await.unwrap();
    let current = world.with(None, None).await;
    let report = world.preview(current, 2, None).await;
    assert_eq!(
        (
            report.entities,
            report.same,
            report.different,
            report.newly_failing,
            report.no_longer_failing
        ),
        (6, 2, 1, 2, 1)
    );
    let changes = json!(report.changes);
    let of = |name: &str| {
        let wanted = format!("component:default/{name}");
        let found = changes
            .as_array()
            .unwrap()
            .iter()
            .find(|change| change["entityRef"] == wanted);
        found.unwrap().clone()
    };
    let new = of("new-1");
    assert_eq!(new["kind"], "different");
    assert_eq!(
        new["diff"],
        json!([{"op": "replace", "path": "/metadata/labels/by", "from": "one", "to": "two"}])
    );
    assert_eq!(
        new["emissionsDiff"],
        json!([{"op": "replace", "path": "/refreshKeys/0", "from": "key-one", "to": "key-two"}])
    );
    let bad = of("bad-1");
    assert_eq!(
        (&bad["kind"], &bad["fault"]["kind"]),
        (&json!("newly-failing"), &json!("trap"))
    );
    let mended = of("was-bad-1");
    assert_eq!(
        (&mended["kind"], &mended["fault"]["message"]),
        (&json!("no-longer-failing"), &json!("not to my taste"))
    );
    // Six calls of each side: the faulting two cost 7, the others 20 against 10.
    assert_eq!(
        (report.cost.current.calls, report.cost.current.fuel),
        (6, 60)
    );
    assert_eq!(
        (report.cost.preview.calls, report.cost.preview.fuel),
        (6, 4 * 20 + 2 * 7)
    );
    assert_eq!(report.cost.preview.peak_memory_bytes, 20_000);
    assert!(
        world
            .here
            .lanes
            .lock()
            .unwrap()
            .iter()
            .all(|lane| *lane == Lane::Bulk)
    );
    assert_eq!(
        world.storage.data_version().await.unwrap(),
        before,
        "nothing was written"
    );
}

#[tokio::test]
async fn a_preview_takes_as_many_matching_entities_as_are_wanted() {
    let world = World::new().await;
    let many: Vec<String> = (0..50).map(|number| format!("new-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    world.provide(&many).await;
    let current = world.with(None, None).await;
    let report = world.preview(Arc::clone(&current), 2, Some(20)).await;
    assert_eq!((report.entities, report.different), (20, 20));
    let report = world.preview(Arc::clone(&current), 2, None).await;
    assert_eq!(
        (report.entities, report.different, report.changes.len()),
        (50, 50, 50)
    );

    // The tenant's own subscription decides who is concerned.
    let settings = ProcessorSettings {
        subscription: Some(vec![greenroom_model::Matcher {
            kinds: vec!["api".into()],
            ..Default::default()
        }]),
        ..ProcessorSettings::default()
    };
    world
        .storage
        .put_processor_settings(world.tenant, &name(), settings)
        .await
        .unwrap();
    let current = world.with(None, None).await;
    assert_eq!(world.preview(current, 2, None).await.entities, 0);
}

#[tokio::test]
async fn a_preview_shows_the_first_hundred_changes_and_counts_all() {
    let mut world = World::new().await;
    let many: Vec<String> = (0..120).map(|number| format!("new-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    world.provide(&many).await;
    // Against nothing, as for a processor that is off.
    let nothing = world
        .pipelines
        .with(world.tenant, &name(), Instead::Nothing)
        .await;
    let nothing = nothing.unwrap().unwrap();
    let report = world.preview(Arc::clone(&nothing), 2, None).await;
    assert_eq!((report.different, report.changes.len()), (120, 100));
    assert_eq!(
        (report.cost.current.calls, report.cost.preview.calls),
        (0, 120)
    );
    world.reader.available = false;
    let report = world.preview(nothing, 3, Some(3)).await;
    assert_eq!(
        (report.entities, report.waiting, report.changes.len()),
        (3, 3, 3)
    );
}

/// Its entities are not run, but whoever asks for one of its revisions sees that one run.
#[tokio::test]
async fn a_revision_of_a_held_processor_can_be_tried() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock::new());
    let path = directory.path().join("catalog.db");
    let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(&path, clock.clone()).unwrap());
    let trial = Trial::new(&*storage, &clock, 4).await;
    let (tenant, name) = (trial.world.tenant, &trial.name);
    for (number, code) in (1..).zip(["good", "bad", "better"]) {
        let digest = Digest::of(code);
        let added = storage.add_revision(tenant, name, &digest, 1);
        added.await.unwrap();
        let state = RevisionState::Ready {
            descriptor: json!(descriptor(&[Stage::PreProcess])).to_string(),
        };
        let inspected = storage.finish_inspection(tenant, name, number, state);
        inspected.await.unwrap();
    }
    trial.pass("good", 50).await;
    // There is nothing to return to.
    let good = Digest::of("good");
    let damaged = storage.mark_damaged(tenant, &good, Some("damaged"));
    assert_eq!(damaged.await.unwrap(), 1);
    trial.activate(2).await;
    trial.start_canary(50).await;
    trial.run_all(|_| Ends::With("trap")).await;
    assert_eq!(trial.current().await, (Some(2), true));

    let pipelines = Pipelines::new(Arc::clone(&storage), Vec::new());
    let places = |pipeline: &TenantPipeline| {
        let revisions = |of: &[greenroom_orchestrator::PipelineProcessor]| {
            of.iter().map(|one| one.revision).collect::<Vec<_>>()
        };
        (
            revisions(&pipeline.pipeline.processors),
            revisions(&pipeline.held),
        )
    };
    let live = pipelines.of(tenant).await.unwrap();
    assert_eq!(places(&live), (vec![], vec![Digest::of("bad")]));
    for (number, code) in [(Some(3), "better"), (None, "bad")] {
        let instead = Instead::Revision {
            number,
            config: None,
        };
        let tried = pipelines.with(tenant, name, instead).await.unwrap();
        assert_eq!(
            places(&tried.unwrap()),
            (vec![Digest::of(code)], vec![]),
            "{number:?}"
        );
    }
}
