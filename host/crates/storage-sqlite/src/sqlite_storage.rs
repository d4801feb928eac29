//! The handle: one writer, a few readers, one connection that watches for commits.
//!
//! A write is committed, and seen by every later read, when its future answers.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_model::{Clock, Timestamp};
use greenroom_storage::StorageError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::damage::storage_error;
use crate::readers::{self, ReadJob};
use crate::writer::{self, WriteJob, WriteTx};
use crate::{connection, filesystem, migrations};

/// Reader threads: readers mostly wait for the page cache, and a laptop has few cores.
const READERS: usize = 4;

/// A catalog in one SQLite file. Cheap to clone; its threads end with the last clone.
#[derive(Clone)]
pub struct SqliteStorage {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    writes: mpsc::Sender<WriteJob>,
    reads: mpsc::Sender<ReadJob>,
    /// Never writes, so that every commit of anybody changes its `data_version`.
    watcher: Mutex<Connection>,
}

impl SqliteStorage {
    /// Opens the file, makes it if it is not there, and brings its schema to the newest version. Blocks.
    ///
    /// # Errors
    /// [`StorageError::NewerSchema`] for a file of a newer binary, [`StorageError::Failed`] for a network file system or
    /// a file that is not ours, [`StorageError::Busy`] while another process holds it.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<SqliteStorage, StorageError> {
        const OPERATION: &str = "open the database";
        let failed = |error| storage_error(OPERATION, error);
        filesystem::refuse_network(path)?;
        let mut conn = connection::open_writer(path).map_err(failed)?;
        migrations::migrate(&mut conn)?;
        let watcher = connection::open_reader(path).map_err(failed)?;
        let connections = (0..READERS)
            .map(|_| connection::open_reader(path))
            .collect::<rusqlite::Result<Vec<_>>>()
            .map_err(failed)?;
        let no_thread = |error| StorageError::Failed {
            operation: "start a storage thread",
            source: Box::new(error),
        };
        Ok(SqliteStorage {
            shared: Arc::new(Shared {
                clock,
                writes: writer::start(conn).map_err(no_thread)?,
                reads: readers::start(connections).map_err(no_thread)?,
                watcher: Mutex::new(watcher),
            }),
        })
    }

    /// The storage's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Runs `job` on the writer, in one transaction that commits if it answers `Ok`.
    pub(crate) async fn write<T, F>(
        &self,
        operation: &'static str,
        job: F,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let clock = Arc::clone(&self.shared.clock);
        self.on_writer(operation, move |conn| writer::transact(conn, &clock, job))
            .await
    }

    /// Runs `job` on the writer's connection outside a transaction; it answers whether it held the lock long.
    pub(crate) async fn on_writer<T, F>(
        &self,
        operation: &'static str,
        job: F,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> (rusqlite::Result<T>, bool) + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: WriteJob = Box::new(move |conn| {
            let (result, long) = job(conn);
            // Nobody may be waiting any more; what is committed stays committed.
            drop(reply.send(result));
            long
        });
        if self.shared.writes.send(job).await.is_err() {
            return Err(gone(operation));
        }
        let result = answer.await.map_err(|_| gone(operation))?;
        result.map_err(|error| storage_error(operation, error))
    }

    /// Runs `job` on a reader, in one read transaction.
    pub(crate) async fn read<T, F>(
        &self,
        operation: &'static str,
        job: F,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |conn| {
            // A caller that has gone needs no answer.
            if !reply.is_closed() {
                drop(reply.send(readers::snapshot(conn, job)));
            }
        });
        if self.shared.reads.send(job).await.is_err() {
            return Err(gone(operation));
        }
        let result = answer.await.map_err(|_| gone(operation))?;
        result.map_err(|error| storage_error(operation, error))
    }

    /// `PRAGMA data_version` of a connection that never writes.
    pub(crate) fn commits_seen(&self) -> rusqlite::Result<u64> {
        let watcher = self
            .shared
            .watcher
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut statement = watcher.prepare_cached("PRAGMA data_version")?;
        statement.query_row([], |row| crate::damage::unsigned(row, 0, "data_version"))
    }
}

/// The thread dropped the job without an answer: it panicked, and its transaction was rolled back.
fn gone(operation: &'static str) -> StorageError {
    StorageError::Failed {
        operation,
        source: "the storage thread gave no answer".into(),
    }
}
