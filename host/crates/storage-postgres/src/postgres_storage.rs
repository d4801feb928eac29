//! The handle: a pool of connections and the clock.
//!
//! A write is committed, and seen by every later read, when its future answers. A future that is dropped has written all
//! or nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use deadpool_postgres::{Object, Pool, PoolError};
use greenroom_model::{Clock, Timestamp};
use greenroom_storage::{AuditEntry, OwedAudit, Quotas, StorageError};
use tokio::sync::Notify;

use crate::connection::{self, DatabaseUrl};
use crate::damage::storage_error;
use crate::migrations;
use crate::statistics::Growth;
use crate::transaction::{Transaction, Written};

/// A catalog in a Postgres database. Cheap to clone.
#[derive(Clone)]
pub struct PostgresStorage {
    url: DatabaseUrl,
    pool: Pool,
    /// A test's clock; `None` for the database's own.
    clock: Option<Arc<dyn Clock>>,
    quotas: Quotas,
    owed: OwedAudit,
    /// Something was committed, which the others are to be told.
    written: Arc<Notify>,
    /// How much was committed.
    growth: Arc<Growth>,
    /// Operations that have failed.
    failures: Arc<AtomicU64>,
    /// The database's time when a transaction last began, and when that was by a clock that nobody sets.
    seen: Arc<Mutex<(Timestamp, Instant)>>,
}

impl PostgresStorage {
    /// Connects, and brings the schema to the newest version. Time is the database's.
    ///
    /// # Errors
    /// [`StorageError::NewerSchema`] for a database of a newer binary, [`StorageError::Busy`] while it cannot be reached,
    /// [`StorageError::Failed`] for what refuses us.
    pub async fn open(url: &DatabaseUrl) -> Result<PostgresStorage, StorageError> {
        Self::open_at(url, None).await
    }

    /// As [`PostgresStorage::open`], with a clock that a test turns.
    ///
    /// # Errors
    /// As [`PostgresStorage::open`].
    pub async fn open_with_clock(
        url: &DatabaseUrl,
        clock: Arc<dyn Clock>,
    ) -> Result<PostgresStorage, StorageError> {
        Self::open_at(url, Some(clock)).await
    }

    async fn open_at(
        url: &DatabaseUrl,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<PostgresStorage, StorageError> {
        let storage = Self::unopened(url, clock)?;
        migrations::migrate(&storage).await?;
        // So that the time is known from the first moment on.
        let looked = storage.snapshot("read the time").await?;
        looked.roll_back().await?;
        Ok(storage)
    }

    /// A handle on a database of any schema.
    pub(crate) fn unopened(
        url: &DatabaseUrl,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<PostgresStorage, StorageError> {
        Ok(PostgresStorage {
            url: url.clone(),
            pool: connection::pool(url)?,
            clock,
            quotas: Quotas::default(),
            owed: OwedAudit::default(),
            written: Arc::default(),
            growth: Arc::default(),
            failures: Arc::default(),
            seen: Arc::new(Mutex::new((Timestamp(0), Instant::now()))),
        })
    }

    /// The same, with other quotas of tenants for whom nothing is set.
    #[must_use]
    pub fn with_quotas(self, quotas: Quotas) -> PostgresStorage {
        PostgresStorage { quotas, ..self }
    }

    /// The same, for one change.
    pub(crate) fn owing(&self, entry: AuditEntry) -> PostgresStorage {
        PostgresStorage {
            owed: OwedAudit::of(entry),
            ..self.clone()
        }
    }

    /// The same, for what is tidied up beside the change.
    pub(crate) fn without_record(&self) -> PostgresStorage {
        PostgresStorage {
            owed: OwedAudit::default(),
            ..self.clone()
        }
    }

    /// The quotas of tenants for whom nothing is set.
    pub(crate) fn default_quotas(&self) -> Quotas {
        self.quotas
    }

    /// Begins a transaction that may write.
    pub(crate) async fn begin(&self, operation: &'static str) -> Result<Transaction, StorageError> {
        let client = self.client(operation).await?;
        let written = Written {
            notify: Arc::clone(&self.written),
            growth: Arc::clone(&self.growth),
            owed: self.owed.clone(),
        };
        self.transaction(client, operation, Some(written)).await
    }

    /// Begins a transaction that reads one state of the database, however many statements it makes.
    pub(crate) async fn snapshot(
        &self,
        operation: &'static str,
    ) -> Result<Transaction, StorageError> {
        let client = self.client(operation).await?;
        self.transaction(client, operation, None).await
    }

    async fn transaction(
        &self,
        client: Object,
        operation: &'static str,
        written: Option<Written>,
    ) -> Result<Transaction, StorageError> {
        let failures = Arc::clone(&self.failures);
        let begun = Transaction::begin(
            client,
            operation,
            self.clock_now(),
            self.quotas,
            written,
            failures,
        )
        .await?;
        self.saw(begun.now());
        Ok(begun)
    }

    /// A connection, for statements outside a transaction.
    pub(crate) async fn client(&self, operation: &'static str) -> Result<Object, StorageError> {
        self.pool.get().await.map_err(|error| {
            self.failure();
            match error {
                PoolError::Backend(error) => storage_error(operation, error),
                error => StorageError::Busy {
                    operation,
                    source: Box::new(error),
                },
            }
        })
    }

    /// Counts an operation that has failed.
    pub(crate) fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// How many operations have failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Where the database is.
    pub(crate) fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Notified after every commit.
    pub(crate) fn written(&self) -> &Notify {
        &self.written
    }

    /// How much was committed.
    pub(crate) fn growth(&self) -> &Growth {
        &self.growth
    }

    fn clock_now(&self) -> Option<Timestamp> {
        self.clock.as_ref().map(|clock| clock.now())
    }

    fn saw(&self, now: Timestamp) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (now, Instant::now());
    }

    /// The database's time, as far as it is known since it was last told: workers begin transactions all the time.
    pub(crate) fn known_time(&self) -> Timestamp {
        self.clock_now().unwrap_or_else(|| {
            let (then, at) = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            then.plus_ms(i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX))
        })
    }
}
