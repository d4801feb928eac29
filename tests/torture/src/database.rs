//! The database as it is, asked with SQL of the test's own, past everything that is tested.

use std::path::PathBuf;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Where the catalog is.
pub(crate) enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A database, not through a proxy.
    Postgres(String),
}

/// Rows of texts; null is empty.
pub(crate) type Rows = Vec<Vec<String>>;

impl Database {
    /// What a query answers; the text is the same on both backends.
    ///
    /// # Errors
    /// The driver's, as text.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Rows, String> {
        let rows = match self {
            Database::Sqlite(path) => sqlite(path, sql).map_err(|error| error.to_string()),
            Database::Postgres(url) => postgres(url, sql)
                .await
                .map_err(|error| format!("{error:?}")),
        };
        rows.map_err(|error| format!("{error} in: {sql}"))
    }

    /// The number that a query answers.
    ///
    /// # Errors
    /// As [`Database::rows`].
    pub(crate) async fn number(&self, sql: &str) -> Result<u64, String> {
        let rows = self.rows(sql).await?;
        let text = rows.first().and_then(|row| row.first());
        let number = text.and_then(|text| text.parse().ok());
        number.ok_or_else(|| format!("no number in {rows:?} of: {sql}"))
    }
}

fn sqlite(path: &PathBuf, sql: &str) -> rusqlite::Result<Rows> {
    // Read-write, because whoever reads first after a crash recovers the log.
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    conn.pragma_update(None, "query_only", true)?;
    let mut statement = conn.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|column| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Null => String::new(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Real(number) => number.to_string(),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                        String::from_utf8_lossy(bytes).into_owned()
                    }
                })
            })
            .collect()
    })?;
    rows.collect()
}

async fn postgres(url: &str, sql: &str) -> Result<Rows, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let task = tokio::spawn(connection);
    let answer = client.simple_query(sql).await;
    drop(client);
    // The session has ended when this answers.
    drop(task.await);
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|column| row.get(column).unwrap_or_default().to_owned())
                .collect(),
        ),
        _ => None,
    };
    Ok(answer?.into_iter().filter_map(row).collect())
}
