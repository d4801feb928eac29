//! Reading stored values back, and saying which column is damaged where that fails; and what the driver's errors mean.
//!
//! The rule: what we did not write is reported with its column, never guessed.

use std::fmt;

use greenroom_model::{Digest, EntityRef, EntityUid, TenantId, Timestamp};
use greenroom_storage::StorageError;
use serde::de::DeserializeOwned;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Error, Row};

use crate::text::StoredText;

/// The error for a value of `column` (`table.column`) that does not read back as what was written.
pub(crate) fn damaged(column: &'static str, reason: impl fmt::Display) -> StorageError {
    StorageError::Damaged {
        column,
        reason: reason.to_string(),
    }
}

/// Maps a driver's error to the contract's, naming what was being done.
pub(crate) fn storage_error(operation: &'static str, error: Error) -> StorageError {
    let (full, busy) = (is_full(&error), is_busy(&error));
    let source = Box::new(error);
    if full {
        StorageError::Full { operation, source }
    } else if busy {
        StorageError::Busy { operation, source }
    } else {
        StorageError::Failed { operation, source }
    }
}

/// Whether the server has no room to write.
fn is_full(error: &Error) -> bool {
    error.code() == Some(&SqlState::DISK_FULL)
}

/// Whether the same operation may succeed if tried again: the server is away, starts, stops, is full of connections, or
/// ended the transaction in favour of another.
fn is_busy(error: &Error) -> bool {
    let Some(state) = error.code() else {
        // Not said by the server: the connection is gone, or could not be made. A certificate that is not believed is not
        // believed the next time either; it is "invalid data".
        let source = std::error::Error::source(error);
        return error.is_closed()
            || source
                .and_then(|source| source.downcast_ref::<std::io::Error>())
                .is_some_and(|error| error.kind() != std::io::ErrorKind::InvalidData);
    };
    // Classes 08 connection, 40 rollback, 53 resources, 57P operator intervention.
    ["08", "40", "53", "57P"]
        .iter()
        .any(|class| state.code().starts_with(class))
        || *state == SqlState::LOCK_NOT_AVAILABLE
        || *state == SqlState::QUERY_CANCELED
        || *state == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
}

/// A value of the row as it is. A wrong type is damage of `column`.
pub(crate) fn value<'a, T: FromSql<'a>>(
    row: &'a Row,
    index: usize,
    column: &'static str,
) -> Result<T, StorageError> {
    row.try_get(index).map_err(|error| damaged(column, error))
}

/// A column of text.
pub(crate) fn text(row: &Row, index: usize, column: &'static str) -> Result<String, StorageError> {
    value::<StoredText>(row, index, column).map(|text| text.0)
}

/// A column of text or null.
pub(crate) fn optional_text(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<Option<String>, StorageError> {
    Ok(value::<Option<StoredText>>(row, index, column)?.map(|text| text.0))
}

/// A value that JSON text of ours holds.
pub(crate) fn from_json<T: DeserializeOwned>(
    text: &str,
    column: &'static str,
) -> Result<T, StorageError> {
    serde_json::from_str(text).map_err(|error| damaged(column, error))
}

/// JSON text of a value of ours, to be read by [`from_json`].
pub(crate) fn to_json<T: serde::Serialize>(
    operation: &'static str,
    value: &T,
) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|error| StorageError::Failed {
        operation,
        source: Box::new(error),
    })
}

/// A column of JSON text.
pub(crate) fn json<T: DeserializeOwned>(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<T, StorageError> {
    from_json(&text(row, index, column)?, column)
}

/// A column of milliseconds.
pub(crate) fn timestamp(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<Timestamp, StorageError> {
    value(row, index, column).map(Timestamp)
}

/// A column of milliseconds or null.
pub(crate) fn optional_timestamp(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<Option<Timestamp>, StorageError> {
    Ok(value::<Option<i64>>(row, index, column)?.map(Timestamp))
}

/// A column of 32 bytes.
pub(crate) fn bytes32(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<[u8; 32], StorageError> {
    let bytes: &[u8] = value(row, index, column)?;
    bytes
        .try_into()
        .map_err(|_| damaged(column, format!("{} bytes instead of 32", bytes.len())))
}

/// A digest, stored as its 32 bytes.
pub(crate) fn digest(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<Digest, StorageError> {
    bytes32(row, index, column).map(Digest::from_bytes)
}

/// A digest or null.
pub(crate) fn optional_digest(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<Option<Digest>, StorageError> {
    if value::<Option<&[u8]>>(row, index, column)?.is_none() {
        return Ok(None);
    }
    digest(row, index, column).map(Some)
}

/// An entity ref, stored as its text.
pub(crate) fn entity_ref(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<EntityRef, StorageError> {
    EntityRef::parse(&text(row, index, column)?).map_err(|error| damaged(column, error))
}

/// An entity's uid, stored as its text.
pub(crate) fn uid(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<EntityUid, StorageError> {
    text(row, index, column).map(EntityUid::new)
}

/// A tenant's id.
pub(crate) fn tenant_id(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<TenantId, StorageError> {
    value(row, index, column).map(TenantId)
}

/// A count or size, stored as a signed integer.
pub(crate) fn unsigned(row: &Row, index: usize, column: &'static str) -> Result<u64, StorageError> {
    let number: i64 = value(row, index, column)?;
    u64::try_from(number).map_err(|error| damaged(column, error))
}

/// The stored form of a count or size; one beyond the database's integers is stored as the largest.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that is small by nature, such as that of a revision.
pub(crate) fn unsigned32(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<u32, StorageError> {
    let number: i64 = value(row, index, column)?;
    u32::try_from(number).map_err(|error| damaged(column, error))
}

/// Such a number or null.
pub(crate) fn optional_unsigned32(
    row: &Row,
    index: usize,
    column: &'static str,
) -> Result<Option<u32>, StorageError> {
    if value::<Option<i64>>(row, index, column)?.is_none() {
        return Ok(None);
    }
    unsigned32(row, index, column).map(Some)
}
