//! `greenroom-bench call`: what one call costs.
//!
//! - fresh ÷ reused: a call on a fresh instance against the same call on one that is kept (bare loop both), ≤ 2.0;
//! - our path ÷ bare loop: `Sandbox::call` against the least that can be done with wasmtime, ≤ 1.10;
//! - hand-over of an entity to the sandbox process and back, 32 in flight, ≤ 30 µs;
//! - 1, 10 and 100 revisions in rotation: what changing slots costs;
//! - growth: resident memory after 10 000 leaking calls and at the end, < 4 MiB.

use clap::Args;
use greenroom_model::TenantId;
use greenroom_sandbox::{
    CallLimits, CompileLimits, Compiler, LoadedProcessor, Sandbox, SandboxOptions, StageCall,
};
use greenroom_test_artifacts::{EMIT_RELATIONS_COMPONENT, LEAK_GLOBAL_COMPONENT, splice};
use serde::Serialize;
use std::sync::Arc;

use crate::bare::Bare;
use crate::hand_over;
use crate::measure::{in_turns, resident_bytes};
use crate::report::{OPTIMISED, Report, build};
use crate::workload;

const FRESH_TARGET: f64 = 2.0;
const PATH_TARGET: f64 = 1.10;
const HAND_OVER_TARGET: f64 = 30.0;
const GROWTH_TARGET: u64 = 4 << 20;
/// Leaking calls after which growth is counted.
const SETTLED_CALLS: u64 = 10_000;
/// Batches that the hand-over is the median of.
const BATCHES: usize = 9;

/// Options of `call`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds of 50 calls that each figure is the median of.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// Entities handed over in each of 9 batches.
    #[arg(long, default_value_t = 20_000)]
    turns: usize,
    /// Calls of a leaking processor, for growth.
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
    #[command(flatten)]
    report: Report,
}

/// What was measured. Times are microseconds of CPU, but for the hand-over, which is time on the wall.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    optimised: bool,
    entity_bytes: usize,
    fuel: u64,
    our_us: f64,
    bare_us: f64,
    reused_us: f64,
    fresh_to_reused: f64,
    ours_to_bare: f64,
    hand_over_us: f64,
    rotation_us: Rotation,
    growth_bytes: u64,
    growth_calls: u64,
}

/// Of one call among so many revisions, another each time.
#[derive(Debug, Serialize)]
struct Rotation {
    #[serde(rename = "1")]
    one: f64,
    #[serde(rename = "10")]
    ten: f64,
    #[serde(rename = "100")]
    hundred: f64,
}

/// Measures and prints; says whether all targets were met, or need not be.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let figures = measured(options)?;
    let met = figures.fresh_to_reused <= FRESH_TARGET
        && figures.ours_to_bare <= PATH_TARGET
        && figures.hand_over_us <= HAND_OVER_TARGET
        && figures.growth_bytes < GROWTH_TARGET;
    options.report.tell(&figures, met, print_table)
}

fn measured(options: &Options) -> Result<Figures, String> {
    let shown = |error: &dyn std::fmt::Display| error.to_string();
    let processor = workload::processor()?;
    let bare = Bare::new(processor.wasm(), workload::request()).map_err(|error| shown(&error))?;
    let mut reused = bare.reused().map_err(|error| shown(&error))?;
    let sandbox = Sandbox::new(SandboxOptions::default()).map_err(|error| shown(&error))?;
    let loaded = processor.load(&sandbox).map_err(|error| shown(&error))?;
    let (call, limits) = (workload::call(), CallLimits::default());
    let fuel = bare.fresh().map_err(|error| shown(&error))?;

    let mut failed = None;
    let mut failed_bare = None;
    let mut failed_reused = None;
    let mut ours = || {
        failed = answered(&sandbox, &loaded, &call, &limits)
            .err()
            .or(failed.take());
    };
    let mut fresh = || failed_bare = bare.fresh().err().or(failed_bare.take());
    let mut kept = || failed_reused = reused.call().err().or(failed_reused.take());
    let times = in_turns(&mut [&mut ours, &mut fresh, &mut kept], options.rounds);
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(error) = failed_bare.or(failed_reused) {
        return Err(format!("{error:#}"));
    }
    let [ours_ns, bare_ns, reused_ns] = times[..] else {
        return Err("three contenders give three times".to_owned());
    };
    Ok(Figures {
        optimised: OPTIMISED,
        entity_bytes: workload::entity().len(),
        fuel,
        our_us: ours_ns / 1e3,
        bare_us: bare_ns / 1e3,
        reused_us: reused_ns / 1e3,
        fresh_to_reused: bare_ns / reused_ns,
        ours_to_bare: ours_ns / bare_ns,
        hand_over_us: hand_over::microseconds(BATCHES, options.turns)?,
        rotation_us: rotation(options.rounds)?,
        growth_bytes: growth(options.calls)?,
        growth_calls: options.calls,
    })
}

fn answered(
    sandbox: &Sandbox,
    processor: &LoadedProcessor,
    call: &StageCall,
    limits: &CallLimits,
) -> Result<(), String> {
    let called = sandbox
        .call(processor, call, limits, [0; 32])
        .map_err(|error| error.to_string())?;
    match called.outcome.fault() {
        None => Ok(()),
        Some(fault) => Err(format!("{}: {}", fault.kind, fault.message)),
    }
}

/// One program as a hundred revisions, each with a module of its own in it.
fn rotation(rounds: usize) -> Result<Rotation, String> {
    let sandbox = Sandbox::new(SandboxOptions {
        loaded_bytes: 1 << 30,
        ..SandboxOptions::default()
    })
    .map_err(|error| error.to_string())?;
    let base = std::fs::read(EMIT_RELATIONS_COMPONENT).map_err(|error| error.to_string())?;
    let base = greenroom_sandbox::without_debug_sections(&base);
    let compiler = Compiler::new(CompileLimits::default()).map_err(|error| error.to_string())?;
    let revision = |number: u8| -> Result<Arc<LoadedProcessor>, String> {
        let module = global(number);
        let component = splice::with_module(&base, &module, 1);
        let artifact = compiler
            .compile(&component)
            .map_err(|error| error.to_string())?;
        let tenant = Some(TenantId(number.into()));
        sandbox
            .load(tenant, &artifact)
            .map_err(|error| error.to_string())
    };
    let revisions: Vec<_> = (0..100).map(revision).collect::<Result<_, _>>()?;
    let (call, limits) = (workload::call(), CallLimits::default());
    let mut failed = None;
    let mut time = |count: usize| {
        let mut turn = 0;
        let mut next = || {
            turn += 1;
            let outcome = answered(&sandbox, &revisions[turn % count], &call, &limits);
            failed = outcome.err().or(failed.take());
        };
        in_turns(&mut [&mut next], rounds)[0] / 1e3
    };
    let rotation = Rotation {
        one: time(1),
        ten: time(10),
        hundred: time(100),
    };
    failed.map_or(Ok(rotation), Err)
}

/// A module with one global of this value: `(module (global i32 (i32.const number)))`.
fn global(number: u8) -> Vec<u8> {
    let value = [number & 0x7f | 0x80, number >> 7];
    let section = [&[6, 7, 1, 0x7f, 0, 0x41][..], &value, &[0x0b]].concat();
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend(section);
    module
}

/// Resident memory at the end minus after [`SETTLED_CALLS`] (or half, of fewer), of a processor that leaks 10 kB in each.
fn growth(calls: u64) -> Result<u64, String> {
    let sandbox = Sandbox::new(SandboxOptions::default()).map_err(|error| error.to_string())?;
    let component = std::fs::read(LEAK_GLOBAL_COMPONENT).map_err(|error| error.to_string())?;
    let artifact = greenroom_sandbox::compile(&component, &CompileLimits::default())
        .map_err(|error| error.to_string())?;
    let processor = sandbox
        .load(None, &artifact)
        .map_err(|error| error.to_string())?;
    let (call, limits) = (workload::call(), CallLimits::default());
    let settled_at = SETTLED_CALLS.min(calls / 2);
    let mut settled = 0;
    for count in 0..calls {
        if count == settled_at {
            settled = resident_bytes();
        }
        answered(&sandbox, &processor, &call, &limits)?;
    }
    Ok(resident_bytes().saturating_sub(settled))
}

fn print_table(figures: &Figures) {
    println!(
        "{}, one call, {} bytes of entity, {} fuel: ours {:.1} us, bare loop {:.1} us, bare loop on a kept instance {:.1} us",
        build(),
        figures.entity_bytes,
        figures.fuel,
        figures.our_us,
        figures.bare_us,
        figures.reused_us
    );
    let line = |what: &str, figure: String, target: String| {
        println!("  {what:<40} {figure:>10}   {target}");
    };
    line(
        "fresh / reused",
        format!("{:.2}", figures.fresh_to_reused),
        format!("<= {FRESH_TARGET}"),
    );
    line(
        "our path / bare loop",
        format!("{:.3}", figures.ours_to_bare),
        format!("<= {PATH_TARGET}"),
    );
    line(
        "hand-over to the sandbox and back",
        format!("{:.1} us", figures.hand_over_us),
        format!("<= {HAND_OVER_TARGET} us"),
    );
    for (count, us) in [
        (1, figures.rotation_us.one),
        (10, figures.rotation_us.ten),
        (100, figures.rotation_us.hundred),
    ] {
        line(
            &format!("{count} revisions in rotation"),
            format!("{us:.1} us"),
            String::new(),
        );
    }
    line(
        &format!("growth over {} leaking calls", figures.growth_calls),
        format!("{} KiB", figures.growth_bytes / 1024),
        format!("< {} KiB", GROWTH_TARGET / 1024),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_measured() {
        let figures = measured(&Options {
            rounds: 3,
            turns: 64,
            calls: 200,
            report: Report {
                json: true,
                check: false,
            },
        })
        .unwrap();
        for figure in [
            figures.our_us,
            figures.bare_us,
            figures.reused_us,
            figures.hand_over_us,
            figures.rotation_us.one,
            figures.rotation_us.hundred,
        ] {
            assert!(figure.is_finite() && figure > 0.0, "{figures:?}");
        }
        // Which figure is larger is for a quiet machine and `--check`: a test run has neighbours.
        for ratio in [figures.fresh_to_reused, figures.ours_to_bare] {
            assert!(ratio.is_finite() && ratio > 0.0, "{figures:?}");
        }
        assert!(
            figures.fuel > 0 && figures.growth_calls == 200,
            "{figures:?}"
        );
    }
}
