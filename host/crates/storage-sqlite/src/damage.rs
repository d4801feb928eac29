//! Reading stored values back, and saying which column is damaged where that fails.
//!
//! Closures that run on a connection answer `rusqlite::Result`, so damage travels inside a conversion error and is
//! taken out again by [`storage_error`]. The rule: what we did not write is reported with its column, never guessed.

use std::fmt;

use greenroom_model::{Digest, EntityRef, EntityUid, TenantId, Timestamp};
use greenroom_storage::StorageError;
use rusqlite::types::{FromSql, Type};
use rusqlite::{ErrorCode, Row, ffi};
use serde::de::DeserializeOwned;

/// A stored value that does not read back.
#[derive(Debug)]
struct DamagedValue {
    column: &'static str,
    reason: String,
}

impl fmt::Display for DamagedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is damaged: {}", self.column, self.reason)
    }
}

impl std::error::Error for DamagedValue {}

/// The error for a value of `column` (`table.column`) that does not read back as what was written.
pub(crate) fn damaged(column: &'static str, reason: impl fmt::Display) -> rusqlite::Error {
    let reason = reason.to_string();
    rusqlite::Error::FromSqlConversionFailure(
        0,
        Type::Text,
        Box::new(DamagedValue { column, reason }),
    )
}

/// Maps a driver's error to the contract's, naming what was being done.
pub(crate) fn storage_error(operation: &'static str, error: rusqlite::Error) -> StorageError {
    if let rusqlite::Error::FromSqlConversionFailure(_, _, source) = &error
        && let Some(value) = source.downcast_ref::<DamagedValue>()
    {
        return StorageError::Damaged {
            column: value.column,
            reason: value.reason.clone(),
        };
    }
    let source = Box::new(error);
    if is_busy(&source) {
        StorageError::Busy { operation, source }
    } else if is_full(&source) {
        StorageError::Full { operation, source }
    } else {
        StorageError::Failed { operation, source }
    }
}

/// Whether the same statement may succeed if tried again.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Whether there is no room on the disk. SQLite says so of pages that it writes itself; that the file which processes share
/// memory through cannot grow, or that a quota is used up, is an error of input and output to it.
fn is_full(error: &rusqlite::Error) -> bool {
    let extended = match error {
        rusqlite::Error::SqliteFailure(error, _) => error.extended_code,
        _ => return false,
    };
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE].contains(&extended)
}

/// A value of the row as it is. A wrong type or invalid UTF-8 is damage of `column`.
pub(crate) fn value<T: FromSql>(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<T> {
    row.get(index).map_err(|error| damaged(column, error))
}

/// A value that JSON text of ours holds.
pub(crate) fn from_json<T: DeserializeOwned>(
    text: &str,
    column: &'static str,
) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| damaged(column, error))
}

/// JSON text of a value of ours, to be read by [`from_json`].
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A column of JSON text.
pub(crate) fn json<T: DeserializeOwned>(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<T> {
    from_json(&value::<String>(row, index, column)?, column)
}

/// A column of milliseconds.
pub(crate) fn timestamp(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<Timestamp> {
    value(row, index, column).map(Timestamp)
}

/// A column of milliseconds or null.
pub(crate) fn optional_timestamp(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<Option<Timestamp>> {
    Ok(value::<Option<i64>>(row, index, column)?.map(Timestamp))
}

/// A column of 32 bytes.
pub(crate) fn bytes32(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<[u8; 32]> {
    let bytes: Vec<u8> = value(row, index, column)?;
    bytes
        .try_into()
        .map_err(|bytes: Vec<u8>| damaged(column, format!("{} bytes instead of 32", bytes.len())))
}

/// A column of 16 bytes.
pub(crate) fn bytes16(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<[u8; 16]> {
    let bytes: Vec<u8> = value(row, index, column)?;
    bytes
        .try_into()
        .map_err(|bytes: Vec<u8>| damaged(column, format!("{} bytes instead of 16", bytes.len())))
}

/// A digest, stored as its 32 bytes.
pub(crate) fn digest(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<Digest> {
    bytes32(row, index, column).map(Digest::from_bytes)
}

/// A digest or null.
pub(crate) fn optional_digest(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<Option<Digest>> {
    if value::<Option<Vec<u8>>>(row, index, column)?.is_none() {
        return Ok(None);
    }
    digest(row, index, column).map(Some)
}

/// An entity ref, stored as its text.
pub(crate) fn entity_ref(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<EntityRef> {
    EntityRef::parse(&value::<String>(row, index, column)?).map_err(|error| damaged(column, error))
}

/// An entity's uid, stored as its text.
pub(crate) fn uid(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<EntityUid> {
    value::<String>(row, index, column).map(EntityUid::new)
}

/// A tenant's id.
pub(crate) fn tenant_id(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> rusqlite::Result<TenantId> {
    value(row, index, column).map(TenantId)
}

/// A count or size, stored as SQLite's signed integer.
pub(crate) fn unsigned(row: &Row<'_>, index: usize, column: &'static str) -> rusqlite::Result<u64> {
    let number: i64 = value(row, index, column)?;
    u64::try_from(number).map_err(|error| damaged(column, error))
}

/// The stored form of a count or size; one beyond SQLite's integers is stored as the largest.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
