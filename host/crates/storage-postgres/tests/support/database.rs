//! A new database that a test may also reach into with SQL, as a defect, a restore or a hand would.

use std::sync::Arc;

use greenroom_storage::StorageError;
use greenroom_storage::conformance::TestClock;
use greenroom_storage_postgres::PostgresStorage;
use greenroom_test_postgres::{cluster, skipped};
use tokio_postgres::NoTls;

/// A database of the cluster, and the clock of everybody who opens it.
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) clock: Arc<TestClock>,
}

impl Database {
    /// `None` where there is no Postgres.
    pub(crate) fn new() -> Option<Database> {
        if skipped() {
            return None;
        }
        Some(Database {
            url: cluster().database(),
            clock: Arc::new(TestClock::new()),
        })
    }

    /// Opens it, as another process would.
    pub(crate) async fn try_open(&self) -> Result<PostgresStorage, StorageError> {
        PostgresStorage::open_with_clock(&self.url.parse().unwrap(), self.clock.clone()).await
    }

    pub(crate) async fn open(&self) -> PostgresStorage {
        self.try_open().await.unwrap()
    }

    /// Runs one statement; answers how many rows it changed, or the number that it answers with.
    #[expect(
        clippy::disallowed_methods,
        reason = "the driver's task ends with its client, and is awaited"
    )]
    pub(crate) async fn sql(&self, sql: &str) -> i64 {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        let task = tokio::spawn(connection);
        let found = if sql.starts_with("SELECT") {
            client.query_one(sql, &[]).await.unwrap().get(0)
        } else {
            client.execute(sql, &[]).await.unwrap() as i64
        };
        drop(client);
        task.await.unwrap().unwrap();
        found
    }

    /// Runs a statement that changes something.
    pub(crate) async fn write(&self, sql: &str) {
        assert!(self.sql(sql).await > 0, "{sql}");
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
