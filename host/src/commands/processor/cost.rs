//! `greenroom processor cost`: fuel by stage, by entity and by function, over files or the fixtures.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use greenroom_sandbox::CallLimits;
use serde_json::{Value, json};

use super::entity_files;
use super::execute::{Start, execute};
use super::local::LocalFlags;
use super::recorder::MadeCall;
use super::sampling::{Profile, profile};
use super::{fixture, report};
use crate::commands::exit::Exit;
use crate::commands::files;
use crate::commands::screen::{Ink, Screen, bytes, grouped, percent};

/// Functions shown to people.
const SHOWN_FUNCTIONS: usize = 15;

/// Flags of `cost`.
#[derive(Debug, Args)]
pub(super) struct CostFlags {
    /// Catalog files, or folders of them [default: the entities of the fixtures]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Samples of the profile by function; 0 for none
    #[arg(long, value_name = "N", default_value_t = 200)]
    samples: u64,
    #[command(flatten)]
    local: LocalFlags,
}

/// What one entity cost.
struct EntityCost {
    entity_ref: String,
    fuel: u64,
    peak_memory_bytes: u64,
    cpu_us: u64,
}

/// What one stage cost, over all entities.
#[derive(Default)]
struct StageCost {
    calls: u64,
    fuel: u64,
    most: u64,
    peak_memory_bytes: u64,
}

pub(super) fn run(screen: &Screen, flags: &CostFlags) -> anyhow::Result<Exit> {
    let paths = if flags.paths.is_empty() {
        let fixtures = fixture::find(&flags.local.component.crate_dir.join("fixtures"))?;
        fixtures.into_iter().map(|fixture| fixture.entity).collect()
    } else {
        flags.paths.clone()
    };
    let component = flags.local.component.obtain()?;
    let workshop = super::workshop::Workshop::open()?;
    let setting = flags.local.setting(component.name.clone())?;
    let own = workshop.own(&component.wasm, &setting)?;
    let pipeline = workshop.pipeline(Some(&own.processor), flags.local.alone, &flags.local.allow);
    let (base, given, now_ms) = (
        flags.local.base()?,
        flags.local.given_reads()?,
        flags.local.now_ms()?,
    );
    let (mut exit, mut entities, mut calls) = (Exit::Done, Vec::new(), Vec::<MadeCall>::new());
    for file in entity_files::find(&paths, &base)? {
        let mut reads = given.with_folder(&base, &file.root)?;
        let beside = file.path.with_file_name("reads.json");
        if flags.paths.is_empty() && files::is_there(&beside) {
            reads.add_file(&beside)?;
        }
        for entity in entity_files::read(&workshop, &file)? {
            let start = Start {
                entity: &entity,
                cache: BTreeMap::new(),
                now_ms,
            };
            let executed = execute(&workshop, &pipeline, &start, &reads)?;
            let made: Vec<MadeCall> = executed.calls_of(&component.name).cloned().collect();
            entities.push(EntityCost {
                entity_ref: entity.entity_ref().to_string(),
                fuel: made.iter().map(|call| call.report.fuel).sum(),
                peak_memory_bytes: made
                    .iter()
                    .map(|call| call.report.peak_memory_bytes)
                    .max()
                    .unwrap_or(0),
                cpu_us: made.iter().map(|call| call.report.cpu_us).sum(),
            });
            exit = exit.worst(report::exit_of(&executed));
            calls.extend(made);
        }
    }
    let profile = if flags.samples == 0 {
        Profile::default()
    } else {
        profile(&workshop, &own.loaded, &calls, flags.samples, |done, of| {
            screen.progress("sampling", done, of);
        })?
    };
    screen.clear_progress();
    let stages = by_stage(&calls);
    screen.json(&to_json(&stages, &entities, &profile, &setting.limits));
    show(screen, &stages, &entities, &profile, &setting.limits);
    if calls.is_empty() {
        screen.line(&[(
            Ink::Warn,
            "the processor was not called for any of these entities",
        )]);
    }
    screen.next("greenroom processor test, which notices when fuel grows");
    Ok(exit)
}

fn by_stage(calls: &[MadeCall]) -> BTreeMap<&'static str, StageCost> {
    let mut stages = BTreeMap::<&'static str, StageCost>::new();
    for call in calls {
        let cost = stages.entry(call.stage.as_str()).or_default();
        cost.calls += 1;
        cost.fuel += call.report.fuel;
        cost.most = cost.most.max(call.report.fuel);
        cost.peak_memory_bytes = cost.peak_memory_bytes.max(call.report.peak_memory_bytes);
    }
    stages
}

fn to_json(
    stages: &BTreeMap<&'static str, StageCost>,
    entities: &[EntityCost],
    profile: &Profile,
    limits: &CallLimits,
) -> Value {
    let stages: Vec<Value> = stages
        .iter()
        .map(|(stage, cost)| {
            json!({
                "stage": stage, "calls": cost.calls, "fuel": cost.fuel, "mostFuel": cost.most,
                "peakMemoryBytes": cost.peak_memory_bytes,
            })
        })
        .collect();
    let entities: Vec<Value> = entities
        .iter()
        .map(|cost| {
            json!({
                "entityRef": cost.entity_ref, "fuel": cost.fuel, "peakMemoryBytes": cost.peak_memory_bytes,
                "cpuUs": cost.cpu_us,
            })
        })
        .collect();
    let functions: Vec<Value> = profile
        .functions()
        .into_iter()
        .map(|(name, share)| {
            let place = share.place();
            json!({
                "function": name, "file": place.map(|place| place.0), "line": place.map(|place| place.1),
                "ownSamples": share.own, "totalSamples": share.total,
                "ownFuel": share.own * profile.fuel_each, "totalFuel": share.total * profile.fuel_each,
            })
        })
        .collect();
    json!({
        "limits": limits, "stages": stages, "entities": entities, "samples": profile.samples, "functions": functions,
    })
}

fn show(
    screen: &Screen,
    stages: &BTreeMap<&'static str, StageCost>,
    entities: &[EntityCost],
    profile: &Profile,
    limits: &CallLimits,
) {
    screen.heading("by stage");
    for (stage, cost) in stages {
        screen.say(&format!(
            "  {stage:<13} {:>6} calls  mean {:>13} fuel  most {:>13} ({})  memory {} ({})",
            cost.calls,
            grouped(cost.fuel / cost.calls.max(1)),
            grouped(cost.most),
            percent(cost.most, limits.fuel),
            bytes(cost.peak_memory_bytes),
            percent(cost.peak_memory_bytes, limits.memory_bytes),
        ));
    }
    screen.heading("by entity");
    let mut dearest: Vec<&EntityCost> = entities.iter().collect();
    dearest.sort_by_key(|cost| (std::cmp::Reverse(cost.fuel), cost.entity_ref.clone()));
    for cost in dearest.iter().take(SHOWN_FUNCTIONS) {
        screen.say(&format!(
            "  {:>13} fuel  {:>8}  {}",
            grouped(cost.fuel),
            bytes(cost.peak_memory_bytes),
            cost.entity_ref
        ));
    }
    if profile.samples == 0 {
        return;
    }
    screen.heading("by function");
    for (name, share) in profile.functions().into_iter().take(SHOWN_FUNCTIONS) {
        let place = share
            .place()
            .map_or_else(String::new, |(file, line)| format!("  {file}:{line}"));
        screen.line(&[
            (
                Ink::Plain,
                &format!(
                    "  own {:>7}  with callees {:>7}  ",
                    percent(share.own, profile.samples),
                    percent(share.total, profile.samples)
                ),
            ),
            (Ink::Bold, name),
            (Ink::Dim, &place),
        ]);
    }
    screen.line(&[(
        Ink::Dim,
        &format!(
            "  {} samples, one for each {} fuel",
            profile.samples,
            grouped(profile.fuel_each)
        ),
    )]);
}
