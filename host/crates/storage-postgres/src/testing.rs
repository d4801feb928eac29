//! For tests that look inside: a new database each, with the schema in it, and what this crate says to it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use greenroom_storage::conformance::TestClock;
use greenroom_test_postgres::{cluster, skipped};
use tokio::runtime::{Builder, Runtime};

use crate::{DatabaseUrl, PostgresStorage};

const TEMPLATE: &str = "with_schema";

/// Runs a test on a database with the schema, whose time is a clock that the test turns.
pub(crate) fn run(test: impl AsyncFnOnce(&PostgresStorage, &TestClock)) {
    if skipped() {
        return;
    }
    let url = new_database();
    runtime().block_on(async {
        let clock = Arc::new(TestClock::new());
        let storage = PostgresStorage::open_with_clock(&parse(&url), clock.clone())
            .await
            .unwrap();
        test(&storage, &clock).await;
    });
}

/// The URL of a new database with the schema.
pub(crate) fn new_database() -> String {
    static SCHEMA: OnceLock<()> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let made = cluster().execute("postgres", &format!("CREATE DATABASE {TEMPLATE}"));
        made.unwrap();
        // The runtime's end closes the connections; a database in use cannot be copied.
        runtime().block_on(async {
            let url = cluster().url(TEMPLATE);
            PostgresStorage::open(&parse(&url)).await.unwrap();
        });
    });
    cluster().copy_of(TEMPLATE)
}

pub(crate) fn parse(url: &str) -> DatabaseUrl {
    url.parse().unwrap()
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Every literal of the crate's sources that is a statement.
pub(crate) fn statements() -> Vec<String> {
    let mut sources = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut sources,
    );
    let mut statements = Vec::new();
    for source in &sources {
        // What tests say is not what runs.
        let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for start in source.match_indices('"').map(|(place, _)| place + 1) {
            let literal = source[start..].split('"').next().unwrap();
            let verbs = ["SELECT ", "UPDATE ", "DELETE ", "INSERT ", "WITH "];
            // What is made from a description is planned as it is made.
            let made = literal.contains('{');
            if !made && verbs.iter().any(|verb| literal.starts_with(verb)) {
                statements.push(literal.to_owned());
            }
        }
    }
    statements
}

#[expect(clippy::disallowed_methods, reason = "a test of its own sources")]
fn collect(folder: &Path, sources: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if !["plans.rs", "testing.rs", "tests.rs", "upgrade.rs"]
            .iter()
            .any(|test| path.ends_with(test))
        {
            sources.push(std::fs::read_to_string(path).unwrap());
        }
    }
}
