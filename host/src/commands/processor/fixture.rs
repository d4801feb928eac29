//! A fixture: a folder with one entity, what its reads give, and what is expected to come of it.
//!
//! ```text
//! fixtures/NAME/entity.yaml     one entity (or entity.yml, entity.json)
//! fixtures/NAME/config.json     the configuration, if any
//! fixtures/NAME/reads.json      what reads give, if any
//! fixtures/NAME/expected.json   written by `--bless`
//! ```
//!
//! Results are compared exactly; fuel may grow by a tolerance, because a compiler of another version emits other code.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use greenroom_model::ProcessorName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::diff::{Change, diff};
use super::execute::{Ended, Executed};
use super::report;
use crate::commands::files;
use crate::commands::screen::grouped;

/// Names an entity file may have.
const ENTITY_FILES: [&str; 3] = ["entity.yaml", "entity.yml", "entity.json"];
/// Name of the file with what is expected.
pub(super) const EXPECTED: &str = "expected.json";

/// One fixture.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) entity: PathBuf,
}

/// What came of a run, as far as it is expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    /// `processed`, `rejected` or `waiting`.
    outcome: String,
    /// What changed in the entity.
    diff: Vec<Value>,
    /// What was emitted.
    emissions: Value,
    /// What the owner is told.
    diagnostics: Value,
    /// Processor, stage and kind of each fault.
    #[serde(default)]
    faults: Vec<Value>,
    /// Fuel of the processor's own calls, by stage; not compared where a hand-written file leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fuel: Option<Map<String, Value>>,
}

/// How a result differs from what was expected.
#[derive(Debug, PartialEq)]
pub(super) struct Differences {
    /// Results, as changes from expected to found.
    pub(super) results: Vec<Change>,
    /// Stages whose fuel grew by more than the tolerance, in words.
    pub(super) dearer: Vec<String>,
    /// Stages whose fuel fell by more than the tolerance, in words. No failure.
    pub(super) cheaper: Vec<String>,
}

impl Differences {
    /// Whether the test passes.
    pub(super) fn pass(&self) -> bool {
        self.results.is_empty() && self.dearer.is_empty()
    }
}

/// The fixtures of a folder, by name.
pub(super) fn find(folder: &Path) -> anyhow::Result<Vec<Fixture>> {
    if !files::is_folder(folder) {
        bail!(
            "there is no folder `{}`: make one with a folder for each fixture, holding an entity.yaml",
            folder.display()
        );
    }
    let mut fixtures = Vec::new();
    for path in files::names_in(folder)?
        .into_iter()
        .filter(|path| files::is_folder(path))
    {
        let entity = ENTITY_FILES
            .iter()
            .map(|name| path.join(name))
            .find(|path| files::is_there(path));
        let entity =
            entity.with_context(|| format!("find an entity.yaml in `{}`", path.display()))?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        fixtures.push(Fixture {
            name,
            folder: path,
            entity,
        });
    }
    if fixtures.is_empty() {
        bail!(
            "there is no fixture in `{}`: make a folder in it with an entity.yaml",
            folder.display()
        );
    }
    Ok(fixtures)
}

impl Fixture {
    /// A file of the fixture, if it is there.
    pub(super) fn file(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(name);
        files::is_there(&path).then_some(path)
    }

    /// What is expected, if that was written yet.
    pub(super) fn expected(&self) -> anyhow::Result<Option<Expected>> {
        let Some(path) = self.file(EXPECTED) else {
            return Ok(None);
        };
        let expected = serde_json::from_str(&files::read_text(&path)?)
            .with_context(|| format!("read `{}`: write it anew with `--bless`", path.display()))?;
        Ok(Some(expected))
    }

    /// Writes what is expected from now on.
    pub(super) fn bless(&self, found: &Expected) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(found)? + "\n";
        files::write(&self.folder.join(EXPECTED), text.as_bytes())
    }
}

impl Expected {
    /// What a run gives.
    pub(super) fn of(executed: &Executed, own: &ProcessorName) -> Expected {
        let mut fuel = Map::new();
        for call in executed.calls_of(own) {
            let slot = fuel.entry(call.stage.as_str()).or_insert(json!(0));
            *slot = json!(slot.as_u64().unwrap_or(0).saturating_add(call.report.fuel));
        }
        let faults = match &executed.ended {
            Ended::Waiting => Vec::new(),
            Ended::Done(outcome) => outcome
                .faults
                .iter()
                .map(|one| json!({"processor": one.processor, "stage": one.stage, "fault": one.fault.kind}))
                .collect(),
        };
        Expected {
            outcome: executed.outcome_name().to_owned(),
            diff: report::changes(executed)
                .iter()
                .map(Change::to_json)
                .collect(),
            emissions: report::emissions(executed),
            diagnostics: json!(executed.diagnostics()),
            faults,
            fuel: Some(fuel),
        }
    }

    /// How `found` differs, where fuel may differ by `tolerance` percent.
    pub(super) fn against(&self, found: &Expected, tolerance: u64) -> Differences {
        let results = |expected: &Expected| {
            let mut value = json!(expected);
            if let Some(fields) = value.as_object_mut() {
                fields.remove("fuel");
            }
            value
        };
        let mut differences = Differences {
            results: diff(&results(self), &results(found)),
            dearer: Vec::new(),
            cheaper: Vec::new(),
        };
        let (Some(expected), Some(found)) = (&self.fuel, &found.fuel) else {
            return differences;
        };
        let mut stages: Vec<&String> = expected.keys().chain(found.keys()).collect();
        stages.sort_unstable();
        stages.dedup();
        for stage in stages {
            let of = |one: &Map<String, Value>| one.get(stage).and_then(Value::as_u64).unwrap_or(0);
            let (before, now) = (of(expected), of(found));
            let words = format!(
                "{stage}: {} fuel, expected {} ± {tolerance} %",
                grouped(now),
                grouped(before)
            );
            let (before, now, slack) = (
                u128::from(before) * 100,
                u128::from(now) * 100,
                u128::from(before) * u128::from(tolerance),
            );
            if now > before + slack {
                differences.dearer.push(words);
            } else if now + slack < before {
                differences.cheaper.push(words);
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(outcome: &str, fuel: u64) -> Expected {
        Expected {
            outcome: outcome.to_owned(),
            diff: vec![],
            emissions: json!({}),
            diagnostics: json!([]),
            faults: vec![],
            fuel: Some(Map::from_iter([("pre-process".to_owned(), json!(fuel))])),
        }
    }

    #[test]
    fn results_are_exact_and_fuel_has_a_tolerance() {
        let before = expected("processed", 1_000);
        assert!(before.against(&expected("processed", 1_050), 5).pass());
        let dearer = before.against(&expected("processed", 1_051), 5);
        assert!(
            !dearer.pass() && dearer.dearer[0].contains("expected 1 000 ± 5 %"),
            "{dearer:?}"
        );
        let cheaper = before.against(&expected("processed", 900), 5);
        assert!(cheaper.pass() && cheaper.cheaper.len() == 1);
        assert!(!before.against(&expected("rejected", 1_000), 5).pass());
        let mut added = expected("processed", 1_000);
        added
            .fuel
            .as_mut()
            .unwrap()
            .insert("post-process".into(), json!(1));
        assert!(
            !before.against(&added, 5).pass(),
            "a stage that is new costs"
        );
        assert!(
            before
                .against(&expected("processed", u64::MAX), 5)
                .dearer
                .len()
                == 1
        );
        let unsaid = Expected {
            fuel: None,
            ..expected("processed", 1)
        };
        assert!(
            unsaid.against(&expected("processed", 9), 5).pass(),
            "no fuel is expected"
        );
    }

    #[test]
    fn a_folder_without_fixtures_says_what_to_make() {
        let folder = tempfile::tempdir().unwrap();
        let words = |path: &Path| format!("{:#}", find(path).unwrap_err());
        assert!(words(&folder.path().join("none")).contains("entity.yaml"));
        assert!(words(folder.path()).contains("no fixture"));
        files::make_folder(&folder.path().join("one")).unwrap();
        assert!(words(folder.path()).contains("one"));
    }

    #[test]
    fn what_is_blessed_is_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("one");
        files::make_folder(&one).unwrap();
        files::write(&one.join("entity.json"), b"{}").unwrap();
        let fixture = find(folder.path()).unwrap().remove(0);
        assert_eq!(fixture.expected().unwrap(), None);
        fixture.bless(&expected("processed", 7)).unwrap();
        assert_eq!(fixture.expected().unwrap(), Some(expected("processed", 7)));
        files::write(&one.join(EXPECTED), b"{\"outcme\": 1}").unwrap();
        assert!(format!("{:#}", fixture.expected().unwrap_err()).contains("--bless"));
    }
}
