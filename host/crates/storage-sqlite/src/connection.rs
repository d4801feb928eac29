//! Opening a connection with the settings of DESIGN §7 and design note Q5.
//!
//! Not the threads that use them. Every connection of ours has the same settings; only a writer's may write, and what it may lose does
//! not wait for the disk.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::busy::wait_for_others;
use crate::damage::is_busy;

/// Distinct statements kept prepared; above the number this crate has.
const STATEMENT_CACHE: usize = 256;
/// Attempts to switch a file to WAL: that needs the file alone for a moment and does not wait by itself.
const WAL_ATTEMPTS: u32 = 100;

/// Opens the file for reading and writing, making it if it is not there.
pub(crate) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    configure(&mut conn)?;
    use_wal(&conn)?;
    Ok(conn)
}

/// Opens an existing, migrated file for reading.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    // Read-write, because a reader may have to recover the WAL; `query_only` refuses everything else.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    configure(&mut conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn configure(conn: &mut Connection) -> rusqlite::Result<()> {
    wait_for_others(conn)?;
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    conn.pragma_update(None, "foreign_keys", false)?;
    wait_for_disk(conn, true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "wal_autocheckpoint", 1000)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // A plan is made once for all values. Otherwise a table that was analyzed has statements planned again whenever another value is
    // bound: for two of them that was 13 % of what the storage threads did while a backlog was worked off.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // What is damaged or planted in the file's schema must not run code of ours.
    conn.pragma_update(None, "trusted_schema", false)
}

/// Whether commits wait until they are on the disk. Without, a WAL that loses power has lost the last ones, and nothing else.
pub(crate) fn wait_for_disk(conn: &Connection, wait: bool) -> rusqlite::Result<()> {
    let synchronous = if wait { "FULL" } else { "NORMAL" };
    conn.pragma_update(None, "synchronous", synchronous)
}

fn use_wal(conn: &Connection) -> rusqlite::Result<()> {
    let mut attempts = 0;
    loop {
        match conn
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        {
            Ok(mode) if mode == "wal" => return Ok(()),
            Err(error) if !is_busy(&error) || attempts >= WAL_ATTEMPTS => return Err(error),
            Ok(mode) if attempts >= WAL_ATTEMPTS => {
                return Err(crate::damage::damaged(
                    "journal_mode",
                    format!("`{mode}`, not wal"),
                ));
            }
            Ok(_) | Err(_) => {
                attempts += 1;
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
