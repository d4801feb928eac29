//! Rows as their table's description says: statements are made from it, and nothing of a row is ever part of one.

use greenroom_model::TenantId;
use greenroom_storage::{
    Column, ColumnKind, MOVED_BYTES, MOVED_ROWS, MovedRow, MovedTable, MovedValue, StorageError,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::PostgresStorage;
use crate::damage::{optional_digest, optional_text, value};
use crate::text::Text;

/// A parameter that is made for its statement.
pub(super) type Param<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// The parameters as a statement takes them.
pub(super) fn params<'a>(made: &'a [Param<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    made.iter()
        .map(|one| &**one as &(dyn ToSql + Sync))
        .collect()
}

/// The rows after one, in order of the key.
pub(super) async fn page(
    storage: &PostgresStorage,
    tenant: TenantId,
    table: &MovedTable,
    after: Option<&MovedRow>,
) -> Result<Vec<MovedRow>, StorageError> {
    if table.key == 0 && after.is_some() {
        return Ok(Vec::new());
    }
    let sql = page_statement(table, after.is_some());
    let mut made: Vec<Param<'_>> = vec![Box::new(tenant.0)];
    let keys = after.into_iter().flat_map(|row| &row.0).take(table.key);
    made.extend(keys.map(parameter));
    storage
        .read_all("read rows of a tenant", &sql, &params(&made), |row| {
            read(row, table)
        })
        .await
}

/// The statement of a page. Bodies are sent up to the bound and no further; `octet_length` does not unpack them.
pub(super) fn page_statement(table: &MovedTable, after: bool) -> String {
    let (name, columns) = (table.name, names(table.columns));
    if table.key == 0 {
        return format!("SELECT {columns} FROM {name} WHERE tenant_id = $1");
    }
    let key = names(table.key_columns());
    let texts = table.columns.iter().filter(|one| is_text(one.kind));
    let sizes: Vec<String> = texts
        .map(|column| format!("coalesce(octet_length({}), 0)", column.name))
        .collect();
    let size = sizes.join(" + ");
    let begin = if after {
        let places: Vec<String> = (0..table.key).map(|n| format!("${}", n + 2)).collect();
        format!(" AND ({key}) > ({})", places.join(", "))
    } else {
        String::new()
    };
    format!(
        "SELECT {columns} FROM (
             SELECT {columns}, sum(size) OVER (ORDER BY {key}) - size AS before FROM (
                 SELECT {columns}, {size} AS size FROM {name}
                 WHERE tenant_id = $1{begin} ORDER BY {key} LIMIT {MOVED_ROWS}
             ) page
         ) counted WHERE before < {MOVED_BYTES} ORDER BY {key}"
    )
}

/// The statement that adds rows, but for those of which a key is there.
pub(super) fn insertion(table: &MovedTable) -> String {
    let columns = names(table.columns);
    let arrays: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .map(|(place, column)| format!("${}::{}[]", place + 2, type_of(column.kind)))
        .collect();
    format!(
        "INSERT INTO {} (tenant_id, {columns}) SELECT $1, new.* FROM unnest({}) AS new ({columns})
         ON CONFLICT DO NOTHING",
        table.name,
        arrays.join(", ")
    )
}

/// A column of rows, as an array.
pub(super) fn array<'a>(column: &Column, place: usize, rows: &'a [MovedRow]) -> Param<'a> {
    let values = rows.iter().map(move |row| row.0.get(place));
    match column.kind {
        ColumnKind::Number => Box::new(
            values
                .map(|value| match value {
                    Some(MovedValue::Number(number)) => Some(*number),
                    _ => None,
                })
                .collect::<Vec<Option<i64>>>(),
        ),
        ColumnKind::Flag => Box::new(
            values
                .map(|value| match value {
                    Some(MovedValue::Flag(flag)) => Some(*flag),
                    _ => None,
                })
                .collect::<Vec<Option<bool>>>(),
        ),
        ColumnKind::Digest => Box::new(
            values
                .map(|value| match value {
                    Some(MovedValue::Digest(digest)) => Some(digest.as_bytes().as_slice()),
                    _ => None,
                })
                .collect::<Vec<Option<&[u8]>>>(),
        ),
        _ => Box::new(
            values
                .map(|value| value.and_then(MovedValue::text).map(Text))
                .collect::<Vec<Option<Text<'_>>>>(),
        ),
    }
}

fn parameter(value: &MovedValue) -> Param<'_> {
    match value {
        MovedValue::Null => Box::new(None::<i64>),
        MovedValue::Text(text) => Box::new(Text(text)),
        MovedValue::Number(number) => Box::new(*number),
        MovedValue::Flag(flag) => Box::new(*flag),
        MovedValue::Digest(digest) => Box::new(digest.as_bytes().as_slice()),
    }
}

fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    names.join(", ")
}

fn is_text(kind: ColumnKind) -> bool {
    type_of(kind) == "text"
}

fn type_of(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Number => "bigint",
        ColumnKind::Flag => "boolean",
        ColumnKind::Digest => "bytea",
        ColumnKind::Text
        | ColumnKind::Ref
        | ColumnKind::RefOrEmpty
        | ColumnKind::Id
        | ColumnKind::Processor
        | ColumnKind::OneOf(_)
        | ColumnKind::Json(_) => "text",
    }
}

fn read(row: &Row, table: &MovedTable) -> Result<MovedRow, StorageError> {
    let values = table.columns.iter().enumerate().map(|(place, column)| {
        let read = match column.kind {
            ColumnKind::Number => {
                value::<Option<i64>>(row, place, table.name)?.map(MovedValue::Number)
            }
            ColumnKind::Flag => {
                value::<Option<bool>>(row, place, table.name)?.map(MovedValue::Flag)
            }
            ColumnKind::Digest => optional_digest(row, place, table.name)?.map(MovedValue::Digest),
            _ => optional_text(row, place, table.name)?.map(MovedValue::Text),
        };
        Ok(read.unwrap_or(MovedValue::Null))
    });
    values
        .collect::<Result<Vec<_>, StorageError>>()
        .map(MovedRow)
}
