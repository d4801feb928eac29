//! Every program of `tests/programs`, run for real: misbehaving ends in the fault it should, by
//! variant; behaving gives an answer; the same request gives the same outcome and the same fuel.

use crate::support::{Program, request};
use greenroom_sandbox::{
    CallLimits, CallOutcome, CallProcessor as _, Emission, FaultKind, LogLevel, PoolUse,
    ProcessingError, Sandbox, SandboxError, SandboxOptions, StageAnswer, Want,
};
use greenroom_test_artifacts::*;

#[test]
pub(crate) fn c01_a_loop_is_out_of_fuel_at_the_same_fuel_every_time() {
    let program = Program::load(LOOP_FOREVER_COMPONENT);
    let limits = CallLimits {
        fuel: 50_000_000,
        ..CallLimits::default()
    };
    for _ in 0..2 {
        let called = program.call_within(&request(), &limits);
        assert_eq!(called.report.fuel, limits.fuel);
        assert_eq!(program.fault_of(called), FaultKind::OutOfFuel);
    }
    let limits = CallLimits { fuel: 0, ..limits };
    let called = program.call_within(&request(), &limits);
    assert_eq!(program.fault_of(called), FaultKind::OutOfFuel, "c28");
}

/// The deadline is looked at every 2 ms, and a look that sees it passed ends the call.
#[test]
fn c01_a_loop_frees_its_slot_within_the_deadline_and_two_ticks() {
    const TWO_TICKS_US: u64 = 4_000;
    let options = SandboxOptions {
        concurrent_calls: 1,
        ..SandboxOptions::default()
    };
    let sandbox = Sandbox::new(options).unwrap();
    let load = |path| sandbox.load(None, &crate::support::compiled(path)).unwrap();
    let (spins, behaves) = (load(LOOP_FOREVER_COMPONENT), load(ANNOTATE_COMPONENT));
    let limits = CallLimits {
        fuel: 10_000_000_000,
        cpu_ms: 50,
        ..CallLimits::default()
    };
    let call = request().into_call();
    // The least of a few, because other threads of this machine get between the clock and the call.
    let late_us = (0..10).map(|_| {
        let called = sandbox.call(&spins, &call, &limits, [0; 32]).unwrap();
        let kind = called.outcome.fault().map(|fault| fault.kind);
        assert_eq!(kind, Some(FaultKind::Deadline));
        called.report.cpu_us.checked_sub(50_000).unwrap()
    });
    let late_us = late_us.min().unwrap();
    assert!(late_us <= TWO_TICKS_US, "{late_us} us late");
    // The one slot there is: whoever waits for it is answered, and nothing is left behind.
    std::thread::scope(|scope| {
        scope.spawn(|| sandbox.call(&spins, &call, &limits, [0; 32]).unwrap());
        let called = sandbox.call(&behaves, &call, &limits, [0; 32]).unwrap();
        assert!(called.outcome.fault().is_none());
    });
    assert_eq!(sandbox.pool_use(), PoolUse::default());
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
pub(crate) fn c01_a_loop_over_log_is_out_of_fuel_and_its_log_is_cut() {
    let program = Program::load(LOOP_OVER_LOG_COMPONENT);
    // What the host does for a line takes longer than the guest's own work: the clock must not be first.
    let limits = CallLimits {
        cpu_ms: 60_000,
        ..CallLimits::default()
    };
    let called = program.call_within(&request(), &limits);
    assert!(called.report.log.truncated);
    assert!(called.report.log.bytes <= CallLimits::default().log_bytes);
    let again = program.call_within(&request(), &limits);
    assert_eq!(called.report.fuel, again.report.fuel);
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
pub(crate) fn c10_a_panic_is_a_trap_with_its_message_and_line() {
    let program = Program::load(PANICS_COMPONENT);
    let called = program.call(&request());
    let said = &called.report.log.lines;
    assert!(
        said.iter()
            .any(|line| line.message.contains("panics.rs:9:")),
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
pub(crate) fn c10_leaving_with_zero_is_a_trap_all_the_same() {
    let program = Program::load(EXIT_ZERO_COMPONENT);
    let called = program.call(&request());
    let message = called.outcome.fault().map(|fault| fault.message.clone());
    assert!(message.is_some_and(|text| text.contains("left by exit(0) without a result")));
    assert_eq!(program.fault_of(called), FaultKind::Trap);
}

#[test]
pub(crate) fn c04_recursion_without_end_is_a_stack_overflow() {
    let program = Program::load(DEEP_RECURSION_COMPONENT);
    let kind = program.fault_of(program.call(&request()));
    assert_eq!(kind, FaultKind::StackOverflow);
}

#[test]
pub(crate) fn c04_running_through_its_own_stack_is_a_trap_with_the_function_named() {
    let program = Program::load(UNDERFLOW_STACK_COMPONENT);
    let called = program.call(&request());
    let frames = called.outcome.fault().map(|fault| fault.backtrace.clone());
    assert!(frames.is_some_and(|frames| frames[0].function.contains("down")));
    assert_eq!(program.fault_of(called), FaultKind::Trap);
}

#[test]
pub(crate) fn c27_a_cache_over_its_limit_is_output_too_large() {
    let program = Program::load(HUGE_OUTPUT_COMPONENT);
    let of = |bytes: u64| {
        let outcome = program.call(&request().config(&bytes.to_string())).outcome;
        too_large(outcome)
    };
    assert_eq!(of(64 * 1024), None);
    let message = of(64 * 1024 + 1).expect("a byte too many");
    assert!(message.contains("at most 65536 may be"), "{message}");
}

/// 16 MiB are what a guest can make the host allocate; told by a text of the engine, which this pins.
#[test]
fn what_crosses_at_once_over_its_limit_is_output_too_large() {
    let program = Program::load(HUGE_OUTPUT_COMPONENT);
    let limits = CallLimits {
        cache_bytes: 64 << 20,
        result_bytes: 64 << 20,
        ..CallLimits::default()
    };
    let of = |bytes: u64| {
        let request = request().config(&bytes.to_string());
        too_large(program.call_within(&request, &limits).outcome)
    };
    assert_eq!(of((16 << 20) - 1024), None);
    assert!(of((16 << 20) + 1).is_some());
}

/// The message of the fault `output-too-large`; none for an answer.
fn too_large(outcome: CallOutcome<StageAnswer>) -> Option<String> {
    match outcome {
        CallOutcome::Answered(_) => None,
        CallOutcome::Faulted(fault) => {
            assert_eq!(fault.kind, FaultKind::OutputTooLarge, "{fault:?}");
            Some(fault.message)
        }
    }
}

#[test]
pub(crate) fn c08_an_emitted_entity_and_a_whole_result_have_their_limits() {
    let program = Program::load(HUGE_ENTITY_COMPONENT);
    // Around the padding of each entity.
    let around = "{\"padding\":\"\"}".len();
    let of = |count: usize, bytes: usize| {
        let config = format!("{count} {}", bytes - around);
        too_large(program.call(&request().config(&config)).outcome)
    };
    assert_eq!(of(1, 4 << 20), None);
    let message = of(1, (4 << 20) + 1).expect("an entity too large");
    assert!(message.contains("4194305 bytes"), "{message}");
    assert_eq!(of(2, 4 << 20), None, "8 MiB together");
    assert_eq!(of(4, 2 << 20), None);
    let message = of(3, 2_796_203).expect("8 MiB and a byte together");
    assert!(message.contains("more than 8388608 bytes"), "{message}");
}

#[test]
pub(crate) fn c08_ten_thousand_emissions_and_not_one_more() {
    let program = Program::load(TOO_MANY_EMISSIONS_COMPONENT);
    let of = |count: &str| too_large(program.call(&request().config(count)).outcome);
    assert_eq!(of("10000"), None);
    for count in ["10001", "100000"] {
        let message = of(count).expect("too many");
        assert!(message.contains("at most 10000 may be"), "{message}");
    }
}

#[test]
pub(crate) fn c09_a_flood_of_lines_is_cut_and_paid_for_and_no_fault() {
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
pub(crate) fn c15_another_kind_namespace_or_name_is_invalid_output() {
    let program = Program::load(LIE_ABOUT_REF_COMPONENT);
    for (what, becomes) in [
        ("kind", "api:default/web"),
        ("namespace", "component:other/web"),
        ("name", "component:default/other"),
    ] {
        let called = program.call(&request().config(what));
        let fault = called.outcome.fault().expect("it lies").clone();
        assert_eq!(fault.kind, FaultKind::InvalidOutput, "{what}");
        let told = format!("returned `{becomes}` for `component:default/web`");
        assert!(fault.message.contains(&told), "{}", fault.message);
    }
}

#[test]
pub(crate) fn c15_another_letter_case_is_accepted_and_the_ref_stays() {
    let program = Program::load(CHANGE_CASE_COMPONENT);
    let entity = program.entity(program.call(&request()));
    assert_eq!(entity.kind(), "COMPONENT");
    assert_eq!(entity.entity_ref().as_str(), "component:default/web");
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
pub(crate) fn c11_sleeping_an_hour_and_reading_input_return_at_once() {
    let program = Program::load(RANDOM_AND_TIME_COMPONENT);
    let called = program.call(&request());
    assert!(called.report.wall_us < 5_000_000, "no thread is held");
    // Time 0, no waiting, no input, no arguments, no variables (c12).
    let said = program.said(called);
    assert!(said.ends_with(" 0 0 0 0 0"), "{said}");
}

#[test]
fn c13_randomness_is_the_same_for_the_same_request_and_not_without_the_seed() {
    let program = Program::load(RANDOM_AND_TIME_COMPONENT);
    let said = |seed: u8| program.said(program.call(&request().seed(seed)));
    assert_eq!(said(1), said(1));
    assert_ne!(said(1), said(2));
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

/// Where chains end is decided where emissions are placed; one call just emits.
#[test]
pub(crate) fn emit_chain() {
    let program = Program::load(EMIT_CHAIN_COMPONENT);
    let emissions = program.processed(program.call(&request())).emissions;
    let [Emission::Entity { value, .. }] = emissions.as_slice() else {
        panic!("{emissions:?}");
    };
    assert_eq!(value["metadata"]["name"], "endless-1");
}

#[test]
pub(crate) fn emit_children() {
    let program = Program::load(EMIT_CHILDREN_COMPONENT);
    let of = |children: &str| {
        let called = program.call(&request().annotated("example.com/children", children));
        program.processed(called).emissions
    };
    assert!(of("0").is_empty());
    let emissions = of("2");
    let [_, Emission::Entity { value, .. }] = emissions.as_slice() else {
        panic!("{emissions:?}");
    };
    assert_eq!(value["metadata"]["name"], "web.1");
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

/// What a script can ask for is shown by the scenarios that ask for it; without one nothing happens.
#[test]
pub(crate) fn follow_script() {
    let program = Program::load(FOLLOW_SCRIPT_COMPONENT);
    let processed = program.processed(program.call(&request()));
    assert!(processed.entity.is_none() && processed.emissions.is_empty());
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
