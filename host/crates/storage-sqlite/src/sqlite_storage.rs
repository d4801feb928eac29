//! The handle: one writer, a few readers, one connection that watches for commits.
//!
//! A write is committed, and seen by every later read, when its future answers.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_model::{Clock, Timestamp};
use greenroom_storage::{AuditEntry, OwedAudit, Quotas, StorageError};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::clock::StorageClock;
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
    quotas: Quotas,
    owed: OwedAudit,
}

/// When a commit is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durable {
    /// When it is answered.
    Now,
    /// With the next one that waits.
    Later,
}

struct Shared {
    clock: Arc<StorageClock>,
    writes: mpsc::Sender<WriteJob>,
    reads: mpsc::Sender<ReadJob>,
    /// Never writes, so that every commit of anybody changes its `data_version`.
    watcher: Mutex<Connection>,
    /// Operations that have failed.
    failures: AtomicU64,
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
                clock: Arc::new(StorageClock::new(clock)),
                writes: writer::start(conn).map_err(no_thread)?,
                reads: readers::start(connections).map_err(no_thread)?,
                watcher: Mutex::new(watcher),
                failures: AtomicU64::new(0),
            }),
            quotas: Quotas::default(),
            owed: OwedAudit::default(),
        })
    }

    /// The same, with other quotas of tenants for whom nothing is set.
    #[must_use]
    pub fn with_quotas(self, quotas: Quotas) -> SqliteStorage {
        SqliteStorage { quotas, ..self }
    }

    /// The same, for one change.
    pub(crate) fn owing(&self, entry: AuditEntry) -> SqliteStorage {
        SqliteStorage {
            owed: OwedAudit::of(entry),
            ..self.clone()
        }
    }

    /// The same, for what is tidied up beside the change.
    pub(crate) fn without_record(&self) -> SqliteStorage {
        SqliteStorage {
            owed: OwedAudit::default(),
            ..self.clone()
        }
    }

    /// The quotas of tenants for whom nothing is set.
    pub(crate) fn default_quotas(&self) -> Quotas {
        self.quotas
    }

    /// The storage's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Runs `job` on the writer, in one transaction that commits if it answers `Ok`, and is on the disk then.
    pub(crate) async fn write<T, F>(
        &self,
        operation: &'static str,
        job: F,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.commit(operation, Durable::Now, job).await
    }

    /// As [`SqliteStorage::write`], for what a worker does of itself and does again where the machine loses power, such as a claim:
    /// its commit does not wait for the disk. The next one that does takes it along.
    pub(crate) async fn write_unsynced<T, F>(
        &self,
        operation: &'static str,
        job: F,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.commit(operation, Durable::Later, job).await
    }

    async fn commit<T, F>(
        &self,
        operation: &'static str,
        durable: Durable,
        job: F,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (clock, quotas) = (Arc::clone(&self.shared.clock), self.quotas);
        let owed = self.owed.clone();
        self.on_writer(operation, move |conn| {
            if durable == Durable::Now {
                return writer::transact(conn, &clock, quotas, &owed, job);
            }
            if let Err(error) = connection::wait_for_disk(conn, false) {
                return (Err(error), false);
            }
            let done = writer::transact(conn, &clock, quotas, &owed, job);
            match connection::wait_for_disk(conn, true) {
                Ok(()) => done,
                Err(error) => (Err(error), false),
            }
        })
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
            return Err(self.failure(gone(operation)));
        }
        let result = answer.await.map_err(|_| self.failure(gone(operation)))?;
        result.map_err(|error| self.failure(storage_error(operation, error)))
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
            return Err(self.failure(gone(operation)));
        }
        let result = answer.await.map_err(|_| self.failure(gone(operation)))?;
        result.map_err(|error| self.failure(storage_error(operation, error)))
    }

    /// How many operations have failed.
    pub(crate) fn failed(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    fn failure(&self, error: StorageError) -> StorageError {
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        error
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    use greenroom_storage::conformance::TestClock;
    use greenroom_storage::{Maintenance, TenantRepository};

    /// A storage on a new file, its clock, and the directory that must outlive it.
    pub(crate) fn new_storage() -> (SqliteStorage, Arc<TestClock>, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::new());
        let path = directory.path().join("catalog.db");
        let storage = SqliteStorage::open(&path, clock.clone()).unwrap();
        (storage, clock, directory)
    }

    /// Runs a test's future.
    pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn a_write_that_panics_or_fails_is_rolled_back_and_the_writer_lives() {
        let (storage, _clock, _directory) = new_storage();
        let insert = "INSERT INTO tenant_seq (tenant_id, epoch, seq) VALUES (1, 'e', 0)";
        block_on(async {
            let panicked = storage
                .write::<(), _>("panic", move |tx| {
                    tx.run(insert, [])?;
                    panic!("on purpose")
                })
                .await;
            assert!(matches!(
                panicked,
                Err(StorageError::Failed {
                    operation: "panic",
                    ..
                })
            ));
            let failed = storage
                .write::<(), _>("fail", move |tx| {
                    tx.run(insert, [])?;
                    Err(rusqlite::Error::QueryReturnedNoRows)
                })
                .await;
            assert!(matches!(
                failed,
                Err(StorageError::Failed {
                    operation: "fail",
                    ..
                })
            ));
            let rows = storage
                .write("insert", move |tx| tx.run(insert, []))
                .await
                .unwrap();
            assert_eq!(rows, 1);
        });
    }

    #[test]
    fn a_read_that_panics_leaves_the_readers_alive_and_a_reader_cannot_write() {
        let (storage, _clock, _directory) = new_storage();
        block_on(async {
            for _ in 0..2 * READERS {
                let panicked = storage
                    .read::<(), _>("panic", |_| panic!("on purpose"))
                    .await;
                assert!(panicked.is_err());
            }
            let written = storage
                .read("write", |conn| conn.execute("DELETE FROM tenants", []))
                .await;
            assert!(written.is_err());
            storage.ping().await.unwrap();
            assert!(storage.list_tenants().await.unwrap().is_empty());
        });
    }

    #[test]
    fn a_caller_that_goes_away_leaves_its_write_whole() {
        let (storage, _clock, _directory) = new_storage();
        block_on(async {
            let insert = "INSERT INTO tenant_seq (tenant_id, epoch, seq) VALUES (1, 'e', 0)";
            {
                let write = storage.write("insert", move |tx| tx.run(insert, []));
                let mut write = std::pin::pin!(write);
                let once = std::future::poll_fn(|cx| {
                    drop(write.as_mut().poll(cx));
                    std::task::Poll::Ready(())
                });
                once.await;
            }
            // The queue is in order, so the abandoned write is done before this one.
            let count = storage
                .write("count", |tx| {
                    tx.query_row("SELECT count(*) FROM tenant_seq", [], |row| {
                        row.get::<_, i64>(0)
                    })
                })
                .await;
            assert_eq!(count.unwrap(), 1);
        });
    }

    #[test]
    fn s05_a_write_without_room_is_full_and_reads_and_later_writes_are_not() {
        let (storage, _clock, _directory) = new_storage();
        let insert =
            "INSERT INTO tenant_seq (tenant_id, epoch, seq) VALUES (1, zeroblob(1000000), 0)";
        let pages = |pages: u32| {
            block_on(storage.on_writer("limit the pages", move |conn| {
                let told = conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
                (told, false)
            }))
            .unwrap();
        };
        // No more than there are.
        pages(1);
        let refused = block_on(storage.write("insert", move |tx| tx.run(insert, [])));
        let refused = refused.unwrap_err();
        assert!(
            matches!(
                refused,
                StorageError::Full {
                    operation: "insert",
                    ..
                }
            ),
            "{refused:?}"
        );
        assert!(refused.retryable());
        block_on(storage.ping()).unwrap();
        pages(u32::MAX);
        block_on(storage.write("insert", move |tx| tx.run(insert, []))).unwrap();
    }

    #[test]
    fn s05_what_cannot_grow_is_full_and_what_cannot_be_read_is_not() {
        use rusqlite::ffi;
        let of = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            storage_error("write", error)
        };
        for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(matches!(of(code), StorageError::Full { .. }), "{code}");
        }
        assert!(matches!(
            of(ffi::SQLITE_IOERR_READ),
            StorageError::Failed { .. }
        ));
    }

    #[test]
    fn a_lock_held_elsewhere_is_busy_and_may_be_tried_again() {
        let (storage, _clock, directory) = new_storage();
        let other = Connection::open(directory.path().join("catalog.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let result = block_on(storage.on_writer("write", |conn| {
            // Without the wait of 5 s.
            let result = conn
                .busy_timeout(std::time::Duration::ZERO)
                .and_then(|()| conn.execute("DELETE FROM tenants", []));
            (result, false)
        }));
        assert!(result.unwrap_err().retryable());
        other.execute_batch("ROLLBACK").unwrap();
        block_on(storage.write("write", |tx| tx.run("DELETE FROM tenants", []))).unwrap();
    }
}
