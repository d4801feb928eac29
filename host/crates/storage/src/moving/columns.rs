//! Rows of a moved tenant: their columns, their form in a file, and what a value must be.

use std::fmt;

use greenroom_model::{Digest, EntityRef, ProcessorName};
use serde_json::{Map, Value};
use thiserror::Error;

/// A table whose rows are moved.
#[derive(Debug)]
pub struct MovedTable {
    /// Its name, in both backends and in a file.
    pub name: &'static str,
    /// Its columns but the tenant's, those of the key first.
    pub columns: &'static [Column],
    /// How many columns the key has after the tenant; 0 for a table of one row for each tenant.
    pub key: usize,
    /// The column that names an entity which must be there, and the column of `refresh_state` that it names.
    pub entity: Option<(&'static str, &'static str)>,
    /// What holds between the columns of a row.
    pub check: Option<RowCheck>,
}

/// Whether the columns of a row agree; if not, why.
pub(super) type RowCheck = fn(&MovedTable, &MovedRow) -> Result<(), String>;

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether it may be null.
    pub nullable: bool,
}

/// What a column holds, which decides how it is stored and what is taken from a file.
#[derive(Debug, Clone, Copy)]
pub enum ColumnKind {
    /// Any text.
    Text,
    /// The normal text of an entity ref.
    Ref,
    /// The same, or nothing.
    RefOrEmpty,
    /// A uid or an id: 1 to 64 characters that are letters, digits or `-`.
    Id,
    /// A processor's name.
    Processor,
    /// Text that is one of these.
    OneOf(&'static [&'static str]),
    /// JSON text that reads back as what it is.
    Json(fn(&str) -> Result<(), String>),
    /// A count, a number or an instant, not below 0.
    Number,
    /// Yes or no.
    Flag,
    /// A SHA-256.
    Digest,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MovedValue {
    /// None.
    Null,
    /// See [`ColumnKind`].
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// A SHA-256.
    Digest(Digest),
}

impl MovedValue {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Number(_) | Self::Flag(_) | Self::Digest(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        self.text().map_or(16, str::len)
    }
}

/// A row: a value for each column of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedRow(pub Vec<MovedValue>);

/// Why a row of a file is not taken. Names the column.
#[derive(Debug, Error)]
#[error("`{column}` {reason}")]
pub struct RowError {
    column: String,
    reason: String,
}

impl RowError {
    fn new(column: &str, reason: impl fmt::Display) -> Self {
        Self {
            column: column.chars().take(100).collect(),
            reason: reason.to_string(),
        }
    }
}

impl MovedTable {
    /// The columns of the key.
    #[must_use]
    pub fn key_columns(&self) -> &'static [Column] {
        self.columns.get(..self.key).unwrap_or_default()
    }

    /// The row as a file has it: its columns by name, those that are null left out.
    #[must_use]
    pub fn to_json(&self, row: &MovedRow) -> Value {
        let mut object = Map::new();
        for (column, value) in self.columns.iter().zip(&row.0) {
            let value = match value {
                MovedValue::Null => continue,
                MovedValue::Text(text) => Value::String(text.clone()),
                MovedValue::Number(number) => (*number).into(),
                MovedValue::Flag(flag) => (*flag).into(),
                MovedValue::Digest(digest) => Value::String(digest.to_string()),
            };
            object.insert(column.name.to_owned(), value);
        }
        Value::Object(object)
    }

    /// A row of a file.
    ///
    /// # Errors
    /// Names the first column that is not what it must be.
    pub fn from_json(&self, mut object: Map<String, Value>) -> Result<MovedRow, RowError> {
        let mut row = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            let value = object.remove(column.name).unwrap_or(Value::Null);
            row.push(column.value(value)?);
        }
        if let Some((unknown, _)) = object.iter().next() {
            return Err(RowError::new(unknown, "is no column of it"));
        }
        let row = MovedRow(row);
        if let Some(check) = self.check {
            check(self, &row).map_err(|reason| RowError::new(self.name, reason))?;
        }
        Ok(row)
    }

    /// The value of a column of a row.
    #[must_use]
    pub fn value<'a>(&self, row: &'a MovedRow, name: &str) -> &'a MovedValue {
        let place = self.columns.iter().position(|column| column.name == name);
        place
            .and_then(|place| row.0.get(place))
            .unwrap_or(&MovedValue::Null)
    }
}

impl MovedRow {
    /// About how many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(MovedValue::bytes).sum()
    }
}

impl Column {
    fn value(&self, value: Value) -> Result<MovedValue, RowError> {
        let wrong = |reason: &dyn fmt::Display| RowError::new(self.name, reason);
        let text = match value {
            Value::Null if self.nullable => return Ok(MovedValue::Null),
            Value::Null => return Err(wrong(&"is missing")),
            Value::Bool(flag) if matches!(self.kind, ColumnKind::Flag) => {
                return Ok(MovedValue::Flag(flag));
            }
            Value::Number(number) if matches!(self.kind, ColumnKind::Number) => {
                let number = number.as_i64().filter(|number| *number >= 0);
                let number = number.ok_or_else(|| wrong(&"is no whole number of 63 bits"))?;
                return Ok(MovedValue::Number(number));
            }
            Value::String(text) => text,
            _ => return Err(wrong(&"is of another type")),
        };
        match self.kind {
            ColumnKind::Text => {}
            ColumnKind::RefOrEmpty if text.is_empty() => {}
            ColumnKind::Ref | ColumnKind::RefOrEmpty => {
                let parsed = EntityRef::parse(&text).map_err(|error| wrong(&error))?;
                if parsed.as_str() != text {
                    return Err(wrong(&format!("is not written as `{parsed}`")));
                }
            }
            ColumnKind::Id => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
                if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
                    return Err(wrong(&"is no id"));
                }
            }
            ColumnKind::Processor => {
                ProcessorName::parse(&text).map_err(|error| wrong(&error))?;
            }
            ColumnKind::OneOf(names) => {
                if !names.contains(&text.as_str()) {
                    return Err(wrong(&format!("is none of {}", names.join(", "))));
                }
            }
            ColumnKind::Json(check) => check(&text).map_err(|error| wrong(&error))?,
            ColumnKind::Digest => {
                let digest = Digest::parse(&text).map_err(|error| wrong(&error))?;
                return Ok(MovedValue::Digest(digest));
            }
            ColumnKind::Number | ColumnKind::Flag => return Err(wrong(&"is of another type")),
        }
        Ok(MovedValue::Text(text))
    }
}
