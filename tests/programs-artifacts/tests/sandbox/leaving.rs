//! Ways out of a call that are not an answer, and ways to wait in one: exits, aborts, threads, pollables, handles.

use greenroom_sandbox::{CallLimits, FaultKind, GuestFault, LogLevel};
use greenroom_test_artifacts::*;

use crate::support::{Program, request};

/// The fault of a call without configuration.
fn fault(path: &str) -> GuestFault {
    let called = Program::load(path).call(&request());
    called.outcome.fault().expect("it does not answer").clone()
}

#[test]
pub(crate) fn c10_leaving_with_one_is_a_trap_without_a_result() {
    let fault = fault(EXIT_ONE_COMPONENT);
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(
        fault.message.contains("left by exit(1) without a result"),
        "{}",
        fault.message
    );
}

#[test]
pub(crate) fn c10_an_abort_is_a_trap_and_its_last_words_are_kept() {
    let called = Program::load(ABORT_NOW_COMPONENT).call(&request());
    let said = &called.report.log.lines;
    assert!(
        said.iter().any(|line| line.message == "giving up on `web`"),
        "{said:?}"
    );
    let fault = called.outcome.fault().expect("it aborts");
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(!fault.backtrace.is_empty());
}

#[test]
pub(crate) fn c10_a_panic_inside_a_panic_is_a_trap_with_its_line() {
    let called = Program::load(PANIC_IN_PANIC_COMPONENT).call(&request());
    let said = &called.report.log.lines;
    let place = |line: &greenroom_sandbox::LogLine| line.message.contains("panic_in_panic.rs");
    assert!(said.iter().any(place), "the line is in the log: {said:?}");
    let fault = called.outcome.fault().expect("it panics");
    assert_eq!(fault.kind, FaultKind::Trap);
}

#[test]
pub(crate) fn c11_a_thread_is_refused() {
    let program = Program::load(SPAWN_THREAD_COMPONENT);
    let said = program.said(program.call(&request()));
    assert_eq!(said, "refused: Unsupported");
}

#[test]
pub(crate) fn c11_a_pollable_that_never_fires_holds_no_thread() {
    let program = Program::load(WAIT_FOREVER_COMPONENT);
    let called = program.call(&request());
    assert!(called.report.wall_us < 5_000_000, "no thread is held");
    assert_eq!(
        program.said(called),
        "2 ready",
        "what waits is ready at once"
    );
}

#[test]
pub(crate) fn c12_handles_are_bounded() {
    let called = Program::load(HANDLE_FLOOD_COMPONENT).call(&request());
    assert!(called.report.fuel < 10_000_000, "ends long before its fuel");
    let fault = called.outcome.fault().expect("handles are bounded");
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("handle"), "{}", fault.message);
}

#[test]
pub(crate) fn c12_randomness_is_bounded_and_paid_by_the_byte() {
    let fault = fault(RANDOM_FLOOD_COMPONENT);
    assert!(
        matches!(fault.kind, FaultKind::Trap | FaultKind::OutOfFuel),
        "{fault:?}"
    );
    let program = Program::load(RANDOM_FLOOD_COMPONENT);
    let called = program.call(&request().config("65536"));
    assert!(called.report.fuel > 65_536 * 16, "paid by the byte");
    assert_eq!(program.said(called), "65536");
}

#[test]
pub(crate) fn c12_there_are_no_arguments_no_variables_and_no_terminal() {
    let program = Program::load(LOOK_AROUND_COMPONENT);
    assert_eq!(program.said(program.call(&request())), "0 0 false");
}

#[test]
pub(crate) fn c09_a_huge_line_is_cut_and_a_forged_level_is_text() {
    let program = Program::load(HUGE_LOG_LINE_COMPONENT);
    let called = program.call(&request().config("12"));
    assert!(
        called.outcome.fault().is_none(),
        "no fault: {:?}",
        called.outcome
    );
    assert!(
        called.report.fuel > 12 << 20,
        "paid by the byte, also where it is cut"
    );
    let log = called.report.log;
    assert!(
        log.truncated && log.bytes <= CallLimits::default().log_bytes,
        "{} bytes",
        log.bytes
    );
    assert_eq!(
        log.lines[0].level,
        LogLevel::Debug,
        "the level is the call's, whatever the text says"
    );
    assert!(
        log.lines[0].message.contains("\\u{1b}[31m\\u{202e}"),
        "{:?}",
        log.lines[0]
    );
    assert_eq!(
        log.lines[0].fields,
        [("level".to_owned(), "error".to_owned())]
    );
    // A line is one crossing, and what may cross at once has a limit of its own.
    let called = program.call(&request().config("24"));
    assert_eq!(program.fault_of(called), FaultKind::OutputTooLarge);
}
