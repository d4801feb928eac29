//! Proves that an hour of routine calls nobody (DESIGN §2): every document is looked at again and again, and as long as none
//! changes no entity runs, no run is skipped and nothing is written that a client sees. The figures are those that `/metrics`
//! shows. A document that changes runs the entities that used it, and no other.
//!
//! Backstage processes each of these entities some 29 times in that hour.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use greenroom_model::{
    Clock, Digest, Entity, EntityRef, ProcessorName, Stage, TenantId, TenantName, Timestamp,
};
use greenroom_orchestrator::{
    CallLimits, CallProcessor, Descriptor, Job, Read, ReadOutcome, SandboxError, StageCall, Step,
    Suspended, Track, Want, resume, start,
};
use greenroom_processing::{
    BundledProcessor, Orchestrate, OrchestrateError, Pipelines, TenantPipeline, stitch_batch,
};
use greenroom_reader::{FileReader, FileRoot, Reader, ReaderConfig};
use greenroom_sandbox::{CallOutcome, CallReport, Called, Processed, StageAnswer};
use greenroom_storage::{
    Lane, Mutation, MutationKind, NewTenant, ProvidedEntity, ReadKey, RunRecord, Slots, Storage,
    WorkerId,
};
use greenroom_storage_sqlite::SqliteStorage;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};

use super::StoredReads;
use super::audit::Auditor;
use super::claims::ClaimLoop;
use super::revalidation::look_at_due;
use crate::metrics::Metric;
use crate::supervisor::{Pulse, Wakes};

/// What the worker counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Figures {
    calls: u64,
    made: u64,
    skipped: u64,
    audited: u64,
    healed: [u64; 3],
}

/// A clock that stands until it is turned.
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// One processor: labels an entity with the text of the document that `spec.reads` names, if it names one.
struct Guests;

impl CallProcessor for Guests {
    fn call(
        &self,
        _: &Digest,
        call: &StageCall,
        _: &CallLimits,
        _: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        let request = call.request();
        let mut entity: Value = serde_json::from_str(request.entity.text()).unwrap();
        let wanted = entity["spec"]["reads"].as_str().map(str::to_owned);
        let answer = match (call.stage(), wanted, request.reads.first()) {
            (Stage::ValidateKind, ..) => StageAnswer::Validated {
                recognised: true,
                diagnostics: Vec::new(),
            },
            (_, Some(wanted), None) => StageAnswer::Pending {
                wants: vec![Want::Get(wanted)],
                carry: None,
                emissions: Vec::new(),
            },
            (_, _, read) => {
                if let Some(Read {
                    outcome: ReadOutcome::Document { body, .. },
                    ..
                }) = read
                {
                    let text = String::from_utf8(body.to_vec()).unwrap();
                    entity["metadata"]["labels"] = json!({"read": text});
                }
                StageAnswer::Processed(Processed {
                    entity: Some(Entity::from_value(entity).unwrap()),
                    ..Processed::default()
                })
            }
        };
        Ok(Called {
            outcome: CallOutcome::Answered(answer),
            report: CallReport::default(),
        })
    }
}

struct Here;

#[async_trait]
impl Orchestrate for Here {
    async fn start(
        &self,
        pipeline: &Arc<TenantPipeline>,
        _: Lane,
        job: Job,
    ) -> Result<Step, OrchestrateError> {
        start(job, &pipeline.pipeline, &Guests)
            .map_err(|error| OrchestrateError::Sandbox(error.to_string()))
    }

    async fn resume(
        &self,
        pipeline: &Arc<TenantPipeline>,
        _: Lane,
        state: Box<Suspended>,
        reads: Vec<Read>,
    ) -> Result<Step, OrchestrateError> {
        resume(*state, reads, &pipeline.pipeline, &Guests)
            .map_err(|error| OrchestrateError::Sandbox(error.to_string()))
    }
}

/// A worker's loops, turned by hand.
struct World {
    storage: Arc<dyn Storage>,
    clock: Arc<HandClock>,
    reads: Arc<StoredReads>,
    pipelines: Arc<Pipelines>,
    claims: ClaimLoop,
    finished: mpsc::Receiver<RunRecord>,
    pulse: Pulse,
    tenant: TenantId,
    folder: PathBuf,
    files: Dir,
    _directory: TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let folder = directory.path().join("files");
        let top = Dir::open_ambient_dir(directory.path(), ambient_authority()).unwrap();
        top.create_dir("files").unwrap();
        let files = top.open_dir("files").unwrap();
        let clock = Arc::new(HandClock(AtomicI64::new(1_800_000_000_000)));
        let path = directory.path().join("db");
        let storage: Arc<dyn Storage> =
            Arc::new(SqliteStorage::open(&path, clock.clone()).unwrap());
        let tenant = NewTenant {
            name: TenantName::parse("acme").unwrap(),
            secret: [7; 32],
            epoch: "e".into(),
        };
        let tenant = storage.create_tenant(tenant).await.unwrap().unwrap().id;
        let root = FileRoot {
            path: folder.clone(),
            dir: files.try_clone().unwrap(),
        };
        let reads = StoredReads::new(
            Arc::clone(&storage),
            Reader::new(ReaderConfig::default()).unwrap(),
            Arc::new(FileReader::new(vec![root], 1_000).unwrap()),
            [].into(),
            clock.clone(),
        );
        let pipelines = Arc::new(Pipelines::new(Arc::clone(&storage), vec![labels()]));
        let (sender, finished) = mpsc::channel(1_000);
        let pulse = Pulse::default();
        let claims = ClaimLoop {
            storage: Arc::clone(&storage),
            pipelines: Arc::clone(&pipelines),
            orchestrate: Arc::new(Here),
            reads: Arc::clone(&reads),
            clock: clock.clone(),
            worker: WorkerId("w".into()),
            wakes: Wakes::default(),
            recorded: Arc::new(Notify::new()),
            finished: sender,
            pulse: pulse.clone(),
        };
        Self {
            storage,
            clock,
            reads,
            pipelines,
            claims,
            finished,
            pulse,
            tenant,
            folder,
            files,
            _directory: directory,
        }
    }

    fn document(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        self.files.write(name, text).unwrap();
    }

    /// Gives entities that read a document, or none.
    async fn give(&self, prefix: &str, count: u32, reads: Option<&str>) {
        let location = format!("file:{}", self.document("catalog.yaml"));
        let entity = |number| {
            let name = format!("{prefix}{number}");
            let entity = json!({
                "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
                "metadata": {"name": name, "annotations": {
                    "backstage.io/managed-by-location": location,
                    "backstage.io/managed-by-origin-location": location,
                }},
                "spec": {"reads": reads.map(|name| self.document(name))},
            });
            ProvidedEntity {
                entity_ref: EntityRef::new("component", "default", &name),
                unprocessed: entity.to_string(),
                location_key: None,
            }
        };
        let mutation = Mutation {
            kind: MutationKind::Delta,
            added: (0..count).map(entity).collect(),
            removed: Vec::new(),
        };
        let applied = self
            .storage
            .apply_mutation(self.tenant, "provider:p", mutation);
        applied.await.unwrap();
    }

    /// One turn of every loop, to its end; how many reads were looked at again.
    async fn turn(&mut self) -> usize {
        let looked = look_at_due(&*self.storage, &self.reads, &*self.clock).await;
        loop {
            let claimed = self.claims.claim(Slots::Any, 64).await.unwrap();
            let Some(runs) = self.claims.with_pipelines(claimed).await else {
                break;
            };
            for (item, pipeline) in runs {
                self.claims.one(item, &pipeline).await;
            }
            let mut records = Vec::new();
            while let Ok(record) = self.finished.try_recv() {
                records.push(record);
            }
            self.storage.record(records).await.unwrap();
        }
        self.storage.check_orphans(100).await.unwrap();
        while !stitch_batch(&*self.storage, 100).await.unwrap().is_none() {}
        looked
    }

    /// Lets time pass in steps of five seconds; how many reads were looked at again.
    async fn pass(&mut self, seconds: i64) -> usize {
        let mut looked = 0;
        for _ in 0..seconds / 5 {
            self.clock.0.fetch_add(5_000, Ordering::SeqCst);
            looked += self.turn().await;
        }
        looked
    }

    fn figures(&self) -> Figures {
        let sheet = self.pulse.sheet();
        Figures {
            calls: sheet.count(Metric::Calls, &["acme", "labels", "answered"]),
            made: sheet.count(Metric::Runs, &["made"]),
            skipped: sheet.count(Metric::Runs, &["skipped"]),
            audited: sheet.count(Metric::Audited, &[]),
            healed: ["memo", "edge", "stitch"].map(|what| sheet.count(Metric::Healed, &[what])),
        }
    }

    async fn seq(&self) -> u64 {
        let position = self.storage.log_position(self.tenant).await;
        position.unwrap().seq
    }

    async fn label(&self, name: &str) -> Value {
        let entity_ref = EntityRef::new("component", "default", name);
        let found = self.storage.find_entity(self.tenant, &entity_ref).await;
        let body: Value = serde_json::from_str(&found.unwrap().unwrap().body).unwrap();
        body["metadata"]["labels"]["read"].clone()
    }
}

fn labels() -> BundledProcessor {
    BundledProcessor {
        name: ProcessorName::parse("labels").unwrap(),
        revision: Digest::of("labels"),
        descriptor: Descriptor {
            track: Track::V0_1,
            stages: vec![Stage::PreProcess, Stage::ValidateKind],
            subscription: Vec::new(),
            location_types: Vec::new(),
            priority: 20,
            config_schema: None,
            time: None,
            summary: None,
        },
        limits: CallLimits::default(),
        on_by_default: true,
    }
}

#[tokio::test]
async fn an_hour_of_routine_calls_nobody_and_a_changed_document_runs_its_users() {
    let mut world = World::new().await;
    world.write("a.txt", "one");
    world.write("b.txt", "two");
    world.give("a", 10, Some("a.txt")).await;
    world.give("b", 10, Some("b.txt")).await;
    world.give("plain", 20, None).await;
    world.turn().await;
    assert_eq!(world.label("a3").await, "one");
    let (first, seq) = (world.figures(), world.seq().await);
    // Two calls of each entity, and one more for what was to be read first.
    assert_eq!(first.calls, 2 * 40 + 20);
    assert_eq!(first.made, 40);
    assert_eq!(seq, 40);

    let looked = world.pass(3_600).await;
    // Each in 100 to 150 s and the five of a step.
    assert!((2 * 22..=2 * 36).contains(&looked), "{looked} looks");
    assert_eq!(world.figures(), first, "nobody was called, nothing ran");
    assert_eq!(world.seq().await, seq, "nothing was written");

    let auditor = Auditor {
        storage: Arc::clone(&world.storage),
        pipelines: Arc::clone(&world.pipelines),
        clock: world.clock.clone(),
        pulse: world.pulse.clone(),
    };
    auditor.run().await.unwrap();
    world.turn().await;
    let audited = world.figures();
    let expected = Figures {
        audited: 40,
        ..first
    };
    assert_eq!(audited, expected, "nothing was mended, nobody called");

    world.write("a.txt", "three");
    world.pass(155).await;
    let changed = world.figures();
    assert_eq!((changed.made, changed.skipped), (first.made + 10, 0));
    let labels = [
        world.label("a9").await,
        world.label("b9").await,
        world.label("plain9").await,
    ];
    assert_eq!(labels, [json!("three"), json!("two"), Value::Null]);

    let read = ReadKey {
        credential: String::new(),
        want: format!("get {}", world.document("a.txt")),
    };
    let stored = world.storage.find_reads(world.tenant, &[read]).await;
    assert!(stored.unwrap()[0].is_some(), "kept for its users");
}

#[tokio::test]
async fn a_pipeline_that_nobody_uses_goes_untouched() {
    let mut world = World::new().await;
    world.give("plain", 1, None).await;
    world.turn().await;
    let (count, bytes) = world.pipelines.held();
    assert!(count == 1 && bytes > 0, "{count} of {bytes} bytes");
    world.pipelines.sweep(Duration::from_secs(600));
    assert_eq!(world.pipelines.held(), (1, bytes), "its time has not come");
    tokio::time::sleep(Duration::from_millis(2)).await;
    world.pipelines.sweep(Duration::from_millis(1));
    assert_eq!(world.pipelines.held(), (0, 0));
}
