//! The schema's versions: numbered, embedded, forward-only.
//!
//! `user_version` holds the newest one applied. A migration and its number commit together, so a crash leaves either
//! version whole. Processes that start at once take turns by `BEGIN IMMEDIATE`.

use std::path::Path;

use greenroom_storage::{SchemaPlan, StorageError};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::damage::storage_error;

const OPERATION: &str = "migrate the schema";

/// Version n is the n-th entry, a list of scripts run in order.
const MIGRATIONS: &[&[&str]] = &[
    &[
        include_str!("../migrations/0001_directory.sql"),
        include_str!("../migrations/0001_queue.sql"),
    ],
    &[include_str!("../migrations/0002_settings.sql")],
    &[
        include_str!("../migrations/0003_activations.sql"),
        include_str!("../migrations/0003_compilations.sql"),
    ],
    &[
        include_str!("../migrations/0004_scheduled_tasks.sql"),
        include_str!("../migrations/0004_bundled_settings.sql"),
        include_str!("../migrations/0004_change_etags.sql"),
    ],
    &[
        include_str!("../migrations/0005_healing.sql"),
        include_str!("../migrations/0005_mutations.sql"),
    ],
    &[
        include_str!("../migrations/0006_imports.sql"),
        include_str!("../migrations/0006_quotas.sql"),
        include_str!("../migrations/0006_tokens.sql"),
        include_str!("../migrations/0006_clock.sql"),
    ],
];

/// The newest version this binary knows.
const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Brings the schema to the newest version.
///
/// # Errors
/// [`StorageError::NewerSchema`] if the file is from a newer binary.
pub(crate) fn migrate(conn: &mut Connection) -> Result<(), StorageError> {
    let failed = |error| storage_error(OPERATION, error);
    if version(conn).map_err(failed)? == KNOWN {
        return Ok(());
    }
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let found = version(&tx).map_err(failed)?;
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
        tx.execute_batch(script).map_err(failed)?;
    }
    tx.pragma_update(None, "user_version", KNOWN)
        .map_err(failed)?;
    tx.commit().map_err(failed)
}

/// What [`crate::SqliteStorage::open`] would do to a file; changes and makes nothing.
///
/// # Errors
/// [`StorageError::NewerSchema`] if the file is from a newer binary, [`StorageError::Failed`] if it is no database.
pub fn plan(path: &Path) -> Result<SchemaPlan, StorageError> {
    let failed = |error| storage_error(OPERATION, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(failed)?;
    refuse_newer(&conn)?;
    plan_of(&conn).map_err(failed)
}

/// What opening a file means that is not there.
#[must_use]
pub fn plan_of_nothing() -> SchemaPlan {
    SchemaPlan {
        found: 0,
        known: KNOWN,
    }
}

/// Refuses a database of a newer binary by name.
pub(crate) fn refuse_newer(conn: &Connection) -> Result<(), StorageError> {
    let plan = plan_of(conn).map_err(|error| storage_error(OPERATION, error))?;
    if plan.found > plan.known {
        return Err(StorageError::NewerSchema {
            found: plan.found,
            known: plan.known,
        });
    }
    Ok(())
}

pub(crate) fn plan_of(conn: &Connection) -> rusqlite::Result<SchemaPlan> {
    Ok(SchemaPlan {
        found: version(conn)?,
        known: KNOWN,
    })
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_gets_the_newest_version_and_keeps_it() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        assert_eq!(version(&conn).unwrap(), KNOWN);
        migrate(&mut conn).unwrap();
        assert_eq!(version(&conn).unwrap(), KNOWN);
    }

    #[test]
    fn a_newer_schema_is_refused_by_name() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.pragma_update(None, "user_version", KNOWN + 1).unwrap();
        let error = migrate(&mut conn).unwrap_err();
        assert!(matches!(
            error,
            StorageError::NewerSchema { found, known } if found == KNOWN + 1 && known == KNOWN
        ));
    }

    #[test]
    fn s10_of_migrations_at_once_one_runs_and_one_cut_off_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        // A process that dies in the middle: its transaction is begun, a script is run, and its connection is gone.
        let mut dead = crate::connection::open_writer(&path).unwrap();
        let tx = dead
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        tx.execute_batch(MIGRATIONS[0][0]).unwrap();
        drop(tx);
        drop(dead);
        assert_eq!(plan(&path).unwrap().found, 0);
        let migrated: Vec<_> = std::thread::scope(|scope| {
            let migrating: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| migrate(&mut crate::connection::open_writer(&path).unwrap()))
                })
                .collect();
            migrating
                .into_iter()
                .map(|one| one.join().unwrap())
                .collect()
        });
        assert!(migrated.iter().all(Result::is_ok), "{migrated:?}");
        let done = plan(&path).unwrap();
        assert_eq!((done.found, done.steps()), (KNOWN, 0));
    }
}
