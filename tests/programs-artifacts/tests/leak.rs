//! c05: a processor that leaks leaks nothing. Alone in its process, because it measures the process.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot load its program or measure its process fails"
)]

use std::sync::Arc;

use greenroom_model::LocationRef;
use greenroom_sandbox::{
    CallLimits, CallOutcome, CompileLimits, GivenEntity, Request, Sandbox, SandboxOptions,
    StageAnswer, StageCall, compile,
};
use greenroom_test_artifacts::LEAK_GLOBAL_COMPONENT;

const CALLS: u64 = 100_000;

#[test]
fn c05_a_leaking_program_leaves_nothing_in_100_000_calls() {
    let bytes = std::fs::read(LEAK_GLOBAL_COMPONENT).unwrap();
    let artifact = compile(&bytes, &CompileLimits::default()).unwrap();
    let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
    let processor = sandbox.load(None, &artifact).unwrap();
    let (call, limits) = (call(), CallLimits::default());
    let (mut settled, mut wall_us) = (0, 0);
    for count in 0..CALLS {
        let called = sandbox.call(&processor, &call, &limits, [0; 32]).unwrap();
        wall_us += called.report.wall_us;
        let CallOutcome::Answered(StageAnswer::Processed(processed)) = called.outcome else {
            panic!("call {count}: {:?}", called.outcome);
        };
        assert_eq!(
            processed.diagnostics[0].message, "0",
            "call {count} found a leaked global"
        );
        if count == CALLS / 10 {
            settled = resident_bytes();
        }
    }
    let growth = resident_bytes().saturating_sub(settled);
    println!(
        "{} ns a call, growth {growth} bytes",
        wall_us * 1000 / CALLS
    );
    assert!(growth < 4 << 20, "grew by {growth} bytes");
}

fn call() -> StageCall {
    let entity =
        r#"{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"web"}}"#;
    let location = LocationRef::new("url", "https://example.com/catalog-info.yaml");
    StageCall::PreProcess(Request {
        entity: GivenEntity::parse(entity).expect("it has a ref"),
        location: location.clone(),
        origin_location: location,
        config: "{}".into(),
        cache: None,
        reads: Vec::new(),
        integrations: Arc::from([]),
        now_ms: None,
    })
}

/// Resident memory of this process in bytes.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
