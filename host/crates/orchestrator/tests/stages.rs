//! What the stages do, with scripted processors: order, policies, rejection, reads by re-invocation, partial failure,
//! forced annotations. No Wasm here: the port is scripted, so each case says exactly what a guest answered.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use greenroom_model::rules::CatalogRules;
use greenroom_model::{Digest, Level, LocationRef, ProcessorName, Stage};
use greenroom_orchestrator::{
    CallLimits, CallProcessor, Descriptor, FaultKind, Job, Outcome, Pipeline, PipelineProcessor,
    Processed, Read, ReadOutcome, SandboxError, Step, Track, Verdict, Want, resume, start,
};
use greenroom_sandbox::{
    CallOutcome, CallReport, Called, Emission, GuestDiagnostic, GuestFault, LocationKey,
    StageAnswer, StageCall,
};
use serde_json::{Value, json};

type Script = VecDeque<CallOutcome<StageAnswer>>;

/// Answers calls from a script per processor and stage, and notes what was called.
#[derive(Default)]
struct Scripted {
    answers: RefCell<BTreeMap<(Digest, Stage), Script>>,
    calls: RefCell<Vec<String>>,
}

impl CallProcessor for Scripted {
    fn call(
        &self,
        revision: &Digest,
        call: &StageCall,
        _limits: &CallLimits,
        _seed: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        let name = NAMES
            .iter()
            .find(|name| digest(name) == *revision)
            .expect("a known processor");
        self.calls
            .borrow_mut()
            .push(format!("{name} {}", call.stage()));
        let scripted = self
            .answers
            .borrow_mut()
            .get_mut(&(*revision, call.stage()))
            .and_then(VecDeque::pop_front);
        let outcome = scripted.unwrap_or_else(|| CallOutcome::Answered(unchanged(call.stage())));
        Ok(Called {
            outcome,
            report: CallReport {
                fuel: 10,
                ..CallReport::default()
            },
        })
    }
}

const NAMES: [&str; 3] = ["first", "second", "reader"];

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn unchanged(stage: Stage) -> StageAnswer {
    match stage {
        Stage::ValidateKind => StageAnswer::Validated {
            recognised: true,
            diagnostics: vec![],
        },
        Stage::ReadLocation => StageAnswer::LocationRead {
            handled: true,
            emissions: vec![],
            cache: None,
            diagnostics: vec![],
        },
        _ => StageAnswer::Processed(greenroom_sandbox::Processed::default()),
    }
}

impl Scripted {
    fn answer(self, name: &str, stage: Stage, answer: StageAnswer) -> Self {
        self.outcome(name, stage, CallOutcome::Answered(answer))
    }

    fn outcome(self, name: &str, stage: Stage, outcome: CallOutcome<StageAnswer>) -> Self {
        self.answers
            .borrow_mut()
            .entry((digest(name), stage))
            .or_default()
            .push_back(outcome);
        self
    }
}

fn processor(name: &str, stages: &[Stage], location_types: &[&str]) -> PipelineProcessor {
    PipelineProcessor {
        name: ProcessorName::parse(name).expect("a processor name"),
        revision: digest(name),
        descriptor: Descriptor {
            track: Track::V0_1,
            stages: stages.to_vec(),
            subscription: vec![],
            location_types: location_types.iter().map(ToString::to_string).collect(),
            priority: 20,
            config_schema: None,
            time: None,
            summary: None,
        },
        config: "{}".into(),
        limits: CallLimits::default(),
        grants_digest: Digest::of(b"location"),
    }
}

fn pipeline() -> Pipeline {
    use Stage::{PostProcess, PreProcess, ReadLocation, ValidateKind};
    Pipeline {
        processors: vec![
            processor("first", &[PreProcess, ValidateKind, PostProcess], &[]),
            processor("second", &[PreProcess, PostProcess], &[]),
            processor("reader", &[ReadLocation], &["url"]),
        ],
        rules: CatalogRules::default(),
        location_types: vec!["url".into()],
        integrations: [].into(),
        settings_digest: Digest::of(b"settings"),
    }
}

fn entity(kind: &str, spec: impl Into<Value>) -> String {
    let spec: Value = spec.into();
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": kind,
        "metadata": {"name": "a", "annotations": {
            "backstage.io/managed-by-location": "url:https://h.test/repo/a.yaml",
            "backstage.io/managed-by-origin-location": "url:https://h.test/repo/origin.yaml",
        }},
        "spec": spec,
    })
    .to_string()
}

fn job(entity: String) -> Job {
    Job {
        entity,
        caches: BTreeMap::new(),
        now_ms: 0,
        tenant_secret: [7; 32],
        observe: None,
    }
}

fn run(entity: String, scripted: &Scripted) -> Outcome {
    match start(job(entity), &pipeline(), scripted).expect("the script answers") {
        Step::Done(outcome) => *outcome,
        Step::Wants(wanted, _) => panic!("wants {wanted:?}"),
    }
}

fn processed(outcome: Outcome) -> Processed {
    let Outcome {
        verdict,
        diagnostics,
        ..
    } = outcome;
    match verdict {
        Verdict::Processed(processed) => *processed,
        Verdict::Rejected { .. } => panic!("rejected: {diagnostics:?}"),
    }
}

fn child(name: &str, kind: &str) -> Emission {
    let value = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": kind,
        "metadata": {"name": name, "annotations": {"backstage.io/managed-by-origin-location": "url:https://forged.test/x"}},
        "spec": {},
    });
    let Value::Object(value) = value else {
        unreachable!("json! made an object")
    };
    Emission::Entity {
        value,
        location: None,
        location_key: LocationKey::FromLocation,
        position: None,
    }
}

fn location_read(emissions: Vec<Emission>, diagnostics: Vec<GuestDiagnostic>) -> StageAnswer {
    StageAnswer::LocationRead {
        handled: true,
        emissions,
        cache: None,
        diagnostics,
    }
}

#[test]
fn stages_run_in_order_and_every_processor_of_one_before_the_next() {
    let scripted = Scripted::default();
    let outcome = run(entity("Component", json!({})), &scripted);
    assert_eq!(
        *scripted.calls.borrow(),
        [
            "first pre-process",
            "second pre-process",
            "first validate-kind",
            "first post-process",
            "second post-process"
        ]
    );
    assert_eq!(outcome.calls, 5);
    let entity = processed(outcome).entity;
    assert_eq!(
        entity.metadata()["namespace"],
        "default",
        "policies fill in the namespace"
    );
}

#[test]
fn an_entity_that_nobody_recognises_is_rejected_for_good() {
    let no = StageAnswer::Validated {
        recognised: false,
        diagnostics: vec![],
    };
    let outcome = run(
        entity("Component", json!({})),
        &Scripted::default().answer("first", Stage::ValidateKind, no),
    );
    assert!(matches!(
        outcome.verdict,
        Verdict::Rejected {
            deterministic: true
        }
    ));
    assert_eq!(
        outcome.diagnostics[0].message,
        "No processor recognized the entity component:default/a as valid, possibly caused by a foreign kind or apiVersion"
    );
}

#[test]
fn a_policy_rejects_before_validation() {
    let scripted = Scripted::default();
    let text = entity("Component", json!({})).replace("\"spec\"", "\"sepc\"");
    let outcome = run(text, &scripted);
    assert!(matches!(
        outcome.verdict,
        Verdict::Rejected {
            deterministic: true
        }
    ));
    assert_eq!(outcome.diagnostics[0].stage, Some(Stage::Policy));
    assert!(
        !scripted
            .calls
            .borrow()
            .iter()
            .any(|call| call.contains("validate"))
    );
}

#[test]
fn a_fault_rejects_names_the_processor_and_is_kept_with_its_request() {
    let fault = CallOutcome::Faulted(GuestFault::new(FaultKind::OutOfFuel, "ran out of fuel"));
    let outcome = run(
        entity("Component", json!({})),
        &Scripted::default().outcome("second", Stage::PreProcess, fault),
    );
    assert!(matches!(
        outcome.verdict,
        Verdict::Rejected {
            deterministic: true
        }
    ));
    assert_eq!(outcome.diagnostics[0].processor.as_deref(), Some("second"));
    assert!(
        outcome.diagnostics[0]
            .message
            .contains("while preprocessing the entity component:default/a")
    );
    assert_eq!(outcome.faults.len(), 1);
    assert!(
        outcome.faults[0]
            .call
            .request()
            .entity
            .text()
            .contains("\"kind\":\"Component\"")
    );
}

#[test]
fn a_fault_that_may_pass_is_not_remembered() {
    let fault = CallOutcome::Faulted(GuestFault::new(FaultKind::Deadline, "too slow"));
    let outcome = run(
        entity("Component", json!({})),
        &Scripted::default().outcome("first", Stage::PostProcess, fault),
    );
    assert!(matches!(
        outcome.verdict,
        Verdict::Rejected {
            deterministic: false
        }
    ));
}

#[test]
fn reads_repeat_one_call_and_not_the_stages_before_it() {
    let want = Want::Get("https://h.test/repo/doc".into());
    let pending = StageAnswer::Pending {
        wants: vec![want.clone()],
        carry: None,
        emissions: vec![],
    };
    let scripted = Scripted::default().answer("second", Stage::PreProcess, pending);
    let pipeline = pipeline();
    let Step::Wants(wanted, state) =
        start(job(entity("Component", json!({}))), &pipeline, &scripted).unwrap()
    else {
        panic!("no want");
    };
    assert_eq!(
        (wanted.processor.as_str(), wanted.stage),
        ("second", Stage::PreProcess)
    );
    // The suspended run is plain data: it may cross a process boundary.
    let state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    let read = Read {
        want,
        outcome: ReadOutcome::NotFound,
    };
    let Step::Done(outcome) = resume(state, vec![read], &pipeline, &scripted).unwrap() else {
        panic!("wants again");
    };
    assert_eq!(outcome.trace.len(), 1);
    assert_eq!(
        scripted
            .calls
            .borrow()
            .iter()
            .filter(|call| *call == "first pre-process")
            .count(),
        1
    );
    assert_eq!(
        scripted
            .calls
            .borrow()
            .iter()
            .filter(|call| *call == "second pre-process")
            .count(),
        2
    );
}

#[test]
fn c20_a_round_without_a_new_read_is_read_limit() {
    let want = Want::Get("https://h.test/repo/doc".into());
    let pending = || StageAnswer::Pending {
        wants: vec![want.clone()],
        carry: None,
        emissions: vec![],
    };
    let scripted = Scripted::default()
        .answer("first", Stage::PreProcess, pending())
        .answer("first", Stage::PreProcess, pending());
    let pipeline = pipeline();
    let Step::Wants(_, state) =
        start(job(entity("Component", json!({}))), &pipeline, &scripted).unwrap()
    else {
        panic!("no want");
    };
    let read = Read {
        want,
        outcome: ReadOutcome::NotFound,
    };
    let Step::Done(outcome) = resume(*state, vec![read], &pipeline, &scripted).unwrap() else {
        panic!("wants again");
    };
    assert_eq!(outcome.faults[0].fault.kind, FaultKind::ReadLimit);
}

#[test]
fn c20_a_stage_has_64_reads() {
    let wants = (0..65)
        .map(|number| Want::Get(format!("https://h.test/repo/{number}")))
        .collect();
    let pending = StageAnswer::Pending {
        wants,
        carry: None,
        emissions: vec![],
    };
    let outcome = run(
        entity("Component", json!({})),
        &Scripted::default().answer("first", Stage::PreProcess, pending),
    );
    assert_eq!(outcome.faults[0].fault.kind, FaultKind::ReadLimit);
}

#[test]
fn c20_a_want_has_2_048_bytes() {
    let of = |bytes: usize| {
        let pending = StageAnswer::Pending {
            wants: vec![Want::Get("x".repeat(bytes))],
            carry: None,
            emissions: vec![],
        };
        let scripted = Scripted::default().answer("first", Stage::PreProcess, pending);
        let job = job(entity("Component", json!({})));
        match start(job, &pipeline(), &scripted).expect("ours") {
            Step::Wants(..) => None,
            Step::Done(outcome) => outcome.faults.first().map(|faulted| faulted.fault.kind),
        }
    };
    assert_eq!(of(2_048), None);
    assert_eq!(of(2_049), Some(FaultKind::ReadLimit));
}

/// What cannot be looked up is told, and hides nothing else.
#[test]
fn names_that_are_too_long_are_told() {
    let emitted = |emission: Emission| {
        let answer = StageAnswer::Processed(greenroom_sandbox::Processed {
            emissions: vec![emission],
            ..Default::default()
        });
        let scripted = Scripted::default().answer("first", Stage::PreProcess, answer);
        run(entity("Component", json!({})), &scripted)
            .diagnostics
            .len()
    };
    let relation = |r#type: usize, name: usize| Emission::Relation {
        source: "component:default/a".into(),
        r#type: "t".repeat(r#type),
        target: format!(
            "group:default/{}",
            "g".repeat(name - "group:default/".len())
        ),
    };
    let ours = emitted(relation(255, 1_000));
    assert_eq!(emitted(Emission::RefreshKey("k".repeat(2_048))), ours);
    assert_eq!(emitted(Emission::RefreshKey("k".repeat(2_049))), ours + 1);
    assert_eq!(emitted(relation(256, 1_000)), ours + 1);
    assert_eq!(emitted(relation(255, 1_001)), ours + 1);
}

/// Documents of a step are charged together, and the call that would get them is not made.
#[test]
fn c20_documents_of_a_step_have_16_mib() {
    let wants = |of: std::ops::Range<u32>| {
        of.map(|number| Want::Get(format!("https://h.test/repo/{number}")))
            .collect::<Vec<_>>()
    };
    let of = |bytes: usize| {
        let pending = StageAnswer::Pending {
            wants: wants(0..2),
            carry: None,
            emissions: vec![],
        };
        let scripted = Scripted::default().answer("first", Stage::PreProcess, pending);
        let job = job(entity("Component", json!({})));
        let Step::Wants(wanted, state) = start(job, &pipeline(), &scripted).expect("ours") else {
            panic!("it waits for its reads");
        };
        let sizes = [8 << 20, bytes];
        let reads = wanted.wants.iter().zip(sizes).map(|(want, size)| {
            let body = vec![b'x'; size];
            Read {
                want: want.clone(),
                outcome: ReadOutcome::Document {
                    digest: Digest::of(&body),
                    body: body.into(),
                    final_url: "https://h.test/".into(),
                },
            }
        });
        let calls = scripted.calls.borrow().len();
        let step = resume(*state, reads.collect(), &pipeline(), &scripted).expect("ours");
        let Step::Done(outcome) = step else {
            panic!("nothing else is wanted");
        };
        let kind = outcome.faults.first().map(|faulted| faulted.fault.kind);
        (kind, scripted.calls.borrow().len() > calls)
    };
    assert_eq!(of(8 << 20), (None, true));
    assert_eq!(of((8 << 20) + 1), (Some(FaultKind::ReadLimit), false));
}

/// A target whose every step carries on, with so many emissions each.
fn endless(steps: usize, emissions: usize) -> Outcome {
    let mut scripted = Scripted::default();
    for step in 0..steps {
        let answer = StageAnswer::Pending {
            wants: vec![],
            carry: Some(step.to_string()),
            emissions: vec![Emission::RefreshKey("key".into()); emissions],
        };
        scripted = scripted.answer("reader", Stage::ReadLocation, answer);
    }
    run(
        entity("Location", json!({"target": "./all.yaml"})),
        &scripted,
    )
}

#[test]
fn c20_a_target_has_1_000_steps() {
    assert!(endless(999, 0).faults.is_empty());
    assert_eq!(endless(1_000, 0).faults[0].fault.kind, FaultKind::ReadLimit);
}

#[test]
fn c20_a_target_has_50_000_emissions() {
    assert!(endless(5, 10_000).faults.is_empty());
    let outcome = endless(6, 10_000);
    assert_eq!(outcome.faults[0].fault.kind, FaultKind::OutputTooLarge);
    assert!(
        !processed(outcome).complete,
        "a fault in a later step is a partial failure of that target"
    );
}

#[test]
fn y16_a_location_has_10_000_targets() {
    let of = |count: usize| {
        let scripted = Scripted::default();
        let targets = vec!["./one.yaml"; count];
        let outcome = run(entity("Location", json!({"targets": targets})), &scripted);
        let reads = scripted.calls.borrow();
        let reads = reads
            .iter()
            .filter(|call| call.starts_with("reader read-location"));
        (reads.count(), processed(outcome).complete)
    };
    assert!(of(10_000).1);
    assert_eq!(of(10_001), (0, false));
}

#[test]
fn a_carry_begins_a_new_step_and_keeps_emissions() {
    let step = |carry: &str, name: &str| StageAnswer::Pending {
        wants: vec![],
        carry: Some(carry.into()),
        emissions: vec![child(name, "Component")],
    };
    let scripted = Scripted::default()
        .answer("reader", Stage::ReadLocation, step("1", "one"))
        .answer("reader", Stage::ReadLocation, step("2", "two"))
        .answer(
            "reader",
            Stage::ReadLocation,
            location_read(vec![child("three", "Component")], vec![]),
        );
    let outcome = run(
        entity("Location", json!({"target": "./all.yaml"})),
        &scripted,
    );
    let names: Vec<_> = processed(outcome)
        .children
        .into_iter()
        .map(|child| child.entity_ref.name().to_owned())
        .collect();
    assert_eq!(names, ["one", "two", "three"]);
}

#[test]
fn c17_annotations_of_children_are_forced_and_rules_judge_the_true_origin() {
    let read = location_read(
        vec![child("good", "Component"), child("bad", "Group")],
        vec![],
    );
    let scripted = Scripted::default().answer("reader", Stage::ReadLocation, read);
    let outcome = run(
        entity("Location", json!({"target": "./all.yaml"})),
        &scripted,
    );
    let diagnostics = outcome.diagnostics.clone();
    let processed = processed(outcome);
    assert_eq!(processed.children.len(), 1, "the good one is applied");
    assert!(!processed.complete, "and nothing is removed");
    let good = &processed.children[0];
    assert_eq!(
        good.entity
            .annotation("backstage.io/managed-by-origin-location"),
        Some("url:https://h.test/repo/origin.yaml")
    );
    assert_eq!(
        good.entity.annotation("backstage.io/managed-by-location"),
        Some("url:https://h.test/repo/all.yaml")
    );
    assert_eq!(
        good.location_key.as_deref(),
        Some("url:https://h.test/repo/all.yaml")
    );
    assert_eq!(diagnostics[0].name, "NotAllowedError");
}

#[test]
fn one_bad_target_does_not_hide_the_others() {
    let fault = CallOutcome::Faulted(GuestFault::new(FaultKind::Trap, "panicked"));
    let scripted = Scripted::default()
        .outcome("reader", Stage::ReadLocation, fault)
        .answer(
            "reader",
            Stage::ReadLocation,
            location_read(vec![child("b", "Component")], vec![]),
        );
    let outcome = run(
        entity("Location", json!({"targets": ["./a.yaml", "./b.yaml"]})),
        &scripted,
    );
    assert!(
        outcome
            .diagnostics
            .iter()
            .any(|one| one.level == Level::Error && one.target.is_some())
    );
    let processed = processed(outcome);
    assert_eq!(processed.children.len(), 1);
    assert!(!processed.complete);
}

#[test]
fn y15_a_file_target_of_a_url_location_is_refused() {
    let scripted = Scripted::default();
    let outcome = run(
        entity("Location", json!({"type": "file", "target": "/etc/passwd"})),
        &scripted,
    );
    assert!(
        outcome.diagnostics[0]
            .message
            .contains("location type `file` is not allowed")
    );
    assert!(
        !scripted
            .calls
            .borrow()
            .iter()
            .any(|call| call.contains("read-location"))
    );
    let emitted = Emission::Location {
        location: LocationRef::new("file", "/etc/passwd"),
        presence: greenroom_model::Presence::Required,
    };
    let scripted = Scripted::default().answer(
        "reader",
        Stage::ReadLocation,
        location_read(vec![emitted], vec![]),
    );
    let outcome = run(
        entity("Location", json!({"target": "./all.yaml"})),
        &scripted,
    );
    assert!(processed(outcome).children.is_empty());
}

#[test]
fn a_file_target_that_is_a_folder_is_an_error_and_the_others_are_read() {
    let mut pipeline = pipeline();
    pipeline.processors[2] = processor("reader", &[Stage::ReadLocation], &["file"]);
    let location = entity("Location", json!({"targets": ["./folder/", "./a.yaml"]}));
    let location = location.replace("url:https://h.test/repo/a.yaml", "file:/srv/c/all.yaml");
    let scripted = Scripted::default();
    let step = start(job(location), &pipeline, &scripted).expect("the script answers");
    let Step::Done(outcome) = step else {
        panic!("it wants nothing");
    };
    assert_eq!(outcome.diagnostics.len(), 1, "{:?}", outcome.diagnostics);
    assert_eq!(
        outcome.diagnostics[0].message,
        "file target `/srv/c/folder/` ends with a path separator: name a file"
    );
    let calls = scripted.calls.borrow();
    let reads = calls.iter().filter(|call| call.contains("read-location"));
    assert_eq!(reads.count(), 1);
    assert!(!processed(*outcome).complete);
}

#[test]
fn c18_its_own_ref_and_a_repeated_ref_are_ignored_with_a_warning() {
    let read = location_read(
        vec![
            child("b", "Component"),
            child("b", "Component"),
            child("a", "Location"),
        ],
        vec![],
    );
    let scripted = Scripted::default().answer("reader", Stage::ReadLocation, read);
    let outcome = run(
        entity("Location", json!({"target": "./all.yaml"})),
        &scripted,
    );
    assert_eq!(
        outcome
            .diagnostics
            .iter()
            .filter(|one| one.level == Level::Warning)
            .count(),
        2
    );
    let processed = processed(outcome);
    assert_eq!(processed.children.len(), 1);
    assert!(processed.complete);
}

#[test]
fn without_managed_by_annotations_nothing_runs() {
    let scripted = Scripted::default();
    let bare =
        json!({"apiVersion": "b/v1", "kind": "Component", "metadata": {"name": "a"}}).to_string();
    let outcome = run(bare, &scripted);
    assert!(matches!(
        outcome.verdict,
        Verdict::Rejected {
            deterministic: true
        }
    ));
    assert!(scripted.calls.borrow().is_empty());
}

/// Says what it finds in its cache, if it finds something; an honest one says the same without.
struct Cached {
    honest: bool,
    /// Calls with a cache, and without.
    calls: RefCell<(u32, u32)>,
}

impl CallProcessor for Cached {
    fn call(
        &self,
        _: &Digest,
        call: &StageCall,
        _: &CallLimits,
        _: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        let cache = call.request().cache.clone();
        let mut answer = unchanged(call.stage());
        if call.stage() == Stage::PreProcess {
            let mut calls = self.calls.borrow_mut();
            let count = match cache {
                Some(_) => &mut calls.0,
                None => &mut calls.1,
            };
            *count += 1;
            let said = match cache {
                Some(said) if !self.honest => said,
                _ => "computed".to_owned(),
            };
            let mut entity: Value =
                serde_json::from_str(call.request().entity.text()).expect("it is JSON");
            entity["metadata"]["title"] = said.into();
            answer = StageAnswer::Processed(greenroom_sandbox::Processed {
                entity: Some(greenroom_model::Entity::from_value(entity).expect("it is an entity")),
                cache: Some("cached".to_owned()),
                ..Default::default()
            });
        }
        Ok(Called {
            outcome: CallOutcome::Answered(answer),
            report: CallReport {
                cpu_us: 1,
                ..CallReport::default()
            },
        })
    }
}

/// Runs 3 000 times with a cache; the outcomes of runs with one call more than the others.
fn proved(calls: &Cached) -> Vec<Outcome> {
    let mut pipeline = pipeline();
    pipeline
        .processors
        .retain(|one| one.name.as_str() == "first");
    let mut proved = Vec::new();
    for now_ms in 0..3_000 {
        let mut job = job(entity("Component", json!({})));
        job.now_ms = now_ms;
        let name = ProcessorName::parse("first").expect("a name");
        job.caches.insert(name, "cached".into());
        match start(job, &pipeline, calls).expect("it answers") {
            Step::Done(outcome) if outcome.calls > 3 => proved.push(*outcome),
            Step::Done(outcome) => {
                assert_eq!(outcome.calls, 3);
                let title = processed(*outcome).entity.metadata()["title"].clone();
                assert_eq!(title, if calls.honest { "computed" } else { "cached" });
            }
            Step::Wants(..) => panic!("it reads nothing"),
        }
    }
    proved
}

#[test]
fn one_call_in_a_thousand_is_made_again_without_its_cache() {
    let honest = Cached {
        honest: true,
        calls: RefCell::default(),
    };
    let proved = proved(&honest);
    let (with, without) = *honest.calls.borrow();
    assert_eq!(with, 3_000);
    assert!((1..=15).contains(&without), "{without} of 3 000");
    for outcome in &proved {
        assert!(outcome.diagnostics.is_empty());
        assert_eq!(outcome.cpu_us, 4, "the tenant pays for it");
    }
}

#[test]
fn a_cache_that_changes_a_result_is_told_and_does_not() {
    let forging = Cached {
        honest: false,
        calls: RefCell::default(),
    };
    // Of the calls that were made again, those in which it says what it cached.
    let mut told = proved(&forging);
    told.retain(|outcome| !outcome.diagnostics.is_empty());
    assert!(!told.is_empty());
    assert_eq!(told.len(), forging.calls.borrow().1 as usize);
    for outcome in told {
        let [told] = &outcome.diagnostics[..] else {
            panic!("{:?}", outcome.diagnostics);
        };
        let told = (told.level, told.name.as_str());
        assert_eq!(told, (Level::Warning, "CacheWarning"));
        let title = processed(outcome).entity.metadata()["title"].clone();
        assert_eq!(title, "computed");
    }
}
