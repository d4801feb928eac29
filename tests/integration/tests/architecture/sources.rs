//! Names that may be spoken only in some directories. A textual check: it sees `axum::Router` and `use axum::…`, not what a
//! re-export hides, and it leaves out tests, examples, build scripts and comments.

use std::fs;
use std::path::Path;

/// A source file.
pub(crate) struct Source {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A name and where it may be spoken.
pub(crate) struct Confined {
    pub(crate) name: &'static str,
    /// Directories the row is about; empty means all.
    within: &'static [&'static str],
    /// Where in those it may be spoken.
    only: &'static [&'static str],
    pub(crate) because: &'static str,
}

const fn only(
    name: &'static str,
    places: &'static [&'static str],
    because: &'static str,
) -> Confined {
    Confined {
        name,
        within: &[],
        only: places,
        because,
    }
}

const fn never(
    name: &'static str,
    within: &'static [&'static str],
    because: &'static str,
) -> Confined {
    Confined {
        name,
        within,
        only: &[],
        because,
    }
}

const API: &[&str] = &["host/src/api"];
const WORKER: &[&str] = &["host/src/worker"];
const COMMANDS: &[&str] = &["host/src/commands", "tests/"];

const API_RUNS_NOTHING: &str =
    "the API runs no tenant code and reads nothing outside: write a row a worker picks up";
const BACKEND: &str = "a backend is chosen in host/src/commands only: take the trait";

/// The rows. Paths are prefixes.
pub(crate) const CONFINED: &[Confined] = &[
    only(
        "wasmtime::",
        &["host/crates/sandbox/", "tests/bench/"],
        "an engine upgrade touches one crate, and the bench that measures it bare",
    ),
    only(
        "rusqlite::",
        &["host/crates/storage-sqlite/", "tests/torture/"],
        "the SQL driver stays in its backend",
    ),
    only(
        "tokio_postgres::",
        &[
            "host/crates/storage-postgres/",
            "tests/postgres/",
            "tests/torture/",
        ],
        "the SQL driver stays in its backend",
    ),
    only(
        "axum::",
        &["host/src/api"],
        "the core speaks outcomes, the edge speaks HTTP",
    ),
    only(
        "axum::routing",
        &["host/src/api/routes.rs", "host/src/api/server.rs"],
        "a route and its description are added together, so that `/openapi.json` is complete",
    ),
    only(
        "reqwest::",
        &["host/crates/reader/", "host/src/commands", "tests/"],
        "one place decides where we connect",
    ),
    only(
        "anyhow",
        COMMANDS,
        "errors that are only printed: elsewhere an enum says what was being done",
    ),
    only(
        "ambient_authority",
        COMMANDS,
        "host/src/commands opens a `Dir`; below it only `Dir`",
    ),
    only("greenroom_storage_postgres", COMMANDS, BACKEND),
    only("greenroom_storage_sqlite", COMMANDS, BACKEND),
    only(
        "greenroom_bundle",
        COMMANDS,
        "the bundle is wired in host/src/commands",
    ),
    never("greenroom_sandbox", API, API_RUNS_NOTHING),
    never("greenroom_orchestrator", API, API_RUNS_NOTHING),
    never("greenroom_processing", API, API_RUNS_NOTHING),
    never("greenroom_reader", API, API_RUNS_NOTHING),
    never(
        "crate::worker",
        API,
        "api and worker never import each other",
    ),
    never("crate::commands", API, "commands are above api"),
    never(
        "crate::api",
        WORKER,
        "api and worker never import each other",
    ),
    never("crate::commands", WORKER, "commands are above worker"),
    never(
        "greenroom_query",
        WORKER,
        "the read index belongs to the API",
    ),
    never(
        "tokio::",
        &[
            "host/crates/orchestrator/",
            "host/crates/query/",
            "host/crates/model/",
        ],
        "a pure crate waits for nothing",
    ),
    never(
        "cap_std::",
        &[
            "host/crates/orchestrator/",
            "host/crates/query/",
            "host/crates/model/",
        ],
        "a pure crate opens nothing",
    ),
    never(
        "std::time::Instant",
        &["host/crates/orchestrator/", "host/crates/model/"],
        "a pure crate has no clock",
    ),
];

impl Confined {
    /// The number of the first line of `source` that breaks this row.
    pub(crate) fn offence(&self, source: &Source) -> Option<usize> {
        let under = |prefixes: &[&str]| {
            prefixes
                .iter()
                .any(|prefix| source.path.starts_with(prefix))
        };
        if (!self.within.is_empty() && !under(self.within)) || under(self.only) {
            return None;
        }
        source
            .text
            .lines()
            .position(|line| {
                !line.trim_start().starts_with("//")
                    && line.split(" // ").any(|code| speaks(code, self.name))
            })
            .map(|index| index + 1)
    }
}

/// Whether `name` stands in `code` as a word of its own and not as the end of a longer one.
fn speaks(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part_of_word(before) && (name.ends_with(':') || !part_of_word(after))
    })
}

/// Every Rust file of the repository.
pub(crate) fn all(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    for top in ["guest-sdk", "host", "processors", "tests"] {
        collect(root, &root.join(top), &mut found);
    }
    assert!(found.len() > 50, "the sources were found");
    found
}

/// What ships: without tests, examples and build scripts, each file cut at its test module.
pub(crate) fn production(root: &Path) -> Vec<Source> {
    let mut found = all(root);
    found.retain(|source| {
        let in_crate = source.path.strip_prefix("tests/").unwrap_or(&source.path);
        !in_crate.split('/').any(|part| {
            matches!(
                part,
                "tests" | "tests.rs" | "examples" | "benches" | "build.rs"
            )
        })
    });
    for source in &mut found {
        if let Some(at) = source.text.find("#[cfg(test)]\nmod tests {") {
            source.text.truncate(at);
        }
    }
    found
}

fn collect(root: &Path, directory: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).expect("a directory of the repository") {
        let path = entry.expect("an entry of it").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(name, "target" | "node_modules" | "fixtures") {
                collect(root, &path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path
                .strip_prefix(root)
                .expect("below the root")
                .to_string_lossy()
                .replace('\\', "/");
            let text = fs::read_to_string(&path).expect("a source file");
            found.push(Source {
                path: relative,
                text,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offence(path: &str, text: &str) -> Vec<&'static str> {
        let source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        CONFINED
            .iter()
            .filter(|row| row.offence(&source).is_some())
            .map(|row| row.name)
            .collect()
    }

    #[test]
    fn a_name_outside_its_place_is_found() {
        assert_eq!(
            offence("host/src/worker/claim.rs", "use axum::Router;"),
            ["axum::"]
        );
        assert_eq!(
            offence("host/src/api/entities.rs", "use greenroom_sandbox::Engine;"),
            ["greenroom_sandbox"]
        );
        assert_eq!(
            offence("host/crates/model/src/a.rs", "use tokio::sync;"),
            ["tokio::"]
        );
    }

    #[test]
    fn comments_and_longer_words_are_not() {
        assert!(
            offence(
                "host/src/worker.rs",
                "// use axum::Router;\n//! anyhow\nmy_axum::f();"
            )
            .is_empty()
        );
        assert!(offence("host/src/api/router.rs", "use axum::Router;").is_empty());
        assert!(offence("tests/support/src/lib.rs", "use anyhow::Result;").is_empty());
    }
}
