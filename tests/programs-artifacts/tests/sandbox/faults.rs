//! Every program of `tests/programs`, run for real: misbehaving ends in the fault it should, by
//! variant; behaving gives an answer; the same request gives the same outcome and the same fuel.

use crate::support::{Program, request};
use greenroom_sandbox::{
    CallLimits, CallOutcome, CallProcessor as _, Emission, FaultKind, LogLevel, ProcessingError,
    Sandbox, SandboxError, SandboxOptions, StageAnswer, Want,
};
use greenroom_test_artifacts::*;

#[test]
pub(crate) fn loop_forever() {
    let program = Program::load(LOOP_FOREVER_COMPONENT);
    let limits = CallLimits {
        fuel: 50_000_000,
        ..CallLimits::default()
    };
    let called = program.call_within(&request(), &limits);
    assert_eq!(
        called.report.fuel, limits.fuel,
        "c01: the same fuel every time"
    );
    assert_eq!(program.fault_of(called), FaultKind::OutOfFuel);

    let limits = CallLimits {
        fuel: 10_000_000_000,
        cpu_ms: 50,
        ..CallLimits::default()
    };
    let called = program.call_within(&request(), &limits);
    assert!(called.report.cpu_us >= 50_000, "{}", called.report.cpu_us);
    assert_eq!(program.fault_of(called), FaultKind::Deadline);

    let limits = CallLimits { fuel: 0, ..limits };
    let called = program.call_within(&request(), &limits);
    assert_eq!(program.fault_of(called), FaultKind::OutOfFuel, "c28");
}

#[test]
pub(crate) fn loop_at_start() {
    let program = Program::load(LOOP_AT_START_COMPONENT);
    let kind = program.fault_of(program.call(&request()));
    assert_eq!(
        kind,
        FaultKind::OutOfFuel,
        "a15: limits hold before the first call"
    );
}

#[test]
pub(crate) fn loop_over_log() {
    let program = Program::load(LOOP_OVER_LOG_COMPONENT);
    let called = program.call(&request());
    assert!(called.report.log.truncated);
    assert!(called.report.log.bytes <= CallLimits::default().log_bytes);
    assert_eq!(program.fault_of(called), FaultKind::OutOfFuel);
}

#[test]
pub(crate) fn grow_memory() {
    let program = Program::load(GROW_MEMORY_COMPONENT);
    let called = program.call(&request());
    let peak = called.report.peak_memory_bytes;
    assert!(peak <= 64 << 20 && peak > 60 << 20, "{peak}");
    assert_eq!(program.fault_of(called), FaultKind::MemoryLimit, "c03");
}

#[test]
pub(crate) fn use_memory() {
    let program = Program::load(USE_MEMORY_COMPONENT);
    let called = program.call(&request().config("32"));
    assert!(called.report.peak_memory_bytes > 32 << 20);
    assert_eq!(program.said(called), (32_u64 << 20).to_string());
}

#[test]
pub(crate) fn leak_global() {
    let program = Program::load(LEAK_GLOBAL_COMPONENT);
    for _ in 0..3 {
        assert_eq!(program.said(program.call(&request())), "0");
    }
}

#[test]
pub(crate) fn panics() {
    let program = Program::load(PANICS_COMPONENT);
    let called = program.call(&request());
    let said = &called.report.log.lines;
    assert!(
        said.iter().any(|line| line.message.contains("panicked at")),
        "{said:?}"
    );
    let fault = called.outcome.fault().expect("it panicked");
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(
        fault.message.contains("no owner for `web`"),
        "{}",
        fault.message
    );
    let frames = &fault.backtrace;
    assert!(
        frames.iter().any(|frame| frame.function.contains("panics")),
        "{frames:?}"
    );
    let named = |frame: &greenroom_sandbox::Frame| {
        frame.line.is_some()
            && frame
                .file
                .as_ref()
                .is_some_and(|file| file.ends_with("panics.rs"))
    };
    assert!(frames.iter().any(named), "{frames:?}");
}

#[test]
pub(crate) fn exit_zero() {
    let program = Program::load(EXIT_ZERO_COMPONENT);
    let called = program.call(&request());
    let message = called.outcome.fault().map(|fault| fault.message.clone());
    assert!(message.is_some_and(|text| text.contains("without a result")));
    assert_eq!(program.fault_of(called), FaultKind::Trap);
}

#[test]
pub(crate) fn deep_recursion() {
    let program = Program::load(DEEP_RECURSION_COMPONENT);
    let kind = program.fault_of(program.call(&request()));
    assert_eq!(kind, FaultKind::StackOverflow, "c04");
}

#[test]
pub(crate) fn underflow_stack() {
    let program = Program::load(UNDERFLOW_STACK_COMPONENT);
    let called = program.call(&request());
    let frames = called.outcome.fault().map(|fault| fault.backtrace.clone());
    assert!(frames.is_some_and(|frames| frames[0].function.contains("down")));
    assert_eq!(program.fault_of(called), FaultKind::Trap, "c04");
}

#[test]
pub(crate) fn huge_output() {
    let program = Program::load(HUGE_OUTPUT_COMPONENT);
    let too_large = |bytes: u64| {
        let called = program.call(&request().config(&bytes.to_string()));
        program.fault_of(called)
    };
    assert_eq!(too_large(64 * 1024 + 1), FaultKind::OutputTooLarge, "c27");
    // Above what may cross at once: pins the text by which that is told.
    assert_eq!(too_large(17 << 20), FaultKind::OutputTooLarge);
    let called = program.call(&request().config("65536"));
    assert!(called.outcome.fault().is_none());
}

#[test]
pub(crate) fn huge_entity() {
    let program = Program::load(HUGE_ENTITY_COMPONENT);
    let of = |config: &str| program.call(&request().config(config));
    assert_eq!(
        program.fault_of(of("1 4194304")),
        FaultKind::OutputTooLarge,
        "c08"
    );
    assert_eq!(
        program.fault_of(of("5 2000000")),
        FaultKind::OutputTooLarge,
        "c08"
    );
    assert!(of("4 2000000").outcome.fault().is_none());
}

#[test]
pub(crate) fn too_many_emissions() {
    let program = Program::load(TOO_MANY_EMISSIONS_COMPONENT);
    let of = |count: &str| program.call(&request().config(count));
    assert_eq!(
        program.fault_of(of("10001")),
        FaultKind::OutputTooLarge,
        "c08"
    );
    assert_eq!(
        program.fault_of(of("100000")),
        FaultKind::OutputTooLarge,
        "c08"
    );
    assert!(of("10000").outcome.fault().is_none());
}

#[test]
pub(crate) fn log_flood() {
    let program = Program::load(LOG_FLOOD_COMPONENT);
    let called = program.call(&request());
    assert!(
        called.outcome.fault().is_none(),
        "c09: a cut log is no fault"
    );
    assert!(called.report.log.truncated);
    assert!(
        called.report.fuel >= 100_000 * 1_001,
        "c09: every line costs fuel"
    );
    assert_eq!(called.report.log.lines[0].level, LogLevel::Error);
}

#[test]
pub(crate) fn invalid_json() {
    let program = Program::load(INVALID_JSON_COMPONENT);
    let deep = "[".repeat(10_000);
    for bad in [
        "{\"kind\":\"a\",\"kind\":\"a\"}",
        "{\"a\":1e400}",
        "{\"a\":NaN}",
        "{} x",
        "\u{feff}{}",
        "[]",
        "{}",
        &deep,
    ] {
        let called = program.call(&request().config(bad));
        assert_eq!(
            program.fault_of(called),
            FaultKind::InvalidOutput,
            "c14: {bad}"
        );
    }
}

#[test]
pub(crate) fn lie_about_ref() {
    let program = Program::load(LIE_ABOUT_REF_COMPONENT);
    let kind = program.fault_of(program.call(&request()));
    assert_eq!(kind, FaultKind::InvalidOutput, "c15");
}

#[test]
pub(crate) fn change_case() {
    let program = Program::load(CHANGE_CASE_COMPONENT);
    let entity = program.entity(program.call(&request()));
    assert_eq!(entity.kind(), "COMPONENT", "c15: letter case is free");
}

#[test]
pub(crate) fn reject() {
    let program = Program::load(REJECT_COMPONENT);
    let called = program.call(&request());
    let fault = called.outcome.fault().expect("it rejects");
    assert_eq!(fault.kind, FaultKind::Rejected);
    assert_eq!(fault.error, Some(ProcessingError::Invalid));
    assert_eq!(fault.message, "spec.owner is missing");
}

#[test]
pub(crate) fn refuse() {
    let program = Program::load(REFUSE_COMPONENT);
    assert_eq!(
        program.fault_of(program.call(&request())),
        FaultKind::Denied
    );
}

#[test]
pub(crate) fn want_65_reads() {
    // How many reads a stage may have is the orchestrator's to say; the call just tells.
    let program = Program::load(WANT_65_READS_COMPONENT);
    assert_eq!(program.wants(program.call(&request())).len(), 65);
}

#[test]
pub(crate) fn same_want_again() {
    let program = Program::load(SAME_WANT_AGAIN_COMPONENT);
    let want = Want::Get("https://example.com/same".to_owned());
    let found = request().read(want.clone(), b"document");
    assert_eq!(program.wants(program.call(&found)), [want]);
}

#[test]
pub(crate) fn random_and_time() {
    let program = Program::load(RANDOM_AND_TIME_COMPONENT);
    let said = |seed: u8| program.said(program.call(&request().seed(seed)));
    assert_eq!(said(1), said(1), "c13: the same bytes for the same request");
    assert_ne!(said(1), said(2), "c13: and not without the seed");
    // Time 0, no waiting, no input, no arguments, no variables (c11, c12).
    assert!(said(1).ends_with(" 0 0 0 0 0"), "{}", said(1));
    let called = program.call(&request());
    assert!(
        called.report.wall_us < 5_000_000,
        "c11: sleeping an hour holds no thread"
    );
}

#[test]
pub(crate) fn cache_echo() {
    let program = Program::load(CACHE_ECHO_COMPONENT);
    let kept = |call| match program.processed(call).cache {
        Some(cache) => cache,
        None => panic!("it keeps a cache"),
    };
    assert_eq!(kept(program.call(&request())), "x");
    assert_eq!(kept(program.call(&request().cache("x"))), "xx");
    let called = program.call(&request().cache(&"x".repeat(64 * 1024 + 1)));
    assert_eq!(called.report.fuel, 0, "c27: refused before the call");
    assert_eq!(program.fault_of(called), FaultKind::OutputTooLarge);
}

#[test]
pub(crate) fn emit_relations() {
    let program = Program::load(EMIT_RELATIONS_COMPONENT);
    let emissions = program.processed(program.call(&request())).emissions;
    assert!(matches!(&emissions[0], Emission::Relation { r#type, .. } if r#type == "ownedBy"));
    assert!(
        matches!(&emissions[1], Emission::Location { location, .. } if location.r#type == "url")
    );
    assert_eq!(emissions[2], Emission::RefreshKey("key".to_owned()));
}

#[test]
pub(crate) fn annotate() {
    let program = Program::load(ANNOTATE_COMPONENT);
    let entity = program.entity(program.call(&request()));
    assert_eq!(entity.annotation("example.com/seen"), Some("yes"));
    let (first, second) = (program.call(&request()), program.call(&request()));
    assert_eq!(first.outcome, second.outcome);
    assert_eq!(first.report.fuel, second.report.fuel);
    assert_eq!(
        first.report.peak_memory_bytes,
        second.report.peak_memory_bytes
    );
}

#[test]
pub(crate) fn slow_cpu() {
    let program = Program::load(SLOW_CPU_COMPONENT);
    let called = program.call(&request());
    assert!(called.outcome.fault().is_none());
    assert!(called.report.cpu_us > 1_000, "{}", called.report.cpu_us);
}

#[test]
pub(crate) fn another_scope_and_an_unknown_revision_are_not_loaded() {
    let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
    let artifact = crate::support::compiled(ANNOTATE_COMPONENT);
    let owner = Some(greenroom_model::TenantId(1));
    sandbox.load(owner, &artifact).unwrap();
    let call = request().into_call();
    let try_as = |scope| {
        let (revision, limits) = (artifact.wasm_digest(), CallLimits::default());
        sandbox
            .for_scope(scope)
            .call(&revision, &call, &limits, [0; 32])
    };
    assert!(matches!(
        try_as(owner).unwrap().outcome,
        CallOutcome::Answered(StageAnswer::Processed(_))
    ));
    for scope in [None, Some(greenroom_model::TenantId(2))] {
        assert!(matches!(try_as(scope), Err(SandboxError::NotLoaded(_))));
    }
}

#[test]
pub(crate) fn more_threads_than_slots_wait_and_are_all_answered() {
    let options = SandboxOptions {
        concurrent_calls: 2,
        ..SandboxOptions::default()
    };
    let sandbox = Sandbox::new(options).unwrap();
    let artifact = crate::support::compiled(ANNOTATE_COMPONENT);
    let processor = sandbox.load(None, &artifact).unwrap();
    let (call, limits) = (request().into_call(), CallLimits::default());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let called = sandbox.call(&processor, &call, &limits, [0; 32]).unwrap();
                    assert!(called.outcome.fault().is_none());
                }
            });
        }
    });
}

#[test]
pub(crate) fn configured() {
    let program = Program::load(CONFIGURED_COMPONENT);
    let called = program.call(&request().config(r#"{"team":"web"}"#));
    let CallOutcome::Answered(StageAnswer::Processed(processed)) = called.outcome else {
        panic!("{:?}", called.outcome);
    };
    let entity = processed.entity.expect("it changed the entity");
    assert_eq!(entity.annotation("example.com/seen"), Some("web"));
}

/// The schema is text to the sandbox; inspection refuses it.
#[test]
pub(crate) fn schema_unbounded() {
    let program = Program::load(SCHEMA_UNBOUNDED_COMPONENT);
    let called = program.call(&request());
    assert!(called.outcome.fault().is_none());
}

#[test]
pub(crate) fn fault_on_annotation() {
    let program = Program::load(FAULT_ON_ANNOTATION_COMPONENT);
    assert!(program.call(&request()).outcome.fault().is_none());
}

#[test]
pub(crate) fn sign_one() {
    let program = Program::load(SIGN_ONE_COMPONENT);
    let entity = program.entity(program.call(&request()));
    assert_eq!(entity.annotation("example.com/before"), Some("one"));
}

#[test]
pub(crate) fn sign_two() {
    let program = Program::load(SIGN_TWO_COMPONENT);
    let entity = program.entity(program.call(&request()));
    assert_eq!(entity.annotation("example.com/before"), Some("two"));
}
