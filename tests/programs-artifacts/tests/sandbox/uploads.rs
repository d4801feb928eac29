//! Section A of the hostile inputs, as far as one component and one compiler go: what is refused,
//! why, and that the author is told what to do. Nothing here may panic.

use crate::support::{Program, bytes_of, compiled};
use greenroom_sandbox::{
    CallLimits, CallOutcome, CompileError, CompileLimits, FaultKind, Rejection, Track, compile,
};
use greenroom_test_artifacts::splice::with_export;
use greenroom_test_artifacts::{ANNOTATE_COMPONENT, LOOP_AT_START_COMPONENT};

fn rejection(bytes: &[u8]) -> Rejection {
    match compile(bytes, &CompileLimits::default()) {
        Err(CompileError::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the test's own text is right")
}

/// A component around the core module `(module ...)` given by its inside.
fn around(module: &str) -> Vec<u8> {
    wat(&format!("(component (core module {module}))"))
}

fn over_limit(bytes: &[u8], of: &str) {
    match rejection(bytes) {
        Rejection::OverLimit {
            what,
            figure,
            limit,
        } => {
            assert_eq!(what, of);
            assert!(figure > limit);
        }
        other => panic!("{other:?} instead of too many {of}"),
    }
}

#[test]
fn a02_core_modules_are_told_how_to_become_components() {
    let message = rejection(&wat("(module)")).to_string();
    assert!(
        message.contains("build for wasm32-wasip2 or wrap it"),
        "{message}"
    );
}

#[test]
fn a03_our_own_artifacts_are_refused_as_uploads() {
    let artifact = compiled(ANNOTATE_COMPONENT).to_bytes();
    assert_eq!(rejection(&artifact), Rejection::Unknown);
    let code = artifact.windows(4).position(|start| start == b"\x7fELF");
    let code = &artifact[code.expect("compiled code is an ELF file")..];
    assert_eq!(rejection(code), Rejection::Precompiled);
}

#[test]
fn a05_cut_and_flipped_components_are_rejected_or_ready() {
    let bytes = bytes_of(ANNOTATE_COMPONENT);
    // Debug sections are most of the file and custom: cut and flip the part that is code.
    let step = bytes.len() / 200;
    for cut in (0..bytes.len()).step_by(step) {
        assert!(
            compile(&bytes[..cut], &CompileLimits::default()).is_err(),
            "cut at {cut}"
        );
    }
    for place in (8..bytes.len().min(60_000)).step_by(1999) {
        let mut changed = bytes.clone();
        changed[place] ^= 0x55;
        if let Err(CompileError::Failed(error)) = compile(&changed, &CompileLimits::default()) {
            panic!("byte {place}: {error}");
        }
    }
}

/// The component with a custom section after it, so that it has that many bytes.
fn padded(component: &[u8], bytes: usize) -> Vec<u8> {
    let mut padded = component.to_vec();
    let content = bytes - component.len() - 6;
    padded.push(0);
    padded.extend([0, 7, 14, 21].map(|shift| (content >> shift & 0x7f) as u8 | 0x80));
    padded.push((content >> 28) as u8);
    padded.extend([1, b'x']);
    padded.resize(bytes, 0);
    padded
}

#[test]
fn a06_a_component_over_its_limit_is_rejected_with_figure_and_limit() {
    let (component, most) = (bytes_of(ANNOTATE_COMPONENT), 32 << 20);
    let too_large = rejection(&padded(&component, most + 1));
    let expected = Rejection::TooLarge {
        bytes: most + 1,
        limit: most,
    };
    assert_eq!(too_large, expected);
    let whole = compile(&padded(&component, most), &CompileLimits::default());
    assert!(whole.is_ok(), "exactly the limit is allowed");
}

#[test]
fn a06_a_component_over_its_size_is_rejected() {
    let limit = CompileLimits::default().component_bytes;
    let mut large = b"\0asm\x0d\0\x01\0".to_vec();
    large.resize(limit + 1, 0);
    let bytes = large.len();
    assert_eq!(rejection(&large), Rejection::TooLarge { bytes, limit });
    large.pop();
    assert!(!matches!(rejection(&large), Rejection::TooLarge { .. }));
}

#[test]
fn a08_compile_bombs_are_rejected_before_compiling() {
    over_limit(
        &around(&format!("(func (local{}))", " i32".repeat(50_000))),
        "locals in one function",
    );
    over_limit(&around(&"(func)".repeat(50_001)), "functions");
    let loops = format!("(func {}{})", "loop ".repeat(11_000), "end ".repeat(11_000));
    over_limit(&around(&loops), "levels of blocks in one function");
    let table = format!(
        "(func (block (br_table{} (i32.const 0))))",
        " 0".repeat(100_000)
    );
    over_limit(&around(&table), "branch targets in one function");
    over_limit(
        &around(&format!("(func {})", "nop ".repeat(600_000))),
        "bytes in one function",
    );
    over_limit(&around(&"(type (func))".repeat(50_001)), "types");
    let segments = "(data \"\")".repeat(30_001);
    over_limit(&around(&segments), "data and element segments");
}

#[test]
fn a11_imports_that_are_not_offered_are_named_with_those_that_are() {
    for import in [
        "wasi:sockets/tcp@0.2.6",
        "wasi:filesystem/types@0.2.6",
        "wasi:http/outgoing-handler@0.2.6",
        "acme:thing/thing@1.0.0",
        "greenroom:processor/log@0.9.0",
    ] {
        let bytes = wat(&format!("(component (import \"{import}\" (instance)))"));
        let Rejection::Import {
            import: named,
            offered,
        } = rejection(&bytes)
        else {
            panic!("{import} was not refused as an import");
        };
        assert_eq!(named, import);
        assert!(offered.contains("greenroom:processor/log@0.1"));
    }
}

#[test]
fn a12_missing_or_foreign_exports_are_named() {
    let message = rejection(&wat("(component)")).to_string();
    assert!(
        message.contains("does not export `greenroom:processor/processor@0.1.0`"),
        "{message}"
    );
    let other = wat(
        "(component (instance $i) (export \"greenroom:processor/processor@0.9.0\" (instance $i)))",
    );
    let message = rejection(&other).to_string();
    assert!(
        message.contains("but `greenroom:processor/processor@0.9.0`"),
        "{message}"
    );
    let empty = wat(
        "(component (instance $i) (export \"greenroom:processor/processor@0.1.0\" (instance $i)))",
    );
    assert!(matches!(rejection(&empty), Rejection::Contract(_)));
}

/// A component whose processor has one function, of that type.
fn with_function(name: &str, function: &str, core: &str) -> Vec<u8> {
    wat(&format!(
        "(component
            (core module $m (memory (export \"memory\") 1) (func (export \"f\") {core}))
            (core instance $i (instantiate $m))
            (func $f {function} (canon lift (core func $i \"f\") (memory (core memory $i \"memory\"))))
            (instance $p (export \"{name}\" (func $f)))
            (export \"greenroom:processor/processor@0.1.0\" (instance $p)))"
    ))
}

#[test]
fn a12_a_wrong_signature_is_printed_beside_the_right_one() {
    let wrong = with_function("describe", "(result u32)", "(result i32) i32.const 0");
    let message = rejection(&wrong).to_string();
    assert!(
        message.contains("it has `describe: func() -> u32`"),
        "{message}"
    );
    assert!(
        message.contains("must be `describe: func() -> descriptor` of wit/v0.1"),
        "{message}"
    );
    let missing = with_function("describes", "(result u32)", "(result i32) i32.const 0");
    let message = rejection(&missing).to_string();
    assert!(
        message.contains("has no function `describe: func() -> descriptor`"),
        "{message}"
    );
}

#[test]
fn a12_of_two_tracks_the_one_that_is_spoken_is_used() {
    let other = wat("(component (instance $i)
            (export \"greenroom:processor/processor@0.1.7\" (instance $i))
            (export \"greenroom:processor/processor@0.9.0\" (instance $i)))");
    let message = rejection(&other).to_string();
    assert!(
        message.contains("has no function `describe"),
        "0.1 was looked at, 0.9 ignored: {message}"
    );
}

#[test]
fn a12_of_two_tracks_the_newest_spoken_is_used_and_recorded() {
    let base = bytes_of(ANNOTATE_COMPONENT);
    let also = |name: &str| with_export(&base, name);
    for component in [
        base.clone(),
        also("greenroom:processor/processor@0.9.0"),
        also("greenroom:processor/processor@1.0.0"),
        // A later patch of the same track is the same track.
        also("greenroom:processor/processor@0.1.7"),
    ] {
        let program = Program::of(&component);
        let described = program.describe(&CallLimits::default());
        let CallOutcome::Answered(descriptor) = described.outcome else {
            panic!("{described:?}");
        };
        assert_eq!(descriptor.track, Track::V0_1);
        let text = serde_json::to_value(&descriptor).expect("it is plain data");
        assert_eq!(text["track"], "0.1");
        let entity = program.entity(program.call(&crate::support::request()));
        assert_eq!(entity.annotation("example.com/seen"), Some("yes"));
    }
}

#[test]
fn a13_what_could_not_be_instantiated_is_rejected() {
    over_limit(&around("(memory 1025)"), "bytes of initial memory");
    over_limit(
        &around("(table 10000000 funcref)"),
        "initial table elements",
    );
    over_limit(&around(&"(memory 1)".repeat(100)), "memories");
    let instances = "(core instance (instantiate $m))".repeat(30);
    over_limit(
        &wat(&format!("(component (core module $m) {instances})")),
        "core instances",
    );
    // What counts is what an instance has, not how often it is written.
    let base = bytes_of(ANNOTATE_COMPONENT);
    let of = |module: &str, instances| crate::support::with_module(&base, module, instances);
    over_limit(&of("(memory 1)", 4), "memories in an instance");
    let tables = "(table 1 funcref) (table 1 funcref)";
    over_limit(&of(tables, 4), "tables in an instance");
    over_limit(
        &around(&"(global i32 (i32.const 0))".repeat(20_001)),
        "globals",
    );
    let imports = "(import \"a\" \"b\" (func))".repeat(20_001);
    over_limit(&around(&imports), "imports of modules");
    let nested = format!("{}{}", "(component ".repeat(20), ")".repeat(20));
    over_limit(&wat(&nested), "levels of nesting");
}

#[test]
fn a14_proposals_that_are_not_offered_are_named() {
    let exports = "(instance $i) (export \"greenroom:processor/processor@0.1.0\" (instance $i))";
    for (module, word) in [
        ("(memory i64 1)", "memory64"),
        ("(memory 1 1 shared)", "threads"),
        ("(type (struct))", "gc"),
        ("(tag)", "exceptions"),
        ("(memory 1) (memory 1)", "multi"),
        ("(memory 1 (pagesize 1))", "page size"),
    ] {
        let bytes = wat(&format!("(component (core module {module}) {exports})"));
        let Rejection::Proposal { reason, .. } = rejection(&bytes) else {
            panic!("{module}: {:?}", rejection(&bytes));
        };
        assert!(reason.contains(word), "{module}: {reason}");
    }
}

#[test]
fn a15_an_initialiser_that_never_ends_is_out_of_fuel() {
    let program = Program::load(LOOP_AT_START_COMPONENT);
    let called = program.describe(&CallLimits::default());
    match called.outcome {
        CallOutcome::Faulted(fault) => assert_eq!(fault.kind, FaultKind::OutOfFuel),
        CallOutcome::Answered(descriptor) => panic!("{descriptor:?}"),
    }
}

#[test]
fn debug_sections_are_split_off_and_a_call_takes_the_same_fuel() {
    let component = bytes_of(ANNOTATE_COMPONENT);
    let stripped = greenroom_sandbox::without_debug_sections(&component);
    assert!(
        stripped.len() * 5 < component.len(),
        "{} of {}",
        stripped.len(),
        component.len()
    );
    let artifact = compiled(ANNOTATE_COMPONENT);
    assert_eq!(
        artifact.wasm_digest(),
        greenroom_model::Digest::of(&component)
    );
    assert!(artifact.to_bytes().len() < component.len());
    println!(
        "component {}, without debug sections {}, artifact {}, of it code {}",
        component.len(),
        stripped.len(),
        artifact.to_bytes().len(),
        artifact.code_bytes()
    );
    let reports = [&component[..], &stripped].map(|component| {
        let called = Program::of(component).call(&crate::support::request());
        (
            called.outcome,
            called.report.fuel,
            called.report.peak_memory_bytes,
        )
    });
    assert_eq!(reports[0], reports[1]);
}

#[test]
fn a16_a_descriptor_is_read() {
    let called = Program::load(ANNOTATE_COMPONENT).describe(&CallLimits::default());
    let CallOutcome::Answered(descriptor) = called.outcome else {
        panic!("{called:?}");
    };
    assert_eq!(descriptor.stages, [greenroom_model::Stage::PreProcess]);
    assert_eq!(descriptor.priority, 20);
}
