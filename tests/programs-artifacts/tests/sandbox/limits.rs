//! Limits at their edge: exactly the limit, one more, sums over several, single instructions that take long, and the clock.

use std::time::Duration;

use greenroom_model::LocationRef;
use greenroom_sandbox::{
    CallLimits, CallOutcome, FaultKind, LocationRequest, StageAnswer, StageCall,
};
use greenroom_test_artifacts::*;

use crate::support::{Program, bytes_of, request, with_module};

const PAGE: u64 = 65_536;

#[test]
pub(crate) fn indirect_recursion() {
    let program = Program::load(INDIRECT_RECURSION_COMPONENT);
    let limits = CallLimits {
        fuel: 20_000_000,
        ..CallLimits::default()
    };
    for _ in 0..2 {
        let called = program.call_within(&request(), &limits);
        assert_eq!(called.report.fuel, limits.fuel, "c01: the same fuel");
        assert_eq!(program.fault_of(called), FaultKind::OutOfFuel, "c01");
    }
}

#[test]
pub(crate) fn bulk_memory() {
    let program = Program::load(BULK_MEMORY_COMPONENT);
    let limits = CallLimits {
        memory_bytes: 192 << 20,
        fuel: 1_000_000_000,
        ..CallLimits::default()
    };
    for work in ["fill", "copy"] {
        let request = request().config(work);
        let called = program.call_within(&request, &limits);
        assert_eq!(
            program.fault_of(called),
            FaultKind::OutOfFuel,
            "c02: {work}"
        );

        let limits = CallLimits {
            fuel: 10_000_000_000,
            cpu_ms: 200,
            ..limits
        };
        // What an operation takes that was running at the deadline, and giving 130 MiB back: the least of a few, because
        // other threads of this machine get in between.
        let overshoot_us = (0..5).map(|_| {
            let called = program.call_within(&request, &limits);
            let cpu_us = called.report.cpu_us;
            assert_eq!(program.fault_of(called), FaultKind::Deadline, "c02: {work}");
            cpu_us - 200_000
        });
        let overshoot_us = overshoot_us.min();
        assert!(
            overshoot_us.is_some_and(|us| us <= 20_000),
            "c02: {work}: {overshoot_us:?} us late"
        );
    }
}

#[test]
pub(crate) fn grow_pages() {
    let program = Program::load(GROW_PAGES_COMPONENT);
    let limits = CallLimits {
        memory_bytes: 100 * PAGE,
        ..CallLimits::default()
    };
    let called = program.call_within(&request().config("100"), &limits);
    assert_eq!(called.report.peak_memory_bytes, 100 * PAGE);
    assert_eq!(program.said(called), "true 100", "c03: exactly the limit");
    let called = program.call_within(&request().config("101"), &limits);
    assert!(called.report.peak_memory_bytes < 100 * PAGE);
    assert!(
        program.said(called).starts_with("false"),
        "c03: growing is refused, and the guest lives"
    );
    let called = program.call_within(&request().config("101!"), &limits);
    let message = called.outcome.fault().map(|fault| fault.message.clone());
    assert!(message.is_some_and(|text| text.contains("the limit is 6553600")));
    assert_eq!(
        program.fault_of(called),
        FaultKind::MemoryLimit,
        "c03: a death after that is not a trap"
    );
}

#[test]
fn c03_three_memories_count_as_their_sum() {
    let base = bytes_of(ANNOTATE_COMPONENT);
    let limits = CallLimits {
        memory_bytes: 100 * PAGE,
        ..CallLimits::default()
    };
    let of = |pages: u32| {
        let program = Program::of(&with_module(&base, &format!("(memory {pages})"), 2));
        program.call_within(&request(), &limits)
    };
    let called = of(40);
    assert_eq!(called.report.peak_memory_bytes, (80 + 4) * PAGE);
    assert!(called.outcome.fault().is_none(), "{called:?}");
    let called = of(49);
    assert_eq!(
        called.outcome.fault().map(|fault| fault.kind),
        Some(FaultKind::MemoryLimit)
    );
}

#[test]
fn c03_tables_count_as_their_sum() {
    let base = bytes_of(ANNOTATE_COMPONENT);
    let of = |elements: u32| {
        let program = Program::of(&with_module(
            &base,
            &format!("(table {elements} funcref)"),
            3,
        ));
        let called = program.call(&request());
        called
            .outcome
            .fault()
            .map(|fault| (fault.kind, fault.message.clone()))
    };
    assert_eq!(of(33_000), None);
    let (kind, message) = of(34_000).expect("102 000 elements are too many");
    assert_eq!(kind, FaultKind::MemoryLimit);
    assert!(
        message.contains("table elements; the limit is 100000"),
        "{message}"
    );
}

#[test]
pub(crate) fn allocate_all() {
    let program = Program::load(ALLOCATE_ALL_COMPONENT);
    let called = program.call(&request());
    assert!(called.report.peak_memory_bytes < 1 << 20);
    assert_eq!(program.fault_of(called), FaultKind::MemoryLimit, "c04");
}

#[test]
pub(crate) fn million_relations() {
    let program = Program::load(MILLION_RELATIONS_COMPONENT);
    let limits = CallLimits {
        memory_bytes: 256 << 20,
        fuel: 10_000_000_000,
        ..CallLimits::default()
    };
    let called = program.call_within(&request(), &limits);
    assert_eq!(program.fault_of(called), FaultKind::OutputTooLarge, "c08");
}

#[test]
pub(crate) fn huge_carry() {
    let program = Program::load(HUGE_CARRY_COMPONENT);
    let of = |bytes: u64, given: Option<String>| {
        let StageCall::PreProcess(request) = request().config(&bytes.to_string()).into_call()
        else {
            unreachable!("that is what it makes");
        };
        let call = StageCall::ReadLocation(LocationRequest {
            request,
            target: LocationRef::new("url", "https://example.com/"),
            presence: greenroom_model::Presence::Required,
            carry: given,
        });
        program.make(&call, &CallLimits::default()).outcome
    };
    let limit = CallLimits::default().carry_bytes;
    let CallOutcome::Answered(StageAnswer::Pending { carry, .. }) = of(limit, None) else {
        panic!("a carry of exactly the limit is allowed");
    };
    assert_eq!(carry.map(|text| text.len() as u64), Some(limit));
    let kind = |outcome: CallOutcome<StageAnswer>| outcome.fault().map(|fault| fault.kind);
    assert_eq!(
        kind(of(limit + 1, None)),
        Some(FaultKind::OutputTooLarge),
        "c20"
    );
    let given = "x".repeat(usize::try_from(limit).expect("it is small") + 1);
    assert_eq!(
        kind(of(0, Some(given))),
        Some(FaultKind::OutputTooLarge),
        "refused before the call"
    );
}

#[test]
fn c27_input_over_its_limit_is_refused_before_the_call() {
    let program = Program::load(ANNOTATE_COMPONENT);
    let config = format!("\"{}\"", "x".repeat(64 * 1024 - 1));
    let called = program.call(&request().config(&config));
    assert_eq!(called.report.fuel, 0);
    assert_eq!(program.fault_of(called), FaultKind::OutputTooLarge);
    let limits = CallLimits {
        entity_bytes: 100,
        ..CallLimits::default()
    };
    let called = program.call_within(&request(), &limits);
    assert_eq!(called.report.fuel, 0);
    assert_eq!(program.fault_of(called), FaultKind::OutputTooLarge);
}

#[test]
fn the_wall_clock_is_a_backstop_behind_cpu_time() {
    let program = Program::load(LOOP_FOREVER_COMPONENT);
    let limits = CallLimits {
        fuel: 10_000_000_000,
        wall_ms: 20,
        ..CallLimits::default()
    };
    let called = program.call_within(&request(), &limits);
    assert!(called.report.wall_us >= 20_000);
    assert!(Duration::from_micros(called.report.wall_us) < Duration::from_secs(5));
    assert_eq!(program.fault_of(called), FaultKind::Deadline);
}
