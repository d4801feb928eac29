//! `greenroom processor test`: every fixture through the sandbox, compared with what is expected.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::component::Component;
use super::diff::Change;
use super::execute::{Executed, Start, execute};
use super::fixture::{self, Expected, Fixture};
use super::local::LocalFlags;
use super::workshop::Workshop;
use super::{entity_files, report};
use crate::commands::exit::Exit;
use crate::commands::screen::{Ink, Screen};

/// The time of fixtures that give none: results must not depend on today.
const FIXTURE_NOW: &str = "2026-01-01T00:00:00Z";

/// Flags of `test`.
#[derive(Debug, Args)]
pub(super) struct TestFlags {
    /// Folder of the fixtures [default: `fixtures` in the crate's folder]
    #[arg(value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// Writes what comes out as what is expected
    #[arg(long)]
    bless: bool,
    /// How much fuel may differ from what is expected, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    fuel_tolerance: u64,
    #[command(flatten)]
    local: LocalFlags,
}

pub(super) fn run(screen: &Screen, flags: &TestFlags) -> anyhow::Result<Exit> {
    let folder = flags
        .fixtures
        .clone()
        .unwrap_or_else(|| flags.local.component.crate_dir.join("fixtures"));
    let fixtures = fixture::find(&folder)?;
    let component = flags.local.component.obtain()?;
    let workshop = Workshop::open()?;
    let (mut exit, mut failed, mut results) = (Exit::Done, 0, Vec::new());
    for (index, fixture) in fixtures.iter().enumerate() {
        screen.progress("testing", index as u64, fixtures.len() as u64);
        let executed = executed(flags, &workshop, &component, fixture)?;
        let found = Expected::of(&executed, &component.name);
        let (ended, result) = if flags.bless {
            bless(screen, fixture, &found)?
        } else {
            compare(screen, flags, fixture, &found)?
        };
        failed += usize::from(ended != Exit::Done);
        exit = exit.worst(ended);
        results.push(result);
    }
    screen.clear_progress();
    screen.json(&json!({"fixtures": results, "passed": fixtures.len() - failed, "failed": failed}));
    let (passed, ink) = (
        fixtures.len() - failed,
        if failed == 0 { Ink::Good } else { Ink::Bad },
    );
    let sum = if flags.bless {
        format!("{passed} written")
    } else {
        format!("{passed} passed, {failed} failed")
    };
    screen.line(&[(ink, &sum)]);
    screen.next(if failed == 0 {
        "greenroom processor push"
    } else {
        "the same with --bless, if what is found is right"
    });
    Ok(exit)
}

/// Takes a fixture's entity through the stages.
pub(super) fn executed(
    flags: &TestFlags,
    workshop: &Workshop,
    component: &Component,
    fixture: &Fixture,
) -> anyhow::Result<Executed> {
    let mut local = flags.local.clone();
    local.config = fixture.file("config.json").or(local.config);
    local.reads = fixture.file("reads.json").or(local.reads);
    local.now.get_or_insert_with(|| FIXTURE_NOW.to_owned());
    let own = workshop.own(&component.wasm, &local.setting(component.name.clone())?)?;
    let pipeline = workshop.pipeline(Some(&own.processor), local.alone, &local.allow);
    let base = local.base()?;
    let file = entity_files::find(std::slice::from_ref(&fixture.entity), &base)?.remove(0);
    let file = entity_files::EntityFile {
        url: format!("{base}{}", file_name(&file.path)),
        root: fixture.folder.clone(),
        ..file
    };
    let entities = entity_files::read(workshop, &file)?;
    let [entity] = entities.as_slice() else {
        bail!(
            "`{}` has {} entities: a fixture has one, make a folder for each",
            fixture.entity.display(),
            entities.len()
        );
    };
    let reads = local.given_reads()?.with_folder(&base, &fixture.folder)?;
    let start = Start {
        entity,
        cache: BTreeMap::new(),
        now_ms: local.now_ms()?,
    };
    execute(workshop, &pipeline, &start, &reads)
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn bless(screen: &Screen, fixture: &Fixture, found: &Expected) -> anyhow::Result<(Exit, Value)> {
    let changed = fixture.expected().ok().flatten().as_ref() != Some(found);
    if changed {
        fixture.bless(found)?;
    }
    screen.line(&[
        (Ink::Good, if changed { "written   " } else { "unchanged " }),
        (Ink::Plain, &fixture.name),
    ]);
    Ok((
        Exit::Done,
        json!({"name": fixture.name, "result": if changed { "written" } else { "unchanged" }}),
    ))
}

fn compare(
    screen: &Screen,
    flags: &TestFlags,
    fixture: &Fixture,
    found: &Expected,
) -> anyhow::Result<(Exit, Value)> {
    let Some(expected) = fixture.expected()? else {
        screen.line(&[
            (Ink::Bad, "FAILED "),
            (Ink::Plain, &fixture.name),
            (
                Ink::Plain,
                "  nothing is expected yet; `--bless` writes what is found",
            ),
        ]);
        return Ok((
            Exit::Differs,
            json!({"name": fixture.name, "result": "failed", "found": found, "expected": null}),
        ));
    };
    let differences = expected.against(found, flags.fuel_tolerance);
    let (exit, ink, word) = if differences.pass() {
        (Exit::Done, Ink::Good, "ok     ")
    } else {
        (Exit::Differs, Ink::Bad, "FAILED ")
    };
    screen.line(&[(ink, word), (Ink::Plain, &fixture.name)]);
    report::show_changes(screen, &differences.results);
    for words in &differences.dearer {
        screen.line(&[(Ink::Bad, "  dearer "), (Ink::Plain, words)]);
    }
    for words in &differences.cheaper {
        screen.line(&[
            (Ink::Good, "  cheaper "),
            (Ink::Plain, words),
            (Ink::Dim, "  `--bless` keeps it"),
        ]);
    }
    let results: Vec<Value> = differences.results.iter().map(Change::to_json).collect();
    let result = if exit == Exit::Done {
        "passed"
    } else {
        "failed"
    };
    let shown = json!({
        "name": fixture.name, "result": result, "differences": results,
        "dearer": differences.dearer, "cheaper": differences.cheaper,
    });
    Ok((exit, shown))
}
