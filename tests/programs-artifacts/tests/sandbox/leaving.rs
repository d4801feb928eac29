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
pub(crate) fn exit_one() {
    let fault = fault(EXIT_ONE_COMPONENT);
    assert_eq!(fault.kind, FaultKind::Trap, "c10");
    assert!(
        fault.message.contains("without a result"),
        "{}",
        fault.message
    );
}

#[test]
pub(crate) fn abort_now() {
    let called = Program::load(ABORT_NOW_COMPONENT).call(&request());
    let said = &called.report.log.lines;
    assert!(
        said.iter().any(|line| line.message == "giving up on `web`"),
        "{said:?}"
    );
    let fault = called.outcome.fault().expect("it aborts");
    assert_eq!(fault.kind, FaultKind::Trap, "c10");
    assert!(!fault.backtrace.is_empty());
}

#[test]
pub(crate) fn panic_in_panic() {
    let called = Program::load(PANIC_IN_PANIC_COMPONENT).call(&request());
    let said = &called.report.log.lines;
    let place = |line: &greenroom_sandbox::LogLine| line.message.contains("panic_in_panic.rs");
    assert!(
        said.iter().any(place),
        "c10: the line is in the log: {said:?}"
    );
    let fault = called.outcome.fault().expect("it panics");
    assert_eq!(fault.kind, FaultKind::Trap, "c10");
}

#[test]
pub(crate) fn spawn_thread() {
    let program = Program::load(SPAWN_THREAD_COMPONENT);
    let said = program.said(program.call(&request()));
    assert_eq!(said, "refused: Unsupported", "c11");
}

#[test]
pub(crate) fn wait_forever() {
    let program = Program::load(WAIT_FOREVER_COMPONENT);
    let called = program.call(&request());
    assert!(called.report.wall_us < 5_000_000, "c11: no thread is held");
    assert_eq!(
        program.said(called),
        "2 ready",
        "c11: what waits is ready at once"
    );
}

#[test]
pub(crate) fn handle_flood() {
    let called = Program::load(HANDLE_FLOOD_COMPONENT).call(&request());
    assert!(
        called.report.fuel < 10_000_000,
        "c12: ends long before its fuel"
    );
    let fault = called.outcome.fault().expect("handles are bounded");
    assert_eq!(fault.kind, FaultKind::Trap, "c12");
    assert!(fault.message.contains("handle"), "{}", fault.message);
}

#[test]
pub(crate) fn random_flood() {
    let fault = fault(RANDOM_FLOOD_COMPONENT);
    assert!(
        matches!(fault.kind, FaultKind::Trap | FaultKind::OutOfFuel),
        "c12: {fault:?}"
    );
    let program = Program::load(RANDOM_FLOOD_COMPONENT);
    let called = program.call(&request().config("65536"));
    assert!(called.report.fuel > 65_536 * 16, "c12: paid by the byte");
    assert_eq!(program.said(called), "65536");
}

#[test]
pub(crate) fn look_around() {
    let program = Program::load(LOOK_AROUND_COMPONENT);
    assert_eq!(program.said(program.call(&request())), "0 0 false", "c12");
}

#[test]
pub(crate) fn huge_log_line() {
    let program = Program::load(HUGE_LOG_LINE_COMPONENT);
    let called = program.call(&request().config("12"));
    assert!(
        called.outcome.fault().is_none(),
        "c09: no fault: {:?}",
        called.outcome
    );
    assert!(
        called.report.fuel > 12 << 20,
        "c09: paid by the byte, also where it is cut"
    );
    let log = called.report.log;
    assert!(
        log.truncated && log.bytes <= CallLimits::default().log_bytes,
        "c09"
    );
    assert_eq!(
        log.lines[0].level,
        LogLevel::Debug,
        "c09: the level is the call's, whatever the text says"
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
