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

    async fn renew_epoch(&self, tenant: TenantId, epoch: &str) -> Result<bool, StorageError> {
        let epoch = epoch.to_owned();
        self.write("renew the epoch of a log", move |tx| {
            let found = tx.run(
                "UPDATE tenant_seq SET epoch = ?2 WHERE tenant_id = ?1",
                params![tenant.0, epoch],
            )?;
            Ok(found > 0)
        })
        .await
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
                "SELECT seq, kind, entity_ref, entity_id, at, etag FROM changes
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
        etag: value(row, 5, "changes.etag")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_model::{EntityRef, EntityUid};
    use greenroom_storage::Maintenance;
    use greenroom_storage::conformance::tenant;

    use crate::log::{LogEntry, append_change};
    use crate::sqlite_storage::tests::{block_on, new_storage};

    async fn append(storage: &SqliteStorage, tenant: TenantId, count: usize) -> u64 {
        let entity_ref = EntityRef::parse("component:default/a").unwrap();
        let uid = EntityUid::new("u");
        let entry = LogEntry::Upsert("e".to_owned());
        storage
            .write("append", move |tx| {
                let mut last = 0;
                for _ in 0..count {
                    last = append_change(tx, tenant, &entry, &entity_ref, &uid)?;
                }
                Ok(last)
            })
            .await
            .unwrap()
    }

    #[test]
    fn a_log_is_numbered_without_gaps_and_trimmed_from_the_front() {
        let (storage, clock, _directory) = new_storage();
        block_on(async {
            let (a, b) = (tenant(&storage, "a").await, tenant(&storage, "b").await);
            assert_eq!(append(&storage, a, 3).await, 3);
            assert_eq!(append(&storage, b, 1).await, 1);
            clock.advance(8 * 86_400_000);
            assert_eq!(append(&storage, a, 2).await, 5);
            let changes = storage.changes_after(a, 1, 3).await.unwrap().unwrap();
            let numbers: Vec<_> = changes.iter().map(|change| change.seq).collect();
            assert_eq!(numbers, [2, 3, 4]);
            assert_eq!(changes[0].kind, ChangeKind::Upsert);

            assert_eq!(storage.sweep().await.unwrap(), 4);
            assert!(storage.changes_after(a, 2, 9).await.unwrap().is_none());
            assert_eq!(
                storage.changes_after(a, 3, 9).await.unwrap().unwrap().len(),
                2
            );
            assert_eq!(
                storage.changes_after(a, 5, 9).await.unwrap().unwrap().len(),
                0
            );
            // All of b's are gone: only its end is still a place to follow from.
            assert!(storage.changes_after(b, 0, 9).await.unwrap().is_none());
            assert_eq!(
                storage.changes_after(b, 1, 9).await.unwrap().unwrap().len(),
                0
            );
            assert_eq!(append(&storage, b, 1).await, 2);
            assert_eq!(
                storage.changes_after(b, 1, 9).await.unwrap().unwrap().len(),
                1
            );
        });
    }

    #[test]
    fn a_failed_transaction_leaves_no_gap_and_a_gone_tenant_no_change() {
        let (storage, _clock, _directory) = new_storage();
        block_on(async {
            let a = tenant(&storage, "a").await;
            let uid = EntityUid::new("u");
            let entity_ref = EntityRef::parse("component:default/a").unwrap();
            let failed = storage
                .write::<(), _>("fail", move |tx| {
                    append_change(tx, a, &LogEntry::Delete, &entity_ref, &uid)?;
                    Err(rusqlite::Error::QueryReturnedNoRows)
                })
                .await;
            assert!(failed.is_err());
            assert_eq!(append(&storage, a, 1).await, 1);
            assert_eq!(append(&storage, TenantId(99), 1).await, 0);
            assert!(
                storage
                    .changes_after(TenantId(99), 0, 9)
                    .await
                    .unwrap()
                    .unwrap()
                    .is_empty()
            );
        });
    }

    #[test]
    fn a_clock_set_back_makes_no_gap_in_what_is_kept() {
        let (storage, clock, _directory) = new_storage();
        block_on(async {
            let a = tenant(&storage, "a").await;
            append(&storage, a, 1).await;
            clock.advance(-30 * 86_400_000);
            append(&storage, a, 1).await;
            clock.advance(30 * 86_400_000);
            // The second is old by its time, but lies behind a young one.
            assert_eq!(storage.sweep().await.unwrap(), 0);
            assert_eq!(
                storage.changes_after(a, 0, 9).await.unwrap().unwrap().len(),
                2
            );
        });
    }
}
