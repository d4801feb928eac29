//! Temporary.
use greenroom_model::rules::CatalogRules;
use greenroom_model::{Digest, LocationRef, Presence, ProcessorName, Stage, TenantId};
use greenroom_orchestrator::*;
use greenroom_sandbox::{
    CallLimits, CallLog, CallOutcome, CallReport, Called, Emission, FaultKind, GuestFault,
    LocationKey, LocationRequest, LogLevel, LogLine, Request, SandboxError, StageAnswer, StageCall,
};
use greenroom_sandbox_child::*;
use std::borrow::Cow;
use std::collections::BTreeMap;

struct Scripted(bool);
impl CallProcessor for Scripted {
    fn call(
        &self,
        _: &Digest,
        call: &StageCall,
        _: &CallLimits,
        _: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        let outcome = match (call.stage(), self.0) {
            (Stage::PreProcess, true) => CallOutcome::Answered(StageAnswer::Pending { wants: vec![Want::Get("https://h.test/a".into())], carry: None, emissions: vec![] }),
            (Stage::ValidateKind, _) => CallOutcome::Answered(StageAnswer::Validated { recognised: true, diagnostics: vec![] }),
            (Stage::PostProcess, _) => CallOutcome::Faulted(GuestFault::new(FaultKind::Trap, "boom".to_owned())),
            _ => CallOutcome::Answered(StageAnswer::Processed(greenroom_sandbox::Processed { entity: None, emissions: vec![
                Emission::Relation { source: "component:default/web".into(), r#type: "ownedBy".into(), target: "group:default/g".into() },
                Emission::Entity { value: serde_json::json!({"apiVersion":"a/v1","kind":"K","metadata":{"name":"n"},"spec":{"f":1.5,"n":-1,"l":[true,null]}}).as_object().unwrap().clone(), location: None, location_key: LocationKey::FromLocation, position: None },
            ], cache: Some("c".into()), diagnostics: vec![] })),
        };
        Ok(Called {
            outcome,
            report: CallReport {
                fuel: 10,
                log: CallLog {
                    lines: vec![LogLine {
                        level: LogLevel::Info,
                        message: "hi".into(),
                        fields: vec![("a".into(), "b".into())],
                    }],
                    truncated: false,
                    bytes: 2,
                },
                ..CallReport::default()
            },
        })
    }
}

#[test]
fn make() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/frame");
    std::fs::create_dir_all(&dir).unwrap();
    let write =
        |name: &str, frames: Vec<Vec<u8>>| std::fs::write(dir.join(name), frames.concat()).unwrap();
    let h = |kind, run, pipeline| Header::new(kind, run, pipeline);
    let digest = Digest::of("component");
    let descriptor = Descriptor {
        track: Track::V0_1,
        stages: vec![Stage::PreProcess, Stage::ValidateKind, Stage::PostProcess],
        subscription: vec![],
        location_types: vec![],
        priority: 20,
        config_schema: None,
        time: Some(TimeGrain::Day),
        summary: Some("s".into()),
    };
    let pipeline = Pipeline {
        processors: vec![PipelineProcessor {
            name: ProcessorName::parse("p").unwrap(),
            revision: digest,
            descriptor: descriptor.clone(),
            config: "{}".into(),
            limits: CallLimits::default(),
            grants_digest: Digest::of("location"),
        }],
        rules: CatalogRules::default(),
        location_types: vec!["url".into()],
        integrations: [].into(),
        settings_digest: Digest::of("settings"),
    };
    let entity = r#"{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"web","annotations":{"backstage.io/managed-by-location":"url:https://h.test/c.yaml","backstage.io/managed-by-origin-location":"url:https://h.test/c.yaml"}},"spec":{"type":"service"}}"#;
    let job = || Job {
        entity: entity.into(),
        caches: BTreeMap::from([(ProcessorName::parse("p").unwrap(), "cache".into())]),
        now_ms: 1_800_000_000_000,
        tenant_secret: [7; 32],
        observe: Some(ProcessorName::parse("p").unwrap()),
    };
    let told = TellPipeline {
        tenant: TenantId(1),
        pipeline: Cow::Borrowed(&pipeline),
    };
    let location = LocationRef::new("url", "https://h.test/c.yaml");
    let request = Request {
        entity: entity.into(),
        location: location.clone(),
        origin_location: location.clone(),
        config: "{}".into(),
        cache: None,
        reads: vec![],
        integrations: [].into(),
        now_ms: None,
    };
    let wants = start(job(), &pipeline, &Scripted(true)).unwrap();
    let again = start(job(), &pipeline, &Scripted(true)).unwrap();
    let Step::Wants(_, state) = again else {
        panic!("{again:?}")
    };
    let done = start(job(), &pipeline, &Scripted(false)).unwrap();
    assert!(matches!(done, Step::Done(_)));
    let body: std::sync::Arc<[u8]> = b"document \xff\0".to_vec().into();
    let reads = vec![
        Read {
            want: Want::Get("https://h.test/a".into()),
            outcome: ReadOutcome::Document {
                digest: Digest::of(&body),
                body,
                final_url: "https://h.test/a".into(),
            },
        },
        Read {
            want: Want::Get("https://h.test/b".into()),
            outcome: ReadOutcome::NotFound,
        },
    ];
    let announced = Announced {
        revision: digest,
        call: Cow::Owned(StageCall::ReadLocation(LocationRequest {
            request,
            target: location,
            presence: Presence::Optional,
            carry: Some("x".into()),
        })),
        limits: CallLimits::default(),
        seed: [3; 32],
    };
    write(
        "start",
        vec![
            encode(
                h(Kind::Load, 0, 0),
                &Load {
                    scope: Some(TenantId(1)),
                    revision: digest,
                    bytes: 100_000,
                },
            )
            .unwrap(),
            encode(h(Kind::Pipeline, 0, 7), &told).unwrap(),
            encode(
                Header {
                    on_request: true,
                    announce: true,
                    ..h(Kind::Start, 1, 7)
                },
                &StartRun { job: job() },
            )
            .unwrap(),
            encode(h(Kind::Ping, 2, 0), &()).unwrap(),
        ],
    );
    write(
        "resume",
        vec![
            encode(h(Kind::Resume, 1, 7), &ResumeRun { state, reads }).unwrap(),
            encode(h(Kind::Forget, 0, 7), &()).unwrap(),
        ],
    );
    write(
        "describe",
        vec![
            encode(
                h(Kind::Describe, 3, 0),
                &DescribeRevision {
                    scope: None,
                    revision: digest,
                    limits: CallLimits::default(),
                },
            )
            .unwrap(),
        ],
    );
    write(
        "answers",
        vec![
            encode(
                h(Kind::Hello, 0, 0),
                &Hello {
                    protocol: Hello::PROTOCOL,
                    engine: Hello::engine(),
                    layers: 15,
                    threads: 3,
                },
            )
            .unwrap(),
            encode(h(Kind::Announce, 1, 0), &announced).unwrap(),
            encode(h(Kind::Step, 1, 0), &wants).unwrap(),
            encode(h(Kind::Pong, 2, 0), &()).unwrap(),
        ],
    );
    write("outcome", vec![encode(h(Kind::Step, 1, 0), &done).unwrap()]);
    write(
        "described",
        vec![
            encode(
                h(Kind::Described, 3, 0),
                &Called {
                    outcome: CallOutcome::Answered(descriptor),
                    report: CallReport::default(),
                },
            )
            .unwrap(),
        ],
    );
    write(
        "failures",
        vec![
            encode(h(Kind::Missing, 1, 0), &digest).unwrap(),
            encode(h(Kind::Failed, 1, 0), &"no room").unwrap(),
            encode(
                h(Kind::Refused, 0, 0),
                &Refused {
                    scope: None,
                    revision: digest,
                    reason: "no".into(),
                },
            )
            .unwrap(),
        ],
    );
}
