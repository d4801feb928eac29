//! For tests that look inside: a new database each, with the schema in it.

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
