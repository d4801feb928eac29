//! A few reader threads, each with a connection, on one bounded queue.
//!
//! A read runs in one deferred transaction, so its statements see one moment; it is short, because an open snapshot
//! stops the WAL from being checkpointed. Nothing is streamed from here: a job answers with what it read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rusqlite::Connection;
use tokio::sync::mpsc;

/// Reads that may wait; further callers wait to enter the queue.
const QUEUE: usize = 1024;

/// A read on one of the connections.
pub(crate) type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// Starts one thread per connection; they end when the last sender is gone.
pub(crate) fn start(connections: Vec<Connection>) -> std::io::Result<mpsc::Sender<ReadJob>> {
    let (sender, jobs) = mpsc::channel(QUEUE);
    let jobs = Arc::new(Mutex::new(jobs));
    for conn in connections {
        let jobs = Arc::clone(&jobs);
        thread::Builder::new()
            .name("sqlite-reader".into())
            .spawn(move || work(&conn, &jobs))?;
    }
    Ok(sender)
}

fn work(conn: &Connection, jobs: &Mutex<mpsc::Receiver<ReadJob>>) {
    while let Some(job) = next(jobs) {
        if catch_unwind(AssertUnwindSafe(|| job(conn))).is_err() {
            tracing::error!("a storage read panicked");
        }
    }
}

/// One idle thread waits for a job, the others for the lock; it is free again before the job runs.
fn next(jobs: &Mutex<mpsc::Receiver<ReadJob>>) -> Option<ReadJob> {
    jobs.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .blocking_recv()
}

/// Runs `job` in one read transaction.
pub(crate) fn snapshot<T>(
    conn: &Connection,
    job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let tx = conn.unchecked_transaction()?;
    let value = job(&tx)?;
    tx.commit()?;
    Ok(value)
}
