//! Following the change logs. Writing them is in `log`.
//!
//! What is kept of a log is always its end, without gaps: the sweep trims from the front (design note I3).

use async_trait::async_trait;
use greenroom_model::TenantId;
use greenroom_storage::{Change, ChangeKind, ChangeLog, LogPosition, StorageError};
use tokio_postgres::Row;

use crate::damage::{
    damaged, entity_ref, optional_text, stored, text, timestamp, uid, unsigned, value,
};
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;

#[async_trait]
impl ChangeLog for PostgresStorage {
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
        let tx = self.begin("renew the epoch of a log").await?;
        let found = tx
            .run(
                "UPDATE tenant_seq SET epoch = $2 WHERE tenant_id = $1",
                &[&tenant.0, &Text(epoch)],
            )
            .await?;
        tx.commit().await?;
        Ok(found > 0)
    }

    async fn log_positions(
        &self,
        tenants: &[TenantId],
    ) -> Result<Vec<Option<LogPosition>>, StorageError> {
        let tenants: Vec<i64> = tenants.iter().map(|tenant| tenant.0).collect();
        self.read_all(
            "read log positions",
            "SELECT s.epoch, s.seq FROM unnest($1::bigint[]) WITH ORDINALITY AS t (tenant_id, place)
             LEFT JOIN tenant_seq s ON s.tenant_id = t.tenant_id ORDER BY t.place",
            &[&tenants],
            read_position,
        )
        .await
    }

    /// One statement, so that where the log stands and what is in it are of one state.
    async fn changes_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Vec<Change>>, StorageError> {
        let rows = self
            .read_all(
                "read changes",
                "SELECT c.seq, c.kind, c.entity_ref, c.entity_id, c.at, c.etag, s.seq
                 FROM (SELECT max(seq) AS seq FROM tenant_seq WHERE tenant_id = $1) s
                 LEFT JOIN LATERAL (SELECT * FROM changes WHERE tenant_id = $1 AND seq > $2
                                    ORDER BY seq LIMIT $3) c ON true
                 ORDER BY c.seq",
                &[&tenant.0, &stored(after), &i64::from(limit)],
                read_following,
            )
            .await?;
        let last = rows.first().map_or(0, |(_, last)| *last);
        let changes: Vec<Change> = rows.into_iter().filter_map(|(change, _)| change).collect();
        let first = changes.first().map_or(u64::MAX, |change| change.seq);
        let trimmed = after < last && first > after.saturating_add(1);
        Ok((!trimmed).then_some(changes))
    }
}

fn read_position(row: &Row) -> Result<Option<LogPosition>, StorageError> {
    let Some(epoch) = optional_text(row, 0, "tenant_seq.epoch")? else {
        return Ok(None);
    };
    let seq = unsigned(row, 1, "tenant_seq.seq")?;
    Ok(Some(LogPosition { epoch, seq }))
}

/// A change, if there is one, and the last number of its log; 0 for a log that is gone.
fn read_following(row: &Row) -> Result<(Option<Change>, u64), StorageError> {
    let last = match value::<Option<i64>>(row, 6, "tenant_seq.seq")? {
        Some(_) => unsigned(row, 6, "tenant_seq.seq")?,
        None => 0,
    };
    let change = match value::<Option<i64>>(row, 0, "changes.seq")? {
        Some(_) => Some(read_change(row)?),
        None => None,
    };
    Ok((change, last))
}

fn read_change(row: &Row) -> Result<Change, StorageError> {
    let kind = text(row, 1, "changes.kind")?;
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
        etag: optional_text(row, 5, "changes.etag")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_model::{EntityRef, EntityUid};
    use greenroom_storage::Maintenance;
    use greenroom_storage::conformance::tenant;

    use crate::log::{self, LogEntry, NewChange};
    use crate::testing::run as on_new_database;

    fn upsert() -> NewChange {
        NewChange {
            what: LogEntry::Upsert("e".to_owned()),
            entity_ref: EntityRef::parse("component:default/a").unwrap(),
            uid: EntityUid::new("u"),
        }
    }

    async fn append(storage: &PostgresStorage, tenant: TenantId, count: usize) -> u64 {
        let tx = storage.begin("append").await.unwrap();
        let changes = vec![upsert(); count];
        let last = log::append(&tx, tenant, &changes).await.unwrap();
        tx.commit().await.unwrap();
        last
    }

    /// The numbers after one, if what is after it is kept.
    async fn numbers(
        storage: &PostgresStorage,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Option<Vec<u64>> {
        let changes = storage.changes_after(tenant, after, limit).await.unwrap();
        changes.map(|changes| changes.iter().map(|change| change.seq).collect())
    }

    #[test]
    fn a_log_is_numbered_without_gaps_and_trimmed_from_the_front() {
        on_new_database(async |storage, clock| {
            let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
            assert_eq!(append(storage, a, 3).await, 3);
            assert_eq!(append(storage, b, 1).await, 1);
            clock.advance(8 * 86_400_000);
            assert_eq!(append(storage, a, 2).await, 5);
            assert_eq!(numbers(storage, a, 1, 3).await.unwrap(), [2, 3, 4]);

            assert_eq!(storage.sweep().await.unwrap(), 4);
            assert!(numbers(storage, a, 2, 9).await.is_none());
            assert_eq!(numbers(storage, a, 3, 9).await.unwrap(), [4, 5]);
            assert!(numbers(storage, a, 5, 9).await.unwrap().is_empty());
            // All of b's are gone: only its end is still a place to follow from.
            assert!(numbers(storage, b, 0, 9).await.is_none());
            assert!(numbers(storage, b, 1, 9).await.unwrap().is_empty());
            assert_eq!(append(storage, b, 1).await, 2);
            assert_eq!(numbers(storage, b, 1, 9).await.unwrap(), [2]);
        });
    }

    #[test]
    fn a_failed_transaction_leaves_no_gap_and_a_gone_tenant_no_change() {
        on_new_database(async |storage, _| {
            let a = tenant(storage, "a").await;
            let tx = storage.begin("fail").await.unwrap();
            log::append(&tx, a, &[upsert()]).await.unwrap();
            drop(tx);
            assert_eq!(append(storage, a, 1).await, 1);
            assert_eq!(append(storage, TenantId(99), 1).await, 0);
            let gone = numbers(storage, TenantId(99), 0, 9).await;
            assert!(gone.unwrap().is_empty());
        });
    }

    #[test]
    fn a_clock_set_back_makes_no_gap_in_what_is_kept() {
        on_new_database(async |storage, clock| {
            let a = tenant(storage, "a").await;
            append(storage, a, 1).await;
            clock.advance(-30 * 86_400_000);
            append(storage, a, 1).await;
            clock.advance(30 * 86_400_000);
            // The second is old by its time, but lies behind a young one.
            assert_eq!(storage.sweep().await.unwrap(), 0);
            assert_eq!(numbers(storage, a, 0, 9).await.unwrap(), [1, 2]);
        });
    }

    /// A follower that has looked since the younger of two commits sees the older when it comes.
    #[test]
    fn the_data_version_tells_of_one_that_took_longer_than_a_younger_one() {
        on_new_database(async |storage, _| {
            let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
            let slow = storage.begin("slow").await.unwrap();
            log::append(&slow, a, &[upsert()]).await.unwrap();
            append(storage, b, 1).await;
            let before = storage.data_version().await.unwrap();
            slow.commit().await.unwrap();
            assert_ne!(storage.data_version().await.unwrap(), before);
        });
    }
}
