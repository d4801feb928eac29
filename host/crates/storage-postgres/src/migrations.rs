//! The schema's versions: numbered, embedded, forward-only.
//!
//! `schema_version` holds the newest one applied. A migration and its number commit together. Processes that start at once
//! take turns by an advisory lock, so migrations run once.

use greenroom_storage::{SchemaPlan, StorageError};

use crate::PostgresStorage;
use crate::connection::DatabaseUrl;
use crate::damage::{storage_error, value};

const OPERATION: &str = "migrate the schema";
/// The advisory lock of migrations ("migrate" in ASCII).
const LOCK: i64 = 0x006d_6967_7261_7465;

/// Version n is the n-th entry, a list of scripts run in order.
pub(crate) const MIGRATIONS: &[&[&str]] = &[
    &[
        include_str!("../migrations/0001_directory.sql"),
        include_str!("../migrations/0001_queue.sql"),
    ],
    &[
        include_str!("../migrations/0002_imports.sql"),
        include_str!("../migrations/0002_quotas.sql"),
        include_str!("../migrations/0002_tokens.sql"),
    ],
];

/// The newest version this binary knows.
const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Brings the schema to the newest version.
///
/// # Errors
/// [`StorageError::NewerSchema`] if the database is of a newer binary.
pub(crate) async fn migrate(storage: &PostgresStorage) -> Result<(), StorageError> {
    let failed = |error| storage_error(OPERATION, error);
    let mut client = storage.client(OPERATION).await?;
    let tx = client.transaction().await.map_err(failed)?;
    // A large migration may take longer than a statement of ours; the lock waits for who migrates.
    tx.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        .await
        .map_err(failed)?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(failed)?;
    tx.batch_execute("CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL)")
        .await
        .map_err(failed)?;
    let row = tx
        .query_opt("SELECT version FROM schema_version", &[])
        .await
        .map_err(failed)?;
    let found: i64 = row.map_or(Ok(0), |row| value(&row, 0, "schema_version.version"))?;
    let Some(missing) = usize::try_from(found)
        .ok()
        .and_then(|found| MIGRATIONS.get(found..))
    else {
        return Err(StorageError::NewerSchema {
            found,
            known: KNOWN,
        });
    };
    for script in missing.iter().copied().flatten() {
        tx.batch_execute(script).await.map_err(failed)?;
    }
    if !missing.is_empty() {
        tx.execute("DELETE FROM schema_version", &[])
            .await
            .map_err(failed)?;
        tx.execute(
            "INSERT INTO schema_version (version) VALUES ($1)",
            &[&KNOWN],
        )
        .await
        .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}

/// What [`PostgresStorage::open`] would do to a database; changes nothing.
///
/// # Errors
/// [`StorageError::NewerSchema`] if the database is of a newer binary, and what opening it answers.
pub async fn plan(url: &DatabaseUrl) -> Result<SchemaPlan, StorageError> {
    let storage = PostgresStorage::unopened(url, None)?;
    let there = storage
        .read_one(
            OPERATION,
            "SELECT to_regclass('schema_version') IS NOT NULL",
            &[],
            |row| value::<bool>(row, 0, "pg_class"),
        )
        .await?;
    let found = match there {
        Some(true) => storage
            .read_one(
                OPERATION,
                "SELECT version FROM schema_version",
                &[],
                |row| value(row, 0, "schema_version.version"),
            )
            .await?
            .unwrap_or(0),
        Some(false) | None => 0,
    };
    if found > KNOWN {
        return Err(StorageError::NewerSchema {
            found,
            known: KNOWN,
        });
    }
    Ok(SchemaPlan {
        found,
        known: KNOWN,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_test_postgres::cluster;

    use crate::testing::{new_database, parse, runtime};

    async fn versions(storage: &PostgresStorage) -> Vec<i64> {
        let sql = "SELECT version FROM schema_version";
        let read = storage.read_all("read", sql, &[], |row| value(row, 0, "version"));
        read.await.unwrap()
    }

    #[test]
    fn processes_that_open_an_empty_database_at_once_all_find_it_whole() {
        if greenroom_test_postgres::skipped() {
            return;
        }
        let url = parse(&cluster().database());
        runtime().block_on(async {
            let planned = plan(&url).await.unwrap();
            assert_eq!((planned.found, planned.known), (0, KNOWN));
            let open = || PostgresStorage::open(&url);
            let (a, b, c, d) = tokio::join!(open(), open(), open(), open());
            for storage in [a, b, c, d] {
                assert_eq!(versions(&storage.unwrap()).await, [KNOWN]);
            }
            assert_eq!(plan(&url).await.unwrap().steps(), 0);
        });
    }

    #[test]
    fn a_newer_schema_is_refused_by_name() {
        if greenroom_test_postgres::skipped() {
            return;
        }
        let url = parse(&new_database());
        runtime().block_on(async {
            let storage = PostgresStorage::open(&url).await.unwrap();
            let client = storage.client("raise").await.unwrap();
            let raise = "UPDATE schema_version SET version = version + 1";
            client.batch_execute(raise).await.unwrap();
            let Err(error) = PostgresStorage::open(&url).await else {
                panic!("a newer schema is opened");
            };
            assert!(matches!(
                error,
                StorageError::NewerSchema { found, known } if found == KNOWN + 1 && known == KNOWN
            ));
            assert_eq!(versions(&storage).await, [KNOWN + 1]);
            assert!(plan(&url).await.is_err());
        });
    }

    #[test]
    fn a_migration_that_fails_leaves_nothing() {
        if greenroom_test_postgres::skipped() {
            return;
        }
        let url = parse(&cluster().database());
        runtime().block_on(async {
            let pool = crate::connection::pool(&url).unwrap();
            let client = pool.get().await.unwrap();
            let in_the_way = "CREATE TABLE work (other bigint)";
            client.batch_execute(in_the_way).await.unwrap();
            assert!(PostgresStorage::open(&url).await.is_err());
            let left = client
                .query(
                    "SELECT 1 FROM pg_class WHERE relname IN ('tenants', 'schema_version')",
                    &[],
                )
                .await
                .unwrap();
            assert!(left.is_empty());
            client.batch_execute("DROP TABLE work").await.unwrap();
            let storage = PostgresStorage::open(&url).await.unwrap();
            assert_eq!(versions(&storage).await, [KNOWN]);
        });
    }

    #[test]
    fn s10_a_migration_that_is_cut_off_leaves_nothing_and_the_next_goes_on() {
        if greenroom_test_postgres::skipped() {
            return;
        }
        let url = parse(&cluster().database());
        runtime().block_on(async {
            let pool = crate::connection::pool(&url).unwrap();
            // One that holds the lock and has made half of the tables.
            let mut dying = pool.get().await.unwrap();
            let tx = dying.transaction().await.unwrap();
            tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
                .await
                .unwrap();
            tx.batch_execute(MIGRATIONS[0][0]).await.unwrap();
            let pid = tx.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
            let pid: i32 = pid.get(0);
            // Another waits for its turn, and has it when the first dies.
            let other = pool.get().await.unwrap();
            let (opened, killed) = tokio::join!(PostgresStorage::open(&url), async {
                let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
                while other.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
                    tokio::task::yield_now().await;
                }
                other
                    .execute("SELECT pg_terminate_backend($1)", &[&pid])
                    .await
            });
            killed.unwrap();
            assert_eq!(versions(&opened.unwrap()).await, [KNOWN]);
        });
    }
}
