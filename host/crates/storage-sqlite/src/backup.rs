//! A copy of a file that is in use, and its way back (DESIGN §7).
//!
//! `VACUUM INTO` reads one state of the database and writes a new file without free pages, while others go on reading and writing.
//! Copying the file and its WAL by other means would not be one state. What comes back is looked at whole before it is used,
//! and every change log gets a new epoch: its numbers go on from an older state, so a cursor from before would skip or repeat.

use std::path::Path;

use greenroom_storage::StorageError;
use rusqlite::{Connection, OpenFlags, params};

use crate::damage::{damaged, storage_error};
use crate::{connection, migrations, statement};

/// Writes a copy of the database to `into`, a new or empty file.
///
/// # Errors
/// [`StorageError::NewerSchema`] for a database of a newer binary, [`StorageError::Failed`] where the copy cannot be written,
/// [`StorageError::Damaged`] where what was written does not read back.
pub fn back_up(database: &Path, into: &Path) -> Result<(), StorageError> {
    const OPERATION: &str = "back up the database";
    let failed = |error| storage_error(OPERATION, error);
    let conn = read_only(database).map_err(failed)?;
    migrations::refuse_newer(&conn)?;
    copy(&conn, into).map_err(failed)?;
    let copy = read_only(into).map_err(failed)?;
    check(&copy).map_err(failed)
}

/// Writes the database that a copy holds to `into`, a new or empty file, with this binary's schema and new epochs. Answers
/// the number of tenants.
///
/// # Errors
/// [`StorageError::NewerSchema`] for a copy of a newer binary's database, [`StorageError::Damaged`] for a file that is no
/// copy of ours or not whole, [`StorageError::Failed`] where it cannot be written.
pub fn restore(
    copy_file: &Path,
    into: &Path,
    mut epoch: impl FnMut() -> String,
) -> Result<u64, StorageError> {
    const OPERATION: &str = "restore the database";
    let failed = |error| storage_error(OPERATION, error);
    let from = read_only(copy_file).map_err(failed)?;
    migrations::refuse_newer(&from)?;
    if migrations::plan_of(&from).map_err(failed)?.found == 0 {
        return Err(storage_error(
            OPERATION,
            damaged("user_version", "the file is no database of greenroom"),
        ));
    }
    check(&from).map_err(failed)?;
    copy(&from, into).map_err(failed)?;
    let mut conn = connection::open_writer(into).map_err(failed)?;
    migrations::migrate(&mut conn)?;
    let tx = conn.transaction().map_err(failed)?;
    let tenants: Vec<i64> = statement::all(&tx, "SELECT tenant_id FROM tenant_seq", [], |row| {
        row.get(0)
    })
    .map_err(failed)?;
    for tenant in &tenants {
        statement::run(
            &tx,
            "UPDATE tenant_seq SET epoch = ?2 WHERE tenant_id = ?1",
            params![tenant, epoch()],
        )
        .map_err(failed)?;
    }
    tx.commit().map_err(failed)?;
    // The last connection that closes moves the WAL into the file and removes it.
    conn.close().map_err(|(_, error)| failed(error))?;
    Ok(tenants.len() as u64)
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    // What is damaged or planted in the file's schema must not run code of ours.
    conn.pragma_update(None, "trusted_schema", false)?;
    Ok(conn)
}

fn copy(conn: &Connection, into: &Path) -> rusqlite::Result<()> {
    let into = into
        .to_str()
        .ok_or_else(|| damaged("path", "it is not UTF-8"))?;
    conn.execute("VACUUM INTO ?1", params![into]).map(drop)
}

/// Reads everything once: pages, rows and indexes.
fn check(conn: &Connection) -> rusqlite::Result<()> {
    let found: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        Ok(())
    } else {
        Err(damaged("the database file", found))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests look at the files they name"
)]
mod tests {
    use super::*;

    use greenroom_storage::conformance::tenant;
    use greenroom_storage::{ChangeLog, TenantRepository};

    use crate::SqliteStorage;
    use crate::sqlite_storage::tests::{block_on, new_storage};

    #[test]
    fn a_copy_of_a_file_in_use_comes_back_with_a_new_epoch() {
        let (storage, clock, directory) = new_storage();
        let path = |name: &str| directory.path().join(name);
        block_on(async {
            let id = tenant(&storage, "a").await;
            let before = storage.log_position(id).await.unwrap();
            back_up(&path("catalog.db"), &path("copy.db")).unwrap();
            tenant(&storage, "later").await;
            let restored = restore(&path("copy.db"), &path("restored.db"), || "new".to_owned());
            assert_eq!(restored.unwrap(), 1);
            assert!(!path("restored.db-wal").exists());
            let restored = SqliteStorage::open(&path("restored.db"), clock).unwrap();
            let names = restored.list_tenants().await.unwrap();
            assert_eq!(names.len(), 1);
            let after = restored.log_position(id).await.unwrap();
            assert_eq!((after.epoch.as_str(), after.seq), ("new", before.seq));
            // The copy is as it was.
            assert!(restore(&path("copy.db"), &path("again.db"), || "new".to_owned()).is_ok());
        });
    }

    #[test]
    fn what_is_no_whole_copy_is_refused() {
        let (_storage, _clock, directory) = new_storage();
        let path = |name: &str| directory.path().join(name);
        back_up(&path("catalog.db"), &path("copy.db")).unwrap();
        assert!(back_up(&path("catalog.db"), &path("copy.db")).is_err());
        let whole = std::fs::read(path("copy.db")).unwrap();
        let mut newer = whole.clone();
        newer[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
        let mut foreign = whole.clone();
        foreign[60..64].copy_from_slice(&[0; 4]);
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle..middle + 4096].fill(0x5a);
        for (name, bytes) in [
            ("cut", &whole[..whole.len() / 2]),
            ("newer", &newer),
            ("foreign", &foreign),
            ("changed", &changed),
            (
                "text",
                b"not a database, but long enough to be read as the head of one, surely",
            ),
            ("empty", b""),
        ] {
            std::fs::write(path(name), bytes).unwrap();
            let error = restore(&path(name), &path("out.db"), || "e".to_owned()).unwrap_err();
            assert_eq!(
                matches!(error, StorageError::NewerSchema { found: 9_999, .. }),
                name == "newer",
                "{name}: {error:?}"
            );
            assert!(!path("out.db").exists(), "{name}");
        }
    }
}
