//! The stitch queue, and the one write of final entities.
//!
//! A row's ticket is drawn anew whenever the ref is queued again; a result under an old ticket is dropped and the row is
//! due at once. So inputs may be loaded after the claim, in a read of their own, without holding the write lock.

mod input;

use async_trait::async_trait;
use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{FinalEntity, StitchInput, StitchQueue, Stitched, StorageError};
use rusqlite::params;

use crate::SqliteStorage;
use crate::damage::{tenant_id, uid, unsigned, value};
use crate::entities::stored_ref;
use crate::log::{LogEntry, append_change, last_seq};
use crate::statement;
use crate::writer::WriteTx;

pub(crate) use input::load as load_input;

/// How long a claimed ref is left alone.
const LEASE_MS: i64 = 30_000;
/// Refs of one claim (DESIGN §7).
const MAX_STITCHES: u32 = 500;

/// Queues a ref for stitching, due now. Its place in the queue stays, unless it is there to wait; a result under way is dropped.
pub(crate) fn enqueue_stitch(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> rusqlite::Result<()> {
    enqueue_stitch_in(tx, tenant, entity_ref, 0)
}

/// As [`enqueue_stitch`], due in so many milliseconds.
pub(crate) fn enqueue_stitch_in(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
    wait_ms: i64,
) -> rusqlite::Result<()> {
    let now = tx.now_ms();
    // Those that are due much later than any that waits are being stitched.
    tx.run(
        "INSERT INTO stitch_queue (tenant_id, entity_ref, ticket, next_stitch_at)
         VALUES (?1, ?2, random(), ?3)
         ON CONFLICT (tenant_id, entity_ref) DO UPDATE SET ticket = excluded.ticket, next_stitch_at =
             iif(next_stitch_at <= ?4, min(next_stitch_at, excluded.next_stitch_at), next_stitch_at)",
        params![
            tenant.0,
            entity_ref.as_str(),
            now + wait_ms,
            now + LEASE_MS / 2
        ],
    )?;
    Ok(())
}

#[async_trait]
impl StitchQueue for SqliteStorage {
    async fn claim_stitches(&self, limit: u32) -> Result<Vec<StitchInput>, StorageError> {
        const OPERATION: &str = "claim stitches";
        let now = self.now();
        let due = self
            .read(OPERATION, move |conn| {
                statement::one(
                    conn,
                    "SELECT 1 FROM stitch_queue WHERE next_stitch_at <= ?1 LIMIT 1",
                    params![now.0],
                    |_| Ok(()),
                )
            })
            .await?;
        if due.is_none() {
            return Ok(Vec::new());
        }
        let (tenant, taken) = self
            .write_unsynced(OPERATION, move |tx| take(tx, limit))
            .await?;
        self.read("load stitch inputs", move |conn| {
            taken
                .into_iter()
                .map(|one| {
                    let input = input::load(conn, tenant, one.entity_ref, one.ticket)?;
                    Ok(StitchInput {
                        waited_ms: one.waited_ms,
                        ..input
                    })
                })
                .collect()
        })
        .await
    }

    async fn record_stitches(
        &self,
        results: Vec<(StitchInput, Stitched)>,
    ) -> Result<u64, StorageError> {
        let Some(tenant) = results.first().map(|(input, _)| input.tenant) else {
            return Ok(0);
        };
        self.write("record stitches", move |tx| {
            let mut changes = Vec::new();
            for (input, stitched) in &results {
                if let Some(change) = record_one(tx, input, stitched)? {
                    changes.push(change);
                }
            }
            for (entry, entity_ref, uid) in &changes {
                append_change(tx, tenant, entry, entity_ref, uid)?;
            }
            last_seq(tx, tenant)
        })
        .await
    }

    async fn stitch_queue_length(&self) -> Result<u64, StorageError> {
        self.read("count stitches", |conn| {
            let count = statement::one(conn, "SELECT count(*) FROM stitch_queue", [], |row| {
                unsigned(row, 0, "stitch_queue")
            })?;
            Ok(count.unwrap_or(0))
        })
        .await
    }
}

/// A ref that was taken.
struct Taken {
    entity_ref: EntityRef,
    ticket: i64,
    waited_ms: u64,
}

/// Takes due refs of the tenant whose oldest is the oldest of all.
fn take(tx: &mut WriteTx<'_>, limit: u32) -> rusqlite::Result<(TenantId, Vec<Taken>)> {
    let now = tx.now_ms();
    let tenant = statement::one(
        tx,
        "SELECT tenant_id FROM stitch_queue WHERE next_stitch_at <= ?1 ORDER BY next_stitch_at LIMIT 1",
        params![now],
        |row| tenant_id(row, 0, "stitch_queue.tenant_id"),
    )?;
    let Some(tenant) = tenant else {
        return Ok((TenantId(0), Vec::new()));
    };
    let taken = statement::all(
        tx,
        "SELECT entity_ref, ticket, ?2 - next_stitch_at FROM stitch_queue
         WHERE tenant_id = ?1 AND next_stitch_at <= ?2 ORDER BY next_stitch_at LIMIT ?3",
        params![tenant.0, now, limit.min(MAX_STITCHES)],
        |row| {
            Ok(Taken {
                entity_ref: stored_ref(row, 0, "stitch_queue.entity_ref")?,
                ticket: value(row, 1, "stitch_queue.ticket")?,
                waited_ms: unsigned(row, 2, "stitch_queue.next_stitch_at")?,
            })
        },
    )?;
    for one in &taken {
        tx.run(
            "UPDATE stitch_queue SET next_stitch_at = ?3 WHERE tenant_id = ?1 AND entity_ref = ?2",
            params![tenant.0, one.entity_ref.as_str(), now + LEASE_MS],
        )?;
    }
    Ok((tenant, taken))
}

type Logged = (LogEntry, EntityRef, greenroom_model::EntityUid);

/// Writes one result if its ticket still holds; answers the change to log.
fn record_one(
    tx: &mut WriteTx<'_>,
    input: &StitchInput,
    stitched: &Stitched,
) -> rusqlite::Result<Option<Logged>> {
    let key = params![input.tenant.0, input.entity_ref.as_str(), input.ticket];
    let current = tx.run(
        "DELETE FROM stitch_queue WHERE tenant_id = ?1 AND entity_ref = ?2 AND ticket = ?3",
        key,
    )?;
    if current == 0 {
        let now = tx.now_ms();
        tx.run(
            "UPDATE stitch_queue SET next_stitch_at = ?3
             WHERE tenant_id = ?1 AND entity_ref = ?2 AND next_stitch_at > ?3",
            params![input.tenant.0, input.entity_ref.as_str(), now],
        )?;
        return Ok(None);
    }
    match stitched {
        Stitched::Changed(entity) => {
            serve(tx, input.tenant, entity)?;
            Ok(Some((
                LogEntry::Upsert(entity.etag.clone()),
                entity.entity_ref.clone(),
                entity.uid.clone(),
            )))
        }
        Stitched::Unchanged => Ok(None),
        Stitched::Abandoned => {
            let stale = statement::one(
                tx,
                "DELETE FROM final_entities WHERE tenant_id = ?1 AND entity_ref = ?2 RETURNING entity_id",
                params![input.tenant.0, input.entity_ref.as_str()],
                |row| uid(row, 0, "final_entities.entity_id"),
            )?;
            Ok(stale.map(|uid| (LogEntry::Delete, input.entity_ref.clone(), uid)))
        }
    }
}

fn serve(tx: &mut WriteTx<'_>, tenant: TenantId, entity: &FinalEntity) -> rusqlite::Result<()> {
    tx.run(
        "INSERT INTO final_entities (tenant_id, entity_id, entity_ref, etag, final_entity)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (tenant_id, entity_ref) DO UPDATE SET
             entity_id = excluded.entity_id, etag = excluded.etag, final_entity = excluded.final_entity",
        params![
            tenant.0,
            entity.uid.as_str(),
            entity.entity_ref.as_str(),
            entity.etag,
            entity.body.as_ref()
        ],
    )?;
    Ok(())
}
