//! Proves that entities, edges and queues do what the traits promise: the second half of the suite, each test on a new file.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

use std::pin::Pin;
use std::sync::Arc;

use greenroom_storage::Storage;
use greenroom_storage::conformance::TestClock;
use greenroom_storage_sqlite::SqliteStorage;

fn run(
    test: impl for<'a> FnOnce(&'a dyn Storage, &'a TestClock) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
) {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock::new());
    let storage = SqliteStorage::open(&directory.path().join("catalog.db"), clock.clone()).unwrap();
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(test(&storage, &clock));
}

greenroom_storage::queue_conformance!(crate::run);
