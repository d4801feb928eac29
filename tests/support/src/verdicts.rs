//! A directory of descriptors with the reference implementation's verdict on every document, and the comparison of a host
//! that serves it.
//!
//! Every file is registered as a static location of its own. A valid document is served under its ref, with that file as its
//! location, or is listed as the loser of a conflict. An invalid one is reported with stage and reason: at the entity, if its
//! envelope could be read, else at its Location.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use greenroom_model::LocationRef;
use greenroom_model::location::generated_ref;
use serde::Deserialize;
use serde_json::Value;

use crate::Client;

/// The verdict on one document.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Path below the directory.
    pub file: String,
    /// Number of the document in its file, from 0.
    pub doc_index: usize,
    /// As written.
    pub kind: Option<String>,
    /// Lower case; `None` if it cannot be formed.
    pub entity_ref: Option<String>,
    /// `None` for a blank document.
    pub valid: Option<bool>,
    /// Where it failed, or `ok`.
    pub stage: String,
    /// The reference's words.
    pub error: Option<String>,
}

/// One target of a Location document.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocationTarget {
    /// Path of the Location below the directory.
    pub file: String,
    /// Number of the document in its file.
    pub doc_index: usize,
    /// The Location's type, if it says one.
    pub r#type: Option<String>,
    /// As written.
    pub target: String,
    /// `relative`, `glob`, `remote` or `same-repo-url`.
    pub kind: String,
    /// Paths it leads to, below the directory of the Location's repository.
    pub files: Vec<String>,
}

/// A document that the host treats unlike the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which one: path and number.
    pub document: (String, usize),
    /// What is different.
    pub found: String,
}

/// Fails unless the differences are those that are known: path, number, and the reason why we differ on purpose.
///
/// # Panics
/// Names every difference that is not known and every known one that is not there any more.
#[track_caller]
pub fn assert_known(differences: &[Difference], known: &[(&str, usize, &str)]) {
    let is = |one: &Difference, (file, number, _): &(&str, usize, &str)| {
        one.document.0 == *file && one.document.1 == *number
    };
    let surprises: Vec<String> = differences
        .iter()
        .filter(|one| !known.iter().any(|row| is(one, row)))
        .map(|one| format!("{}#{}: {}", one.document.0, one.document.1, one.found))
        .collect();
    let gone: Vec<_> = known
        .iter()
        .filter(|row| !differences.iter().any(|one| is(one, row)))
        .collect();
    assert!(
        surprises.is_empty() && gone.is_empty(),
        "{} documents differ:\n{}\nlisted, but they agree: {gone:?}",
        surprises.len(),
        surprises.join("\n")
    );
}

/// The directory and its verdicts.
pub struct CatalogUnderTest {
    root: PathBuf,
    verdicts: Vec<Verdict>,
}

/// What a host says about a tenant, by ref and by location key.
struct Served {
    states: BTreeMap<String, Value>,
    /// (ref, location key) of every loser.
    losers: BTreeSet<(String, String)>,
}

impl CatalogUnderTest {
    /// Reads the verdicts on the files below `root`.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn read(root: &Path, verdicts: &Path) -> Self {
        Self {
            root: root.canonicalize().expect("the directory of descriptors"),
            verdicts: lines(verdicts),
        }
    }

    /// Every verdict.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// A configuration that registers every file and allows every kind.
    pub fn config_toml(&self) -> String {
        let files: BTreeSet<&str> = self.verdicts.iter().map(|one| one.file.as_str()).collect();
        let kinds: BTreeSet<&str> = self
            .verdicts
            .iter()
            .filter_map(|one| one.kind.as_deref())
            .collect();
        let kinds: Vec<Value> = kinds.into_iter().map(Value::from).collect();
        let mut toml = format!(
            "file_roots = [{}]\n[[tenants.default.catalog.rules]]\nallow = {}\n",
            Value::from(self.root.display().to_string()),
            Value::from(kinds),
        );
        for file in files {
            toml.push_str(&format!(
                "[[tenants.default.catalog.locations]]\ntype = \"file\"\ntarget = {}\n",
                Value::from(self.root.join(file).display().to_string())
            ));
        }
        toml
    }

    /// Compares every document with what the host says. The host must be quiet.
    pub async fn compare(&self, client: &Client, tenant: &str) -> Vec<Difference> {
        let served = Served::ask(client, tenant).await;
        let mut differences = self.miscounted(&served);
        for verdict in &self.verdicts {
            let found = match verdict.valid {
                None => None,
                Some(true) => self.unserved(verdict, &served, client, tenant).await,
                Some(false) => self.unreported(verdict, &served),
            };
            if let Some(found) = found {
                differences.push(Difference {
                    document: (verdict.file.clone(), verdict.doc_index),
                    found,
                });
            }
        }
        differences
    }

    /// Targets whose good documents do not have the Location as a parent, though the Location itself is served.
    pub async fn hidden_children(
        &self,
        targets: &Path,
        client: &Client,
        tenant: &str,
    ) -> Vec<Difference> {
        let served = Served::ask(client, tenant).await;
        let mut differences = Vec::new();
        for target in lines::<LocationTarget>(targets) {
            for found in self.hidden_of(&target, &served) {
                differences.push(Difference {
                    document: (target.file.clone(), target.doc_index),
                    found: format!("`{}`: {found}", target.target),
                });
            }
        }
        differences
    }

    fn hidden_of(&self, target: &LocationTarget, served: &Served) -> Vec<String> {
        let location = self
            .verdicts
            .iter()
            .find(|one| one.file == target.file && one.doc_index == target.doc_index)
            .expect("a target's document has a verdict");
        let parent = location.entity_ref.clone().unwrap_or_default();
        let owned = served.key_of(&parent) == Some(self.location(&target.file));
        // A relative target of type `url` leads nowhere from a file, in the stock backend too.
        let readable = target.r#type.as_deref() != Some("url");
        if location.valid != Some(true) || !owned || !readable {
            return Vec::new();
        }
        let repository = target.file.split('/').next().unwrap_or_default();
        let files: BTreeSet<String> = target
            .files
            .iter()
            .map(|file| format!("{repository}/{file}"))
            .collect();
        self.verdicts
            .iter()
            .filter(|one| one.valid == Some(true) && files.contains(&one.file))
            .filter_map(|one| {
                let child = one.entity_ref.as_deref()?;
                let key = self.location(&one.file);
                let Some(state) = served.states.get(child) else {
                    return Some(format!("{child} has no state"));
                };
                let has_parent = state["parents"]
                    .as_array()
                    .is_some_and(|parents| parents.iter().any(|one| *one == *parent));
                let lost = served.losers.contains(&(child.to_owned(), key));
                (!has_parent && !lost).then(|| format!("{child} has no parent {parent}: {state}"))
            })
            .collect()
    }

    /// Files whose Location does not have exactly one error for each invalid document that is nowhere else.
    fn miscounted(&self, served: &Served) -> Vec<Difference> {
        let mut expected: BTreeMap<&str, (usize, usize, String)> = BTreeMap::new();
        for verdict in &self.verdicts {
            let row = expected.entry(&verdict.file).or_insert_with(|| {
                let location = self.generated(verdict);
                (verdict.doc_index, 0, location)
            });
            let elsewhere = verdict.entity_ref.as_ref().is_some_and(|entity_ref| {
                let location = self.location(&verdict.file);
                served.key_of(entity_ref).as_ref() == Some(&location)
                    || served.losers.contains(&(entity_ref.clone(), location))
            });
            if verdict.valid == Some(false) && !elsewhere {
                row.1 += 1;
            }
        }
        expected
            .into_iter()
            .filter_map(|(file, (number, invalid, location))| {
                let reports = served.reports(&location);
                (reports.len() != invalid).then(|| Difference {
                    document: (file.to_owned(), number),
                    found: format!("{invalid} invalid documents, but its Location has {reports:?}"),
                })
            })
            .collect()
    }

    fn location(&self, file: &str) -> String {
        format!("file:{}", self.root.join(file).display())
    }

    async fn unserved(
        &self,
        verdict: &Verdict,
        served: &Served,
        client: &Client,
        tenant: &str,
    ) -> Option<String> {
        let entity_ref = verdict.entity_ref.clone()?;
        let location = self.location(&verdict.file);
        if served
            .losers
            .contains(&(entity_ref.clone(), location.clone()))
        {
            return None;
        }
        let Some(entity) = client.entity(tenant, &entity_ref).await else {
            let state = served.states.get(&entity_ref);
            return Some(format!(
                "valid, but {entity_ref} is neither served nor lost a conflict: {state:?}; its Location: {:?}",
                served.reports(&self.generated(verdict))
            ));
        };
        let managed = &entity["metadata"]["annotations"]["backstage.io/managed-by-location"];
        (*managed != *location)
            .then(|| format!("valid, but {entity_ref} is served from {managed} without a conflict"))
    }

    fn unreported(&self, verdict: &Verdict, served: &Served) -> Option<String> {
        let location = self.location(&verdict.file);
        if let Some(entity_ref) = &verdict.entity_ref {
            if served
                .losers
                .contains(&(entity_ref.clone(), location.clone()))
            {
                return None;
            }
            if served.key_of(entity_ref) == Some(location) {
                if served.states[entity_ref]["served"] == true {
                    return Some(format!("invalid, but {entity_ref} is served"));
                }
                return self.wrong_report(verdict, &served.reports(entity_ref));
            }
        }
        self.wrong_report(verdict, &served.reports(&self.generated(verdict)))
    }

    /// Why no error among the reports can be the one of this document.
    fn wrong_report(&self, verdict: &Verdict, reports: &[Value]) -> Option<String> {
        let stages: &[&str] = match verdict.stage.as_str() {
            "parse" | "envelope" => &["read-location"],
            "placeholder" => &["pre-process"],
            "policy" => &["policy", "read-location"],
            _ => &["validate-kind"],
        };
        let good = reports.iter().any(|report| {
            let stage = report["stage"].as_str().unwrap_or_default();
            let says = report["message"].as_str().unwrap_or_default();
            // Policies are the host's own, so no processor is to blame for those.
            let named =
                report["processor"].is_string() || matches!(stage, "policy" | "validate-kind");
            stages.contains(&stage) && named && !says.is_empty()
        });
        (!good).then(|| {
            format!(
                "invalid at `{}` ({:?}), reported as {reports:?}",
                verdict.stage, verdict.error
            )
        })
    }

    fn generated(&self, verdict: &Verdict) -> String {
        let target = self.root.join(&verdict.file).display().to_string();
        generated_ref(&LocationRef::new("file".to_owned(), target)).to_string()
    }
}

impl Served {
    async fn ask(client: &Client, tenant: &str) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let conflicts = client
            .get(&format!(
                "/tenants/{tenant}/processing/conflicts?limit=1000"
            ))
            .await
            .ok();
        let items = conflicts["items"].as_array().expect("conflicts").clone();
        Self {
            states: client
                .processing(tenant)
                .await
                .into_iter()
                .map(|state| (text(&state["entityRef"]), state))
                .collect(),
            losers: items
                .iter()
                .map(|one| (text(&one["entityRef"]), text(&one["locationKey"])))
                .collect(),
        }
    }

    fn key_of(&self, entity_ref: &str) -> Option<String> {
        let key = self.states.get(entity_ref)?["locationKey"].as_str()?;
        Some(key.to_owned())
    }

    /// Errors of the last run of an entity.
    fn reports(&self, entity_ref: &str) -> Vec<Value> {
        let diagnostics = self
            .states
            .get(entity_ref)
            .map(|state| &state["diagnostics"]);
        diagnostics
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|one| one["level"] == "error")
            .cloned()
            .collect()
    }
}

fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("read `{}`: {error}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}
