//! A transaction: a connection, what is being done, and the instant it runs at.
//!
//! READ COMMITTED; what must not change between reading and writing is locked (see `graph`). Dropping it, also where a
//! caller goes away in the middle, closes its connection, and the server rolls back: a connection of unknown state never
//! returns to the pool.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Object;
use greenroom_model::Timestamp;
use greenroom_storage::{AuditEntry, OwedAudit, Quotas, StorageError};
use tokio::sync::Notify;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::audit;
use crate::damage::{damaged, storage_error, value};
use crate::statistics::Growth;

/// Parameters of a statement. Their types follow from the statement, so a number for a `bigint` is an `i64`.
pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

#[cfg(test)]
thread_local! {
    /// Statements of this thread's transactions, for tests that count round trips.
    pub(crate) static STATEMENTS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Who is told of commits, and what is written with the first.
pub(crate) struct Written {
    pub(crate) notify: Arc<Notify>,
    pub(crate) growth: Arc<Growth>,
    pub(crate) owed: OwedAudit,
}

/// A transaction that has begun.
pub(crate) struct Transaction {
    /// `None` once it has ended.
    client: Option<Object>,
    operation: &'static str,
    now: Timestamp,
    quotas: Quotas,
    /// Told of its commit; `None` for one that only reads.
    written: Option<Written>,
    /// Rows that it has changed.
    rows: AtomicU64,
    /// The record of the audit log that it appends if it changes something.
    record: Mutex<Option<AuditEntry>>,
    /// Counts what fails.
    failures: Arc<AtomicU64>,
}

impl Transaction {
    /// Begins; `now` is the storage's time where it is not the database's, `quotas` are those of tenants for whom nothing is set.
    /// Without `written` it reads one state of the database and cannot write.
    pub(crate) async fn begin(
        client: Object,
        operation: &'static str,
        now: Option<Timestamp>,
        quotas: Quotas,
        written: Option<Written>,
        failures: Arc<AtomicU64>,
    ) -> Result<Transaction, StorageError> {
        let record = written.as_ref().and_then(|written| written.owed.record());
        let mut tx = Transaction {
            client: Some(client),
            operation,
            now: now.unwrap_or(Timestamp(0)),
            quotas,
            written,
            rows: AtomicU64::new(0),
            record: Mutex::new(record),
            failures: Arc::clone(&failures),
        };
        let failed = |error| {
            failures.fetch_add(1, Ordering::Relaxed);
            storage_error(operation, error)
        };
        let client = tx.client()?;
        let begin = client.batch_execute(if tx.written.is_some() {
            "BEGIN"
        } else {
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        });
        if now.is_some() {
            begin.await.map_err(failed)?;
            return Ok(tx);
        }
        let clock = client
            .prepare_cached("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
            .await
            .map_err(failed)?;
        // Both are sent at once: one round trip.
        let (begun, asked) = tokio::join!(begin, client.query_one(&clock, &[]));
        begun.map_err(failed)?;
        let row = asked.map_err(failed)?;
        tx.now = Timestamp(value(&row, 0, "clock")?);
        Ok(tx)
    }

    /// What is being done, for errors.
    pub(crate) fn operation(&self) -> &'static str {
        self.operation
    }

    /// The instant of this transaction by the storage's clock, taken when it began.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// [`Transaction::now`] as stored: milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now.0
    }

    /// The quotas of tenants for whom nothing is set.
    pub(crate) fn default_quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Adds to the record of the audit log what only this transaction knows.
    pub(crate) fn complete_record(&self, add: impl FnOnce(&mut AuditEntry)) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = record.as_mut() {
            add(record);
        }
    }

    /// What it changes is not what its caller asked for: it appends no record.
    pub(crate) fn leave_no_record(&self) {
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Runs a statement; answers the number of rows it changed.
    pub(crate) async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, StorageError> {
        let client = self.statement()?;
        let statement = client
            .prepare_cached(sql)
            .await
            .map_err(|error| self.failed(error))?;
        let rows = client
            .execute(&statement, params)
            .await
            .map_err(|error| self.failed(error))?;
        self.rows.fetch_add(rows, Ordering::Relaxed);
        Ok(rows)
    }

    /// The rows of a statement. The caller's statement has the bound.
    pub(crate) async fn rows(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StorageError> {
        let client = self.statement()?;
        let statement = client
            .prepare_cached(sql)
            .await
            .map_err(|error| self.failed(error))?;
        let rows = client
            .query(&statement, params)
            .await
            .map_err(|error| self.failed(error))?;
        // What such a statement returns it has changed.
        if sql.contains("RETURNING") {
            self.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        }
        Ok(rows)
    }

    /// All rows, read.
    pub(crate) async fn all<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        read: impl FnMut(&Row) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        self.rows(sql, params).await?.iter().map(read).collect()
    }

    /// The first row, read, if there is one.
    pub(crate) async fn one<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        read: impl FnOnce(&Row) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        self.rows(sql, params).await?.first().map(read).transpose()
    }

    /// The one number that a statement answers, such as a count.
    pub(crate) async fn number(&self, sql: &str, params: Params<'_>) -> Result<i64, StorageError> {
        let number = self.one(sql, params, |row| value(row, 0, "count")).await?;
        number.ok_or_else(|| damaged("count", "no row"))
    }

    /// Commits. The connection goes back to the pool.
    pub(crate) async fn commit(mut self) -> Result<(), StorageError> {
        let record = self.owed_record();
        if let Some(record) = &record {
            audit::append(&self, record).await?;
        }
        self.end("COMMIT").await?;
        if let Some(written) = &self.written {
            written.growth.wrote(self.rows.load(Ordering::Relaxed));
            written.notify.notify_one();
            if record.is_some() {
                written.owed.written();
            }
        }
        Ok(())
    }

    fn owed_record(&self) -> Option<AuditEntry> {
        let changed = self.rows.load(Ordering::Relaxed) > 0;
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.take().filter(|_| changed)
    }

    /// Ends it without a trace, where there turned out to be nothing to write.
    pub(crate) async fn roll_back(mut self) -> Result<(), StorageError> {
        self.end("ROLLBACK").await
    }

    async fn end(&mut self, how: &'static str) -> Result<(), StorageError> {
        self.client()?
            .batch_execute(how)
            .await
            .map_err(|error| self.failed(error))?;
        self.client = None;
        Ok(())
    }

    /// The connection, for one more statement.
    fn statement(&self) -> Result<&Object, StorageError> {
        #[cfg(test)]
        STATEMENTS.with(|made| made.set(made.get() + 1));
        self.client()
    }

    fn client(&self) -> Result<&Object, StorageError> {
        self.client.as_ref().ok_or_else(|| StorageError::Failed {
            operation: self.operation,
            source: "the transaction has ended".into(),
        })
    }

    fn failed(&self, error: tokio_postgres::Error) -> StorageError {
        self.failures.fetch_add(1, Ordering::Relaxed);
        storage_error(self.operation, error)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}
