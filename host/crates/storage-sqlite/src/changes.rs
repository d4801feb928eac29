//! Following the change logs. Writing them is in `log`.
//!
//! What is kept of a log is always its end, without gaps: the sweep trims from the front (design note I3).

use async_trait::async_trait;
use greenroom_model::TenantId;
use greenroom_storage::{Change, ChangeKind, ChangeLog, LogPosition, StorageError};
use rusqlite::{Connection, Row, params};

use crate::damage::{damaged, entity_ref, stored, timestamp, to_json, uid, unsigned, value};
use crate::log::last_seq;
use crate::sqlite_storage::SqliteStorage;
use crate::statement;

#[async_trait]
impl ChangeLog for SqliteStorage {
    /// A tenant that is gone has the empty epoch, which no cursor carries.
    async fn log_position(&self, tenant: TenantId) -> Result<LogPosition, StorageError> {
        let positions = self.log_positions(&[tenant]).await?;
        let position = positions.into_iter().flatten().next();
        Ok(position.unwrap_or_else(|| LogPosition {
            epoch: String::new(),
            seq: 0,
        }))
    }

    async fn log_positions(
        &self,
        tenants: &[TenantId],
    ) -> Result<Vec<Option<LogPosition>>, StorageError> {
        let tenants = tenants.to_vec();
        self.read("read log positions", move |conn| {
            statement::all(
                conn,
                "SELECT s.epoch, s.seq FROM json_each(?1) t LEFT JOIN tenant_seq s ON s.tenant_id = t.value
                 ORDER BY t.key",
                params![to_json(&tenants)?],
                read_position,
            )
        })
        .await
    }

    async fn changes_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Vec<Change>>, StorageError> {
        self.read("read changes", move |conn| {
            if after < last_seq(conn, tenant)? && after + 1 < first_kept(conn, tenant)? {
                return Ok(None);
            }
            statement::all(
                conn,
                "SELECT seq, kind, entity_ref, entity_id, at FROM changes
                 WHERE tenant_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
                params![tenant.0, stored(after), limit],
                read_change,
            )
            .map(Some)
        })
        .await
    }
}

/// The oldest number kept; beyond every number if none is.
fn first_kept(conn: &Connection, tenant: TenantId) -> rusqlite::Result<u64> {
    let first = statement::one(
        conn,
        "SELECT seq FROM changes WHERE tenant_id = ?1 ORDER BY seq LIMIT 1",
        params![tenant.0],
        |row| unsigned(row, 0, "changes.seq"),
    )?;
    Ok(first.unwrap_or(u64::MAX))
}

fn read_position(row: &Row<'_>) -> rusqlite::Result<Option<LogPosition>> {
    let Some(epoch) = value::<Option<String>>(row, 0, "tenant_seq.epoch")? else {
        return Ok(None);
    };
    let seq = unsigned(row, 1, "tenant_seq.seq")?;
    Ok(Some(LogPosition { epoch, seq }))
}

fn read_change(row: &Row<'_>) -> rusqlite::Result<Change> {
    let kind: String = value(row, 1, "changes.kind")?;
    Ok(Change {
        seq: unsigned(row, 0, "changes.seq")?,
        kind: match kind.as_str() {
            "upsert" => ChangeKind::Upsert,
            "delete" => ChangeKind::Delete,
            other => return Err(damaged("changes.kind", format!("`{other}` is no kind"))),
        },
        entity_ref: entity_ref(row, 2, "changes.entity_ref")?,
        uid: uid(row, 3, "changes.entity_id")?,
        at: timestamp(row, 4, "changes.at")?,
    })
}
