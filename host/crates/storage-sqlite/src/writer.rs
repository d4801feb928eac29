//! The one writer of the process: a thread, a connection and a bounded queue (design note Q2).
//!
//! SQLite has one write lock for all processes, and its busy handler sleeps and is not a queue. So within a process
//! writes wait in order here, each runs in `BEGIN IMMEDIATE` (a read transaction that upgrades would fail at once), and
//! after a long one the lock stays free for 2 ms so that the other process gets its turn.
//!
//! A job that panics is rolled back and answered as failed; the thread lives on. A caller that goes away does not stop
//! its job: it either commits whole or not at all.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use greenroom_model::Timestamp;
use greenroom_storage::{AuditEntry, OwedAudit, Quotas};
use rusqlite::{Connection, Params, Transaction, TransactionBehavior};
use tokio::sync::mpsc;

use crate::audit;
use crate::clock::StorageClock;
use crate::connection::wait_for_disk;
use crate::damage::is_busy;
use crate::statement;

/// Jobs that may wait; further callers wait to enter the queue.
const QUEUE: usize = 256;
/// Rows from which on a transaction counts as long.
const LONG_ROWS: usize = 100;
/// Time from which on it does, without the commit: that waits for the disk and says nothing about the work.
const LONG: Duration = Duration::from_millis(5);
/// The pause after a long transaction.
const GAP: Duration = Duration::from_millis(2);
/// How often a busy lock is waited for (5 s each) before the caller is told.
const BUSY_ATTEMPTS: u32 = 2;

/// A unit of work on the writer's connection; answers whether it was long.
pub(crate) type WriteJob = Box<dyn FnOnce(&mut Connection) -> bool + Send>;

/// Starts the writer's thread; it ends when the last sender is gone.
pub(crate) fn start(conn: Connection) -> std::io::Result<mpsc::Sender<WriteJob>> {
    let (sender, jobs) = mpsc::channel(QUEUE);
    thread::Builder::new()
        .name("sqlite-writer".into())
        .spawn(move || work(conn, jobs))?;
    Ok(sender)
}

fn work(mut conn: Connection, mut jobs: mpsc::Receiver<WriteJob>) {
    while let Some(job) = jobs.blocking_recv() {
        let long = catch_unwind(AssertUnwindSafe(|| job(&mut conn))).unwrap_or_else(|_| {
            tracing::error!("a storage write panicked and was rolled back");
            if let Err(error) = wait_for_disk(&conn, true) {
                tracing::error!(%error, "commits may not wait for the disk any more");
            }
            false
        });
        if long && !jobs.is_empty() {
            thread::sleep(GAP);
        }
    }
}

/// A write transaction: the connection, the instant it runs at and how many rows it changed.
pub(crate) struct WriteTx<'conn> {
    tx: Transaction<'conn>,
    now: Timestamp,
    quotas: Quotas,
    rows: usize,
    record: Option<AuditEntry>,
}

impl WriteTx<'_> {
    /// The instant of this transaction by the storage's clock, taken when it began.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// [`WriteTx::now`] as stored: milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now.0
    }

    /// The quotas of tenants for whom nothing is set.
    pub(crate) fn default_quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Adds to the record of the audit log what only this transaction knows.
    pub(crate) fn complete_record(&mut self, add: impl FnOnce(&mut AuditEntry)) {
        if let Some(record) = &mut self.record {
            add(record);
        }
    }

    /// What it changes is not what its caller asked for: it appends no record.
    pub(crate) fn leave_no_record(&mut self) {
        self.record = None;
    }

    /// Runs a statement; answers the number of rows it changed.
    pub(crate) fn run(&mut self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        let rows = statement::run(&self.tx, sql, params)?;
        self.rows += rows;
        Ok(rows)
    }
}

/// Queries go to the connection; changes go through [`WriteTx::run`], which counts them.
impl Deref for WriteTx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.tx
    }
}

/// Runs `job` in one immediate transaction; answers its result and whether the transaction was long. What is owed to the audit log is
/// appended where it changed something.
pub(crate) fn transact<T>(
    conn: &mut Connection,
    clock: &StorageClock,
    quotas: Quotas,
    owed: &OwedAudit,
    job: impl FnOnce(&mut WriteTx<'_>) -> rusqlite::Result<T>,
) -> (rusqlite::Result<T>, bool) {
    if let Err(error) = clock.follow(conn) {
        return (Err(error), false);
    }
    let mut attempt = 1;
    let tx = loop {
        // Unchecked, because the borrow checker does not see that a failed attempt leaves nothing borrowed.
        match Transaction::new_unchecked(conn, TransactionBehavior::Immediate) {
            Ok(tx) => break tx,
            Err(error) if is_busy(&error) && attempt < BUSY_ATTEMPTS => attempt += 1,
            Err(error) => return (Err(error), false),
        }
    };
    let mut tx = WriteTx {
        tx,
        now: clock.now(),
        quotas,
        rows: 0,
        record: owed.record(),
    };
    let before = tx.total_changes();
    let began = Instant::now();
    // On an error `tx` is dropped, which rolls back.
    let result = job(&mut tx).and_then(|value| {
        let record = tx.record.take().filter(|_| tx.total_changes() > before);
        if let Some(record) = &record {
            audit::append(&mut tx, record)?;
        }
        let WriteTx { tx, rows, .. } = tx;
        let long = rows >= LONG_ROWS || began.elapsed() >= LONG;
        tx.commit()?;
        if record.is_some() {
            owed.written();
        }
        Ok((value, long))
    });
    match result {
        Ok((value, long)) => (Ok(value), long),
        Err(error) => (Err(error), false),
    }
}
