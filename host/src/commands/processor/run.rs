//! `greenroom processor run`: an entity, a folder of them, or a saved fault, through the stages on this machine, under the
//! limits of production.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use greenroom_sandbox::{CallLimits, CallOutcome, Called, StageAnswer};
use serde_json::{Value, json};

use super::component::Component;
use super::execute::{Ended, Executed, Start, execute};
use super::local::LocalFlags;
use super::recorder::MadeCall;
use super::watch::watch;
use super::workshop::{Own, Workshop};
use super::{entity_files, recorded, report};
use crate::commands::exit::Exit;
use crate::commands::screen::{Ink, Screen};

/// Flags of `run`.
#[derive(Debug, Args)]
pub(super) struct RunFlags {
    /// Catalog files, or folders of them
    #[arg(value_name = "PATH", required_unless_present = "request")]
    paths: Vec<PathBuf>,
    /// A saved fault: its call is made again with this component
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    request: Option<PathBuf>,
    /// Keeps the first fault in a file, for `run --request` and `replay`
    #[arg(long, value_name = "FILE")]
    save_fault: Option<PathBuf>,
    /// Shows the calls of the other processors too
    #[arg(long)]
    all: bool,
    /// Runs again whenever the component, the crate or a file changes
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    local: LocalFlags,
}

pub(super) fn run(screen: &Screen, flags: &RunFlags) -> anyhow::Result<Exit> {
    let workshop = Workshop::open()?;
    if !flags.watch {
        return pass(screen, flags, &workshop);
    }
    let mut watched = flags.local.component.sources();
    watched.extend(flags.paths.iter().cloned());
    watched.extend(
        flags
            .request
            .iter()
            .chain(&flags.local.config)
            .chain(&flags.local.reads)
            .cloned(),
    );
    watch(screen, &watched, || pass(screen, flags, &workshop))
}

/// One time through everything named.
fn pass(screen: &Screen, flags: &RunFlags, workshop: &Workshop) -> anyhow::Result<Exit> {
    let component = flags.local.component.obtain()?;
    let setting = flags.local.setting(component.name.clone())?;
    if let Some(path) = &flags.request {
        return request(screen, flags, workshop, &component, path);
    }
    let own = workshop.own(&component.wasm, &setting)?;
    let pipeline = workshop.pipeline(Some(&own.processor), flags.local.alone, &flags.local.allow);
    let (base, reads, now_ms) = (
        flags.local.base()?,
        flags.local.given_reads()?,
        flags.local.now_ms()?,
    );
    let (mut exit, mut saved, mut runs) = (Exit::Done, None, 0_u64);
    for file in entity_files::find(&flags.paths, &base)? {
        let entities = match entity_files::read(workshop, &file) {
            Ok(entities) => entities,
            Err(error) => {
                screen.failure(Exit::Rejected, &error);
                exit = exit.worst(Exit::Rejected);
                continue;
            }
        };
        let reads = reads.with_folder(&base, &file.root)?;
        for entity in &entities {
            let start = Start {
                entity,
                cache: BTreeMap::new(),
                now_ms,
            };
            let executed = execute(workshop, &pipeline, &start, &reads)?;
            screen.json(&report::to_json(&executed));
            report::show(screen, &executed, &component.name, flags.all);
            exit = exit.worst(report::exit_of(&executed));
            runs += 1;
            if saved.is_none() {
                saved = fault_of(&executed);
            }
        }
    }
    if let (Some(path), Some(made)) = (&flags.save_fault, &saved) {
        recorded::save(path, &recorded::of(made)?)?;
        screen.say(&format!("the fault is kept in `{}`", path.display()));
    }
    if runs > 1 {
        screen.say(&format!("{runs} entities"));
    }
    suggest(screen, flags, &own, exit);
    Ok(exit)
}

/// The first call that faulted, the orchestrator's verdicts on a call included.
fn fault_of(executed: &Executed) -> Option<MadeCall> {
    let of_a_call = || {
        executed
            .calls
            .iter()
            .find(|call| call.fault.is_some())
            .cloned()
    };
    let Ended::Done(outcome) = &executed.ended else {
        return of_a_call();
    };
    let faulted = outcome.faults.first();
    faulted
        .and_then(|faulted| {
            let made = executed
                .calls
                .iter()
                .rfind(|made| made.call == faulted.call)?;
            let fault = Some(faulted.fault.clone());
            Some(MadeCall {
                fault,
                ..made.clone()
            })
        })
        .or_else(of_a_call)
}

fn suggest(screen: &Screen, flags: &RunFlags, own: &Own, exit: Exit) {
    match exit {
        Exit::Done => screen.next("greenroom processor test, then greenroom processor push"),
        Exit::Faulted if flags.save_fault.is_none() => {
            screen.next("the same with --save-fault FAULT.json, then greenroom processor run --request FAULT.json --watch");
        }
        Exit::Rejected => {
            let name = &own.processor.name;
            screen.next(&format!("read what `{name}` and the policies say above; --watch runs again after each change"));
        }
        _ => {}
    }
}

fn request(
    screen: &Screen,
    flags: &RunFlags,
    workshop: &Workshop,
    component: &Component,
    path: &std::path::Path,
) -> anyhow::Result<Exit> {
    let recorded = recorded::read(path)?;
    let loaded = workshop.load(&component.wasm)?;
    if flags.local.config.is_some() || flags.local.limits.is_some() {
        bail!(
            "a saved fault has its own configuration and limits: leave out `--config` and `--limits`"
        );
    }
    let mismatches = recorded::mismatches(&recorded, &loaded);
    let called = recorded::again(workshop, &loaded, &recorded).context("make the saved call")?;
    let exit = match &called.outcome {
        CallOutcome::Answered(_) => Exit::Done,
        CallOutcome::Faulted(fault) if fault.kind == greenroom_sandbox::FaultKind::Rejected => {
            Exit::Rejected
        }
        CallOutcome::Faulted(_) => Exit::Faulted,
    };
    screen.json(&called_json(&called, &recorded.limits, &mismatches));
    for mismatch in &mismatches {
        screen.line(&[(Ink::Dim, mismatch)]);
    }
    show_called(
        screen,
        component.name.as_str(),
        recorded.call.stage().as_str(),
        &called,
        &recorded.limits,
    );
    if exit == Exit::Done {
        screen.next("greenroom processor test, then greenroom processor push");
    }
    Ok(exit)
}

/// A single call for programs.
pub(super) fn called_json(
    called: &Called<StageAnswer>,
    limits: &CallLimits,
    mismatches: &[String],
) -> Value {
    let (outcome, answer, fault) = match &called.outcome {
        CallOutcome::Answered(answer) => ("answered", json!(answer), Value::Null),
        CallOutcome::Faulted(fault) => ("faulted", Value::Null, json!(fault)),
    };
    json!({
        "outcome": outcome, "answer": answer, "fault": fault, "mismatches": mismatches,
        "fuel": called.report.fuel, "fuelLimit": limits.fuel,
        "peakMemoryBytes": called.report.peak_memory_bytes, "memoryLimitBytes": limits.memory_bytes,
        "cpuUs": called.report.cpu_us, "log": called.report.log,
    })
}

/// A single call for people.
pub(super) fn show_called(
    screen: &Screen,
    processor: &str,
    stage: &str,
    called: &Called<StageAnswer>,
    limits: &CallLimits,
) {
    let report = &called.report;
    let cost = report::cost_line(report.fuel, report.peak_memory_bytes, report.cpu_us, limits);
    screen.line(&[
        (Ink::Bold, processor),
        (Ink::Plain, " "),
        (Ink::Plain, stage),
        (Ink::Plain, "  "),
        (Ink::Plain, &cost),
    ]);
    match &called.outcome {
        CallOutcome::Answered(answer) => {
            let text = json!(answer).to_string();
            screen.line(&[(Ink::Good, "  answered "), (Ink::Plain, &text)]);
        }
        CallOutcome::Faulted(fault) => report::show_fault(screen, fault),
    }
    report::show_log(screen, &report.log);
}
