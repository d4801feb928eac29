//! c07: a guest that lies to the canonical ABI. Whatever it returns, the host neither panics nor fails nor allocates more than
//! its limit: the call is answered, or ends with a fault that says why.

use greenroom_sandbox::{CallLimits, Called, FaultKind, StageAnswer};
use greenroom_test_artifacts::RAW_RESULT_COMPONENT;

use crate::support::{Program, request};

/// Where the program puts what it is told to return.
const BASE: u32 = 0x40000;
const GENERATED: u64 = 10_000;

/// A `result<process-answer, processing-error>` as the ABI lays it out, and what its pointers point at.
#[derive(Clone)]
struct Area(Vec<u8>);

// Offsets of the words of `ok(done(processed))`.
const OK: usize = 0;
const DONE: usize = 4;
const ENTITY: usize = 8;
const EMISSIONS: usize = 20;
const CACHE: usize = 28;
const DIAGNOSTICS: usize = 40;
const END: usize = 56;

impl Area {
    /// Nothing changed, nothing emitted: all zero, but lists that point somewhere.
    fn nothing() -> Area {
        let mut area = Area(vec![0; END]);
        for list in [EMISSIONS, DIAGNOSTICS, 48] {
            area = area.word(list, BASE + 64);
        }
        area
    }

    fn word(mut self, at: usize, value: u32) -> Area {
        if self.0.len() < at + 4 {
            self.0.resize(at + 4, 0);
        }
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    fn list(self, at: usize, pointer: u32, length: u32) -> Area {
        self.word(at, pointer).word(at + 4, length)
    }

    /// `some` text at an option.
    fn some(self, at: usize, pointer: u32, length: u32) -> Area {
        self.word(at, 1).list(at + 4, pointer, length)
    }

    fn bytes(mut self, at: usize, bytes: &[u8]) -> Area {
        if self.0.len() < at + bytes.len() {
            self.0.resize(at + bytes.len(), 0);
        }
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn spelled(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn returned(program: &Program, config: &str) -> Called<StageAnswer> {
    let limits = CallLimits {
        config_bytes: 1 << 20,
        ..CallLimits::default()
    };
    program.call_within(&request().config(config), &limits)
}

#[test]
pub(crate) fn raw_result() {
    let program = Program::load(RAW_RESULT_COMPONENT);
    let kind = |area: &Area| {
        let outcome = returned(&program, &area.spelled()).outcome;
        outcome
            .fault()
            .map(|fault| (fault.kind, fault.message.clone()))
    };
    assert_eq!(kind(&Area::nothing()), None, "the layout is right");

    let trap = |what: &str, area: Area| {
        let (kind, message) = kind(&area).expect("it lies");
        assert_eq!(kind, FaultKind::Trap, "c07: {what}: {message}");
        assert!(!message.is_empty(), "c07: {what}");
    };
    trap(
        "list of 2^32-1 outside",
        Area::nothing().list(EMISSIONS, 0xffff_0000, 0x7fff_ffff),
    );
    trap(
        "text outside",
        Area::nothing().some(ENTITY, 0xffff_fff0, 100),
    );
    trap(
        "text that ends outside",
        Area::nothing().some(CACHE, BASE, 0x7fff_ffff),
    );
    trap(
        "unaligned list",
        Area::nothing().list(EMISSIONS, BASE + 1, 1),
    );
    trap("no such case of the result", Area::nothing().word(OK, 7));
    trap("no such case of the answer", Area::nothing().word(DONE, 9));
    trap("no such case of an option", Area::nothing().word(ENTITY, 2));
    let level = Area::nothing()
        .list(DIAGNOSTICS, BASE + 64, 1)
        .bytes(64, &[99]);
    trap("no such level", level);
    let emission = Area::nothing()
        .list(EMISSIONS, BASE + 64, 1)
        .bytes(64, &[200]);
    trap("no such emission", emission);

    let not_text = Area::nothing()
        .some(ENTITY, BASE + 64, 2)
        .bytes(64, &[0xff, 0xfe]);
    let (kind_, message) = kind(&not_text).expect("it is not UTF-8");
    assert_eq!(kind_, FaultKind::InvalidOutput, "c07: {message}");
    let surrogate = Area::nothing()
        .some(CACHE, BASE + 64, 3)
        .bytes(64, &[0xed, 0xa0, 0x80]);
    assert_eq!(
        kind(&surrogate).expect("a surrogate is not UTF-8").0,
        FaultKind::InvalidOutput
    );

    for length in [0x0fff_ffff, 0x7fff_ffff, u32::MAX] {
        let (kind, message) =
            kind(&Area::nothing().list(EMISSIONS, BASE, length)).expect("too long");
        assert!(
            matches!(kind, FaultKind::Trap | FaultKind::OutputTooLarge),
            "c07: {length}: {kind}: {message}"
        );
    }
    for address in ["ffffffff", "fffffffc", "40001", "7fffffff", "ffff0000"] {
        let outcome = returned(&program, &format!("@{address}")).outcome;
        assert_eq!(
            outcome.fault().map(|fault| fault.kind),
            Some(FaultKind::Trap),
            "c07: result at {address}"
        );
    }
}

/// A diagnostic is one sentence for a person: 4 KiB of it, and not a byte more.
#[test]
fn c08_a_diagnostic_over_its_size_is_too_large() {
    let program = Program::load(RAW_RESULT_COMPONENT);
    let of = |bytes: u32| {
        let area = Area::nothing()
            .list(DIAGNOSTICS, BASE + 64, 1)
            .bytes(64, &[1])
            .list(68, BASE + 256, bytes)
            .bytes(256, &vec![b'x'; bytes as usize]);
        returned(&program, &area.spelled()).outcome.fault().cloned()
    };
    assert_eq!(of(4096), None);
    let fault = of(4097).expect("a byte more");
    assert_eq!(fault.kind, FaultKind::OutputTooLarge, "{}", fault.message);
}

#[test]
fn c07_a_thousand_texts_that_are_one_do_not_pass_the_limit() {
    let program = Program::load(RAW_RESULT_COMPONENT);
    // Refresh keys (case 3), each the same 32 639 bytes: 33 MB to copy out of 64 KiB. All bytes of these numbers are ASCII, so
    // that the page is a text.
    let (count, each) = (1_024_u32, 60);
    let mut area = Area::nothing().list(EMISSIONS, BASE + 64, count);
    for index in 0..count as usize {
        area = area
            .bytes(64 + index * each, &[3])
            .list(64 + index * each + 4, BASE, 0x7f7f);
    }
    let before = rss_bytes();
    let called = returned(&program, &area.spelled());
    assert_eq!(program.fault_of(called), FaultKind::OutputTooLarge, "c07");
    assert!(
        rss_bytes().saturating_sub(before) < 48 << 20,
        "c07: the host copied it all"
    );
}

#[test]
fn c07_generated_lies_are_answered_or_end_with_a_fault() {
    let program = Program::load(RAW_RESULT_COMPONENT);
    let text =
        br#"{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"web"}}"#;
    let emission = Area::nothing()
        .list(EMISSIONS, BASE + 128, 2)
        .bytes(128, &[0])
        .list(132, BASE + 64, 2)
        .bytes(188, &[3])
        .list(192, BASE + 64, 2)
        .bytes(64, b"{}");
    let whole = emission
        .some(ENTITY, BASE + 300, text.len() as u32)
        .bytes(300, text);
    let (mut answered, mut faulted) = (0, 0);
    for seed in 0..GENERATED {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        let mut area = whole.clone();
        for _ in 0..=next(3) {
            let value = [
                0,
                1,
                0x7fff_ffff,
                u32::MAX,
                BASE,
                BASE + 300,
                3 << 16,
                1 << 20,
            ][next(8)];
            area = match next(3) {
                0 => area.word(next(END / 4) * 4, value),
                1 => area.bytes(next(383), &[value as u8]),
                _ => area.word(128 + next(30) * 4, value.wrapping_add(next(64) as u32)),
            };
        }
        match returned(&program, &area.spelled()).outcome.fault() {
            None => answered += 1,
            Some(fault) => {
                faulted += 1;
                assert!(
                    matches!(
                        fault.kind,
                        FaultKind::Trap
                            | FaultKind::InvalidOutput
                            | FaultKind::OutputTooLarge
                            | FaultKind::Rejected
                            | FaultKind::Denied
                    ),
                    "c07: seed {seed}: {fault:?}: {}",
                    area.spelled()
                );
                assert!(
                    !fault.message.is_empty() || fault.error.is_some(),
                    "c07: seed {seed}"
                );
            }
        }
    }
    assert!(
        answered > 100 && faulted > 1000,
        "{answered} answered, {faulted} faulted"
    );
}

fn rss_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
