//! A new database for each test, with the schema in it.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use greenroom_storage::Storage;
use greenroom_storage::conformance::TestClock;
use greenroom_storage_postgres::{DatabaseUrl, PostgresStorage};
use greenroom_test_postgres::{cluster, skipped};

const TEMPLATE: &str = "with_schema";

pub(crate) fn run(
    test: impl for<'a> FnOnce(&'a dyn Storage, &'a TestClock) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
) {
    if skipped() {
        return;
    }
    static SCHEMA: OnceLock<()> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        cluster()
            .execute("postgres", &format!("CREATE DATABASE {TEMPLATE}"))
            .unwrap();
        // The runtime's end closes the connections; a database in use cannot be copied.
        block_on(async {
            PostgresStorage::open(&parse(&cluster().url(TEMPLATE)))
                .await
                .unwrap();
        });
    });
    let url = cluster().copy_of(TEMPLATE);
    block_on(async {
        let clock = Arc::new(TestClock::new());
        let storage = PostgresStorage::open_with_clock(&parse(&url), clock.clone())
            .await
            .unwrap();
        test(&storage, &clock).await;
    });
}

fn parse(url: &str) -> DatabaseUrl {
    url.parse().unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
