//! Rows as their table's description says: statements are made from it, and nothing of a row is ever part of one.

use greenroom_model::{Digest, TenantId};
use greenroom_storage::{
    Column, ColumnKind, MOVED_BYTES, MOVED_ROWS, MovedRow, MovedTable, MovedValue,
};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use crate::damage::damaged;

/// The rows after one, in order of the key.
pub(super) fn page(
    conn: &Connection,
    tenant: TenantId,
    table: &MovedTable,
    after: Option<&MovedRow>,
) -> rusqlite::Result<Vec<MovedRow>> {
    if table.key == 0 && after.is_some() {
        return Ok(Vec::new());
    }
    let key = names(table.key_columns());
    let mut params = vec![Value::Integer(tenant.0)];
    let mut sql = format!(
        "SELECT {} FROM {} WHERE tenant_id = ?",
        names(table.columns),
        table.name
    );
    if let Some(after) = after {
        let places = vec!["?"; table.key].join(", ");
        sql.push_str(&format!(" AND ({key}) > ({places})"));
        params.extend(after.0.iter().take(table.key).map(stored));
    }
    if table.key > 0 {
        sql.push_str(&format!(" ORDER BY {key} LIMIT {MOVED_ROWS}"));
    }
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(params))?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let row = read(row, table)?;
        bytes += row.bytes();
        page.push(row);
        if bytes >= MOVED_BYTES {
            break;
        }
    }
    Ok(page)
}

/// The statement that adds a row.
pub(super) fn insertion(table: &MovedTable) -> String {
    let places = vec!["?"; table.columns.len() + 1].join(", ");
    format!(
        "INSERT INTO {} (tenant_id, {}) VALUES ({places})",
        table.name,
        names(table.columns)
    )
}

fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    names.join(", ")
}

fn read(row: &Row<'_>, table: &MovedTable) -> rusqlite::Result<MovedRow> {
    let columns = table.columns.iter().enumerate();
    let values = columns.map(|(place, column)| read_value(row, place, table, column));
    values.collect::<rusqlite::Result<_>>().map(MovedRow)
}

fn read_value(
    row: &Row<'_>,
    place: usize,
    table: &MovedTable,
    column: &Column,
) -> rusqlite::Result<MovedValue> {
    let wrong = |reason: &str| damaged(table.name, format!("`{}` {reason}", column.name));
    match (row.get_ref(place)?, column.kind) {
        (ValueRef::Null, _) => Ok(MovedValue::Null),
        (ValueRef::Integer(number), ColumnKind::Flag) => Ok(MovedValue::Flag(number != 0)),
        (ValueRef::Integer(number), ColumnKind::Number) => Ok(MovedValue::Number(number)),
        (ValueRef::Blob(bytes), ColumnKind::Digest) => {
            let bytes: [u8; 32] = bytes.try_into().map_err(|_| wrong("is no digest"))?;
            Ok(MovedValue::Digest(Digest::from_bytes(bytes)))
        }
        (ValueRef::Text(_), ColumnKind::Digest | ColumnKind::Number | ColumnKind::Flag) => {
            Err(wrong("is text"))
        }
        (ValueRef::Text(text), _) => match std::str::from_utf8(text) {
            Ok(text) => Ok(MovedValue::Text(text.to_owned())),
            Err(_) => Err(wrong("is not UTF-8")),
        },
        _ => Err(wrong("is of another type")),
    }
}

fn stored(value: &MovedValue) -> Value {
    match value {
        MovedValue::Null => Value::Null,
        MovedValue::Text(text) => Value::Text(text.clone()),
        MovedValue::Number(number) => Value::Integer(*number),
        MovedValue::Flag(flag) => Value::Integer(i64::from(*flag)),
        MovedValue::Digest(digest) => Value::Blob(digest.as_bytes().to_vec()),
    }
}

/// A value as a parameter, without a copy of its text.
pub(super) struct Stored<'a>(pub(super) &'a MovedValue);

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            MovedValue::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            MovedValue::Digest(digest) => ToSqlOutput::Borrowed(ValueRef::Blob(digest.as_bytes())),
            other => ToSqlOutput::Owned(stored(other)),
        })
    }
}
