//! One statement outside a transaction: a read that is one state of the database anyway, in one round trip.

use greenroom_storage::StorageError;
use tokio_postgres::Row;

use crate::PostgresStorage;
use crate::damage::{damaged, storage_error, value};
use crate::transaction::Params;

impl PostgresStorage {
    /// All rows, read. The caller's statement has the bound.
    pub(crate) async fn read_all<T>(
        &self,
        operation: &'static str,
        sql: &str,
        params: Params<'_>,
        read: impl FnMut(&Row) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        let failed = |error| {
            self.failure();
            storage_error(operation, error)
        };
        let client = self.client(operation).await?;
        let statement = client.prepare_cached(sql).await.map_err(failed)?;
        let rows = client.query(&statement, params).await.map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// The first row, read, if there is one.
    pub(crate) async fn read_one<T>(
        &self,
        operation: &'static str,
        sql: &str,
        params: Params<'_>,
        read: impl FnMut(&Row) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        let mut rows = self.read_all(operation, sql, params, read).await?;
        Ok((!rows.is_empty()).then(|| rows.swap_remove(0)))
    }

    /// The one number that a statement answers, such as a count.
    pub(crate) async fn read_count(
        &self,
        operation: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<u64, StorageError> {
        let number: Option<i64> = self
            .read_one(operation, sql, params, |row| value(row, 0, "count"))
            .await?;
        let number = number.ok_or_else(|| damaged("count", "no row"))?;
        u64::try_from(number).map_err(|error| damaged("count", error))
    }
}
