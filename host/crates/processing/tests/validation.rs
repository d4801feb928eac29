//! Batches over a real database, with the stages run for real and the guests scripted: what is said of each document, against
//! the others and against the catalog, and that nothing is written.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

use std::sync::Arc;

use async_trait::async_trait;
use greenroom_model::{
    Clock as _, Digest, GivenFile, GivenFiles, Level, LocationRef, NOWHERE, Position,
    ProcessorName, Stage, TenantId,
};
use greenroom_orchestrator::{
    CallLimits, CallProcessor, Descriptor, Job, Read, ReadOutcome, SandboxError, Step, Suspended,
    Track, Want, resume, start,
};
use greenroom_processing::{
    BundledProcessor, MAX_BATCH_DOCUMENTS, Orchestrate, OrchestrateError, Pipelines, Ports,
    ReadAnswer, ReadSource, Reading, TenantPipeline, Wanted, validate_documents,
};
use greenroom_sandbox::{
    CallOutcome, CallReport, Called, Emission, GuestDiagnostic, LocationKey, Processed,
    StageAnswer, StageCall,
};
use greenroom_storage::conformance::queue::{
    claim_only, entity_ref, provide, provided, succeed, success, worker,
};
use greenroom_storage::conformance::{TestClock, tenant};
use greenroom_storage::{FinalEntity, Lane, ReadKey, Stitched, Storage};
use greenroom_storage_sqlite::SqliteStorage;
use serde_json::{Value, json};

/// Reads a file of which each line is an entity in JSON, `broken`, or `beware` and an entity; wants what `spec.reads`
/// names; says an error to whom `spec.bad` is set, and gives everybody else to their `spec.owner`.
struct Guests;

impl CallProcessor for Guests {
    fn call(
        &self,
        _revision: &Digest,
        call: &StageCall,
        _limits: &CallLimits,
        _seed: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        let request = call.request();
        let answer = match call {
            StageCall::ReadLocation(asked) => match request.reads.first() {
                None => pending(Want::Get(asked.target.target.clone())),
                Some(Read {
                    outcome: ReadOutcome::Document { body, .. },
                    ..
                }) => lines(str::from_utf8(body).unwrap(), &asked.target),
                Some(_) => said(Level::Error, "the target does not exist", None),
            },
            _ if call.stage() == Stage::ValidateKind => StageAnswer::Validated {
                recognised: true,
                diagnostics: Vec::new(),
            },
            _ => pre_process(request),
        };
        Ok(Called {
            outcome: CallOutcome::Answered(answer),
            report: CallReport::default(),
        })
    }
}

fn pending(want: Want) -> StageAnswer {
    StageAnswer::Pending {
        wants: vec![want],
        carry: None,
        emissions: Vec::new(),
    }
}

fn place(line: u32) -> Position {
    Position {
        document: line - 1,
        line,
        column: 1,
    }
}

fn problem(level: Level, message: &str, position: Option<Position>) -> GuestDiagnostic {
    GuestDiagnostic {
        level,
        message: message.to_owned(),
        location: None,
        position,
    }
}

fn said(level: Level, message: &str, position: Option<Position>) -> StageAnswer {
    StageAnswer::LocationRead {
        handled: true,
        emissions: Vec::new(),
        cache: None,
        diagnostics: vec![problem(level, message, position)],
    }
}

fn lines(text: &str, location: &LocationRef) -> StageAnswer {
    let (mut emissions, mut diagnostics) = (Vec::new(), Vec::new());
    for (line, text) in (1..).zip(text.lines()) {
        let position = Some(place(line));
        if text == "broken" {
            let message = format!("YAML error at {location}");
            diagnostics.push(problem(Level::Error, &message, position));
            continue;
        }
        let text = match text.strip_prefix("beware ") {
            Some(rest) => {
                diagnostics.push(problem(Level::Warning, "beware", position));
                rest
            }
            None => text,
        };
        let Value::Object(value) = serde_json::from_str(text).unwrap() else {
            panic!("{text}")
        };
        emissions.push(Emission::Entity {
            value,
            location: Some(location.clone()),
            location_key: LocationKey::FromLocation,
            position,
        });
    }
    StageAnswer::LocationRead {
        handled: true,
        emissions,
        cache: None,
        diagnostics,
    }
}

fn pre_process(request: &greenroom_sandbox::Request) -> StageAnswer {
    let entity: Value = serde_json::from_str(request.entity.text()).unwrap();
    let spec = &entity["spec"];
    if let Some(url) = spec["reads"].as_str() {
        match request.reads.first().map(|read| &read.outcome) {
            None => return pending(Want::Get(url.to_owned())),
            Some(ReadOutcome::Document { .. }) => {}
            Some(other) => {
                return StageAnswer::Processed(Processed {
                    diagnostics: vec![problem(
                        Level::Error,
                        &format!("read {url}: {other:?}"),
                        None,
                    )],
                    ..Default::default()
                });
            }
        }
    }
    let mut processed = Processed::default();
    if spec["bad"] == true {
        processed.diagnostics = vec![problem(Level::Error, "not to my taste", None)];
    }
    if let Some(owner) = spec["owner"].as_str() {
        processed.emissions.push(Emission::Relation {
            source: format!(
                "component:default/{}",
                entity["metadata"]["name"].as_str().unwrap()
            ),
            r#type: "ownedBy".into(),
            target: owner.to_owned(),
        });
    }
    StageAnswer::Processed(processed)
}

struct Here;

#[async_trait]
impl Orchestrate for Here {
    async fn start(
        &self,
        pipeline: &Arc<TenantPipeline>,
        _lane: Lane,
        job: Job,
    ) -> Result<Step, OrchestrateError> {
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

/// The world outside: `away.test` does not answer, everything else is refused.
struct Outside;

#[async_trait]
impl ReadSource for Outside {
    async fn read(&self, wanted: Wanted<'_>) -> ReadAnswer {
        let mut readings = Vec::new();
        for want in &wanted.reads.wants {
            let (Want::Get(address) | Want::List(address)) = want;
            if address.contains("away.test") {
                return ReadAnswer::Unavailable {
                    retry_at: TestClock::new().now(),
                    reason: "away.test does not answer".into(),
                };
            }
            readings.push(Reading {
                key: ReadKey {
                    credential: String::new(),
                    want: address.clone(),
                },
                read: Read {
                    want: want.clone(),
                    outcome: ReadOutcome::Refused("not granted".into()),
                },
            });
        }
        ReadAnswer::Read(readings)
    }
}

struct World {
    storage: Arc<dyn Storage>,
    tenant: TenantId,
    pipelines: Pipelines,
    clock: Arc<TestClock>,
    _directory: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::new());
        let path = directory.path().join("catalog.db");
        let storage: Arc<dyn Storage> =
            Arc::new(SqliteStorage::open(&path, clock.clone()).unwrap());
        let all = BundledProcessor {
            name: ProcessorName::parse("all").unwrap(),
            revision: Digest::of("all"),
            descriptor: Descriptor {
                track: Track::V0_1,
                stages: vec![Stage::PreProcess, Stage::ValidateKind, Stage::ReadLocation],
                subscription: Vec::new(),
                location_types: vec!["url".into()],
                priority: 20,
                config_schema: None,
                time: None,
                summary: None,
            },
            limits: CallLimits::default(),
            on_by_default: true,
        };
        World {
            tenant: tenant(&*storage, "acme").await,
            pipelines: Pipelines::new(Arc::clone(&storage), vec![all]),
            storage,
            clock,
            _directory: directory,
        }
    }

    /// The report, as it is answered.
    async fn validate(&self, given: &GivenFiles) -> Value {
        given.check().unwrap();
        let pipeline = self.pipelines.of(self.tenant).await.unwrap();
        let before = self.storage.data_version().await.unwrap();
        let ports = Ports {
            orchestrate: &Here,
            reads: &Outside,
            clock: &*self.clock,
        };
        let report = validate_documents(given, &pipeline, Some(&*self.storage), ports).await;
        assert_eq!(self.storage.data_version().await.unwrap(), before);
        json!(report.unwrap())
    }

    /// Serves an entity with a body.
    async fn serve(&self, name: &str, body: &Value) {
        let text = format!("component:default/{name}");
        let entity_ref = entity_ref(&text);
        let storage = &*self.storage;
        provide(
            storage,
            self.tenant,
            name,
            vec![provided(&text, "{}", None)],
        )
        .await;
        let item = claim_only(storage, &worker("w"), &text).await;
        succeed(storage, &item, success(&item, Vec::new())).await;
        let inputs = storage.claim_stitches(9).await.unwrap();
        let results = inputs.into_iter().map(|input| {
            let served = FinalEntity {
                uid: input.uid.clone().unwrap(),
                entity_ref: entity_ref.clone(),
                etag: "e".into(),
                body: body.to_string().into(),
            };
            (input, Stitched::Changed(served))
        });
        storage.record_stitches(results.collect()).await.unwrap();
    }
}

fn component(name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name}, "spec": spec,
    })
    .to_string()
}

fn batch(files: &[(&str, String)]) -> GivenFiles {
    let file = |(path, text): &(&str, String)| GivenFile {
        path: (*path).to_owned(),
        text: text.clone(),
    };
    GivenFiles {
        base: NOWHERE.to_owned(),
        files: files.iter().map(file).collect(),
        references: Vec::new(),
    }
}

fn outcomes(report: &Value) -> Vec<(String, u64, String)> {
    let documents = report["documents"].as_array().unwrap().iter();
    documents
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            (
                text("path"),
                one["line"].as_u64().unwrap_or(0),
                text("outcome"),
            )
        })
        .collect()
}

fn messages(document: &Value) -> Vec<String> {
    let said = document["diagnostics"].as_array().unwrap().iter();
    said.map(|one| {
        format!(
            "{}: {}",
            one["level"].as_str().unwrap(),
            one["message"].as_str().unwrap()
        )
    })
    .collect()
}

#[tokio::test]
async fn each_document_is_judged_for_itself_and_said_where_it_is() {
    let world = World::new().await;
    let many = [
        component("a", &json!({})),
        "broken".to_owned(),
        component("bad", &json!({"bad": true})),
        format!("beware {}", component("c", &json!({}))),
        component("a", &json!({})),
    ];
    let given = batch(&[
        ("x.yaml", many.join("\n")),
        ("empty.yaml", String::new()),
        ("y.yaml", component("c", &json!({}))),
    ]);
    let report = world.validate(&given).await;
    let expected = [
        ("x.yaml", 1, "valid"),
        ("x.yaml", 2, "invalid"),
        ("x.yaml", 3, "invalid"),
        ("x.yaml", 4, "valid"),
        ("x.yaml", 5, "invalid"),
        ("empty.yaml", 0, "invalid"),
        ("y.yaml", 1, "invalid"),
    ];
    let expected =
        expected.map(|(path, line, outcome)| (path.to_owned(), line, outcome.to_owned()));
    assert_eq!(outcomes(&report), expected, "{report:#}");
    let said = |at: usize| messages(&report["documents"][at]).join("\n");
    assert_eq!(said(1), "error: YAML error at x.yaml");
    assert_eq!(said(2), "error: not to my taste");
    assert_eq!(said(3), "warning: beware");
    assert!(said(4).contains("emitted twice from x.yaml"), "{}", said(4));
    assert!(said(5).contains("no document in the file"), "{}", said(5));
    assert!(
        said(6).contains("`component:default/c` is also in `x.yaml`, line 4"),
        "{}",
        said(6)
    );
    // Whatever is said stands at its document's place.
    let place = json!({"document": 2, "line": 3, "column": 1});
    assert_eq!(report["documents"][2]["diagnostics"][0]["position"], place);
    assert_eq!(report["ok"], false);
    assert_eq!(
        report["summary"],
        json!({
            "documents": 7, "valid": 2, "invalid": 5, "waiting": 0, "new": 2, "changed": 0, "unchanged": 0, "warnings": 1,
        })
    );
}

#[tokio::test]
async fn good_documents_are_compared_with_what_is_served() {
    let world = World::new().await;
    let served = |name: &str, owner: &str| {
        json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
            "metadata": {
                "name": name, "namespace": "default", "uid": "u", "etag": "e",
                "annotations": {
                    "backstage.io/managed-by-location": "url:https://h.test/a.yaml",
                    "backstage.io/managed-by-origin-location": "url:https://h.test/a.yaml",
                },
            },
            "spec": {"owner": owner}, "relations": [], "status": {"items": []},
        })
    };
    world.serve("same", &served("same", "api:default/g")).await;
    world
        .serve("other", &served("other", "api:default/old"))
        .await;
    let of = |name: &str| component(name, &json!({"owner": "api:default/g"}));
    let text = [of("same"), of("other"), of("new"), of("g")].join("\n");
    let mut given = batch(&[("a.yaml", text)]);
    let report = world.validate(&given).await;
    let documents = report["documents"].as_array().unwrap();
    let changes: Vec<_> = documents.iter().map(|one| one["change"].clone()).collect();
    assert_eq!(
        changes,
        ["unchanged", "changed", "new", "new"],
        "{report:#}"
    );
    let change = json!([{
        "op": "replace", "path": "/spec/owner", "from": "api:default/old", "to": "api:default/g",
    }]);
    assert_eq!(documents[1]["diff"], change);
    assert_eq!(documents[0]["diff"], json!([]));
    // The owner is nowhere: that is a warning and no error.
    let loose = "warning: `ownedBy` names `api:default/g`, which is neither in the catalog nor among these documents";
    assert_eq!(messages(&documents[0]), [loose]);
    assert_eq!(
        (&report["ok"], &report["summary"]["warnings"]),
        (&json!(true), &json!(4))
    );

    // Where it is said where the files are, that is compared too.
    given.base = "https://h.test/elsewhere/".to_owned();
    let report = world.validate(&given).await;
    assert_eq!(report["documents"][0]["change"], "changed");
    let path = "/metadata/annotations/backstage.io~1managed-by-location";
    assert_eq!(
        report["documents"][0]["diff"][0]["path"], path,
        "{report:#}"
    );

    // A relation may lead to another document.
    let api = of("g").replacen("Component", "API", 1);
    let given = batch(&[("a.yaml", of("same")), ("b.yaml", api)]);
    let mut report = world.validate(&given).await;
    let first = report["documents"][0].take();
    assert_eq!(messages(&first), Vec::<String>::new());
}

#[tokio::test]
async fn reads_are_answered_from_the_batch_and_then_from_elsewhere() {
    let world = World::new().await;
    let reads = |url: &str| component("a", &json!({"reads": url}));
    let nowhere = |path: &str| format!("{NOWHERE}{path}");
    let mut given = batch(&[("a.yaml", reads(&nowhere("docs/%C3%BC.txt?x")))]);
    let report = world.validate(&given).await;
    assert_eq!(report["wanted"], json!(["docs/ü.txt"]));
    assert!(
        messages(&report["documents"][0])[0].contains("read docs/%C3%BC.txt?x: NotFound"),
        "{report:#}"
    );
    given.references.push(GivenFile {
        path: "docs/ü.txt".into(),
        text: "text".into(),
    });
    let report = world.validate(&given).await;
    assert_eq!(
        (&report["ok"], &report["wanted"]),
        (&json!(true), &json!([]))
    );

    let report = world
        .validate(&batch(&[("a.yaml", reads("https://other.test/x"))]))
        .await;
    assert!(
        messages(&report["documents"][0])[0].contains("not granted"),
        "{report:#}"
    );
    let report = world
        .validate(&batch(&[("a.yaml", reads("https://away.test/x"))]))
        .await;
    assert_eq!(report["documents"][0]["outcome"], "waiting");
    assert_eq!(
        messages(&report["documents"][0]),
        ["error: away.test does not answer"]
    );
    assert_eq!(report["summary"]["waiting"], 1);

    // With a place in the world, what is not given may be there.
    let mut given = batch(&[("a.yaml", reads("https://h.test/r/x.txt"))]);
    given.base = "https://h.test/r/".to_owned();
    let report = world.validate(&given).await;
    assert_eq!(report["wanted"], json!(["x.txt"]));
    assert!(
        messages(&report["documents"][0])[0].contains("not granted"),
        "{report:#}"
    );
}

#[tokio::test]
async fn a_batch_that_is_too_large_says_so_at_its_last_document() {
    let world = World::new().await;
    let text: Vec<String> = (0..MAX_BATCH_DOCUMENTS + 5)
        .map(|n| component(&format!("c{n}"), &json!({})))
        .collect();
    let report = world.validate(&batch(&[("a.yaml", text.join("\n"))])).await;
    let documents = report["documents"].as_array().unwrap();
    assert_eq!(documents.len(), MAX_BATCH_DOCUMENTS);
    let last = documents.last().unwrap();
    assert_eq!(last["outcome"], "too-many");
    assert!(
        messages(last)[0].contains("more than 1000 documents"),
        "{last:#}"
    );
    assert_eq!(report["summary"]["valid"], MAX_BATCH_DOCUMENTS - 1);
    assert_eq!(report["ok"], false);
}
