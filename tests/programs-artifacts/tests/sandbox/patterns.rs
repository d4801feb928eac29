//! c06: no byte of one tenant is ever seen by another. One program leaves a pattern wherever a program can leave one, another
//! looks for it, in the same slots of a pool that is too small for both.

use std::sync::Arc;

use greenroom_model::TenantId;
use greenroom_sandbox::{
    CallLimits, CompileLimits, LoadedProcessor, Sandbox, SandboxOptions, compile,
};
use greenroom_test_artifacts::{
    ANNOTATE_COMPONENT, HIDE_PATTERN_COMPONENT, SEEK_PATTERN_COMPONENT,
};

use crate::support::{Program, bytes_of, request, with_module};

/// Of programs that hide and seek in one slot.
const ALTERNATIONS: u32 = 20_000;

/// A module that fills its memory, table and globals, and grows both by what they had; `number` makes it another module.
fn hiding(number: i64) -> String {
    format!(
        r#"(memory 4) (table 1000 funcref) (elem declare func $fill) (global $kept (mut i64) (i64.const {number}))
        (func $fill
          (drop (memory.grow (i32.const 4)))
          (memory.fill (i32.const 0) (i32.const 0xa7) (i32.const 0x80000))
          (drop (table.grow (ref.func $fill) (i32.const 1000)))
          (table.fill (i32.const 0) (ref.func $fill) (i32.const 2000))
          (global.set $kept (i64.const 0xa7a7a7a7)))
        (start $fill)"#
    )
}

/// A module that dies unless all of that is as new.
fn seeking(number: i64) -> String {
    format!(
        r#"(memory 4) (table 1000 funcref) (elem declare func $seek) (global $kept (mut i64) (i64.const {number}))
        (func $seek (local $at i32)
          (drop (memory.grow (i32.const 4)))
          (drop (table.grow (ref.null func) (i32.const 1000)))
          (if (i64.ne (global.get $kept) (i64.const {number})) (then unreachable))
          (loop $memory
            (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $memory (i32.lt_u (local.get $at) (i32.const 0x80000))))
          (local.set $at (i32.const 0))
          (loop $table
            (if (i32.eqz (ref.is_null (table.get (local.get $at)))) (then unreachable))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $table (i32.lt_u (local.get $at) (i32.const 2000)))))
        (start $seek)"#
    )
}

/// A pool of one call.
fn one_slot() -> Arc<Sandbox> {
    let options = SandboxOptions {
        concurrent_calls: 1,
        ..SandboxOptions::default()
    };
    Sandbox::new(options).expect("a small pool")
}

fn load(sandbox: &Sandbox, tenant: i64, component: &[u8]) -> Arc<LoadedProcessor> {
    let artifact = compile(component, &CompileLimits::default()).expect("it compiles");
    sandbox
        .load(Some(TenantId(tenant)), &artifact)
        .expect("it loads")
}

#[test]
pub(crate) fn hide_pattern() {
    let program = Program::load(HIDE_PATTERN_COMPONENT);
    assert!(program.said(program.call(&request())).starts_with("hid"));
}

#[test]
pub(crate) fn seek_pattern() {
    // It can find what is there: its own page is clean, and it has no pattern.
    let program = Program::load(SEEK_PATTERN_COMPONENT);
    assert_eq!(
        program.said(program.call(&request())),
        "0 patterns, 0 dirty words"
    );
}

#[test]
fn c06_nothing_of_one_tenant_is_found_by_another_in_the_same_slot() {
    let sandbox = one_slot();
    // More programs than the pool has slots, so that slots change hands all the time.
    let hiding: Vec<_> = (0..3)
        .map(|tenant| numbered(&sandbox, tenant, HIDE_PATTERN_COMPONENT))
        .collect();
    let seeking: Vec<_> = (3..6)
        .map(|tenant| numbered(&sandbox, tenant, SEEK_PATTERN_COMPONENT))
        .collect();
    let (leave, trap) = (request().into_call(), request().config("trap").into_call());
    let limits = CallLimits::default();
    for turn in 0..ALTERNATIONS {
        let at = turn as usize;
        let left = if turn % 5 == 4 { &trap } else { &leave };
        let called = sandbox
            .call(&hiding[at % 3], left, &limits, [0; 32])
            .expect("ours");
        assert_eq!(called.outcome.fault().is_some(), turn % 5 == 4);
        let called = sandbox
            .call(&seeking[at / 3 % 3], &leave, &limits, [0; 32])
            .expect("ours");
        let said = format!("{:?}", called.outcome);
        assert!(
            said.contains("0 patterns, 0 dirty words"),
            "c06: turn {turn}: {said}"
        );
    }
}

/// The program as another component, by a module that says whose it is.
fn numbered(sandbox: &Sandbox, tenant: i64, path: &str) -> Arc<LoadedProcessor> {
    let module = format!("(memory 1) (global i64 (i64.const {tenant}))");
    load(sandbox, tenant, &with_module(&bytes_of(path), &module, 1))
}

#[test]
fn c06_tables_globals_and_grown_memory_are_as_new_in_every_call() {
    let sandbox = one_slot();
    let base = bytes_of(ANNOTATE_COMPONENT);
    let of = |tenant, module: String| load(&sandbox, tenant, &with_module(&base, &module, 1));
    let hiding: Vec<_> = (0..3).map(|number| of(number, hiding(number))).collect();
    let seeking: Vec<_> = (3..6).map(|number| of(number, seeking(number))).collect();
    let (call, limits) = (request().into_call(), CallLimits::default());
    for turn in 0..2_000 {
        for processor in [&hiding[turn % 3], &seeking[turn / 3 % 3]] {
            let called = sandbox
                .call(processor, &call, &limits, [0; 32])
                .expect("ours");
            assert_eq!(called.outcome.fault(), None, "c06: turn {turn}");
        }
    }
}
