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
pub(crate) fn c01_functions_that_call_each_other_are_out_of_fuel_at_the_same_fuel() {
    let program = Program::load(INDIRECT_RECURSION_COMPONENT);
    let limits = CallLimits {
        fuel: 20_000_000,
        ..CallLimits::default()
    };
    for _ in 0..2 {
        let called = program.call_within(&request(), &limits);
        assert_eq!(called.report.fuel, limits.fuel);
        assert_eq!(program.fault_of(called), FaultKind::OutOfFuel);
    }
}

#[test]
pub(crate) fn c02_bulk_operations_are_out_of_fuel_and_late_by_20_ms_at_most() {
    let program = Program::load(BULK_MEMORY_COMPONENT);
    let limits = CallLimits {
        memory_bytes: 192 << 20,
        fuel: 1_000_000_000,
        ..CallLimits::default()
    };
    for work in ["fill", "copy"] {
        let request = request().config(work);
        let called = program.call_within(&request, &limits);
        assert_eq!(program.fault_of(called), FaultKind::OutOfFuel, "{work}");

        let limits = CallLimits {
            fuel: 10_000_000_000,
            cpu_ms: 200,
            ..limits
        };
        // What an operation takes that was running at the deadline, and giving 130 MiB back: the least of some, because
        // other threads of this machine get in between.
        let overshoot_us = (0..20).map(|_| {
            let called = program.call_within(&request, &limits);
            let cpu_us = called.report.cpu_us;
            assert_eq!(program.fault_of(called), FaultKind::Deadline, "{work}");
            cpu_us - 200_000
        });
        let mut least = u64::MAX;
        let late = overshoot_us.inspect(|us| least = least.min(*us));
        let in_time = late.into_iter().any(|us| us <= 20_000);
        assert!(in_time, "{work}: {least} us late at best");
    }
}

#[test]
pub(crate) fn c03_growing_to_the_limit_is_allowed_and_one_page_more_is_not() {
    let program = Program::load(GROW_PAGES_COMPONENT);
    let limits = CallLimits {
        memory_bytes: 100 * PAGE,
        ..CallLimits::default()
    };
    let called = program.call_within(&request().config("100"), &limits);
    assert_eq!(called.report.peak_memory_bytes, 100 * PAGE);
    assert_eq!(program.said(called), "true 100", "exactly the limit");
    let called = program.call_within(&request().config("101"), &limits);
    assert!(called.report.peak_memory_bytes < 100 * PAGE);
    assert!(
        program.said(called).starts_with("false"),
        "growing is refused, and the guest lives"
    );
    let called = program.call_within(&request().config("101!"), &limits);
    let message = called.outcome.fault().map(|fault| fault.message.clone());
    assert!(message.is_some_and(|text| text.contains("the limit is 6553600")));
    assert_eq!(
        program.fault_of(called),
        FaultKind::MemoryLimit,
        "a death after that is not a trap"
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

/// A start function that asks for elements until it is refused, and dies of that only where it is told to.
#[test]
fn c03_a_table_grows_to_the_limit_and_one_element_more_is_refused() {
    let base = bytes_of(ANNOTATE_COMPONENT);
    let of = |elements: u32, then: &str| {
        let module = format!(
            "(table $t 0 funcref) (func $s (if (i32.lt_s (table.grow $t (ref.null func) (i32.const {elements})) \
             (i32.const 0)) (then {then}))) (start $s)"
        );
        let program = Program::of(&with_module(&base, &module, 1));
        let called = program.call(&request());
        called.outcome.fault().map(|fault| fault.kind)
    };
    // The program itself has a few elements.
    assert_eq!(of(99_000, "unreachable"), None);
    assert_eq!(
        of(100_001, "nop"),
        None,
        "growing is refused, and the guest lives"
    );
    assert_eq!(of(100_001, "unreachable"), Some(FaultKind::MemoryLimit));
}

#[test]
pub(crate) fn c04_an_allocation_of_everything_is_memory_limit() {
    let program = Program::load(ALLOCATE_ALL_COMPONENT);
    let called = program.call(&request());
    assert!(called.report.peak_memory_bytes < 1 << 20);
    assert_eq!(program.fault_of(called), FaultKind::MemoryLimit);
}

#[test]
pub(crate) fn c08_a_million_relations_are_output_too_large() {
    let program = Program::load(MILLION_RELATIONS_COMPONENT);
    let limits = CallLimits {
        memory_bytes: 256 << 20,
        fuel: 10_000_000_000,
        cpu_ms: 20_000,
        ..CallLimits::default()
    };
    let called = program.call_within(&request(), &limits);
    assert_eq!(program.fault_of(called), FaultKind::OutputTooLarge);
}

#[test]
pub(crate) fn c20_a_carry_over_its_limit_is_output_too_large() {
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
    assert_eq!(kind(of(limit + 1, None)), Some(FaultKind::OutputTooLarge));
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
}

/// 4 MiB of entity go in; not a byte more does, and not a byte more comes out.
#[test]
fn y17_an_entity_has_its_limit_in_and_out_of_a_stage() {
    let wants = |program: &Program, bytes: usize| program.call(&request().entity_of(bytes));
    let adds = Program::load(ANNOTATE_COMPONENT);
    let called = wants(&adds, 4 << 20);
    assert!(called.report.fuel > 0, "it was called");
    let fault = called.outcome.fault().expect("what it returns is larger");
    assert_eq!(fault.kind, FaultKind::OutputTooLarge);
    assert!(
        fault.message.contains("entity returned"),
        "{}",
        fault.message
    );

    let leaves = Program::load(CACHE_ECHO_COMPONENT);
    assert!(wants(&leaves, 4 << 20).outcome.fault().is_none());
    let called = wants(&leaves, (4 << 20) + 1);
    assert_eq!(called.report.fuel, 0, "refused before the call");
    let fault = called
        .outcome
        .fault()
        .expect("what it is given is too large");
    assert_eq!(fault.kind, FaultKind::OutputTooLarge);
    assert!(fault.message.contains("4194305 bytes"), "{}", fault.message);
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
