//! The audit's pages, and what mends.
//!
//! A page reads everything of its entities in one read transaction and is therefore small; the audit asks for the next one
//! when it likes.

use async_trait::async_trait;
use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::{
    AuditPage, AuditedEntity, Damage, FinalEntity, HealingRepository, Lane, Reach, StorageError,
    TracedRead,
};
use rusqlite::{Connection, params};

use crate::SqliteStorage;
use crate::activations::canary_is_open;
use crate::children::edges;
use crate::damage::{json, optional_digest, stored, uid, value};
use crate::entities::{find_final, stored_ref};
use crate::left;
use crate::locations::SOURCE;
use crate::orphans::{self, is_reachable};
use crate::reads::stored_digest;
use crate::statement;
use crate::stitching::{enqueue_stitch, load_input};
use crate::work::requeue_cleared;
use crate::writer::WriteTx;

/// Most entities of a page.
const MAX_PAGE: u32 = 500;

#[async_trait]
impl HealingRepository for SqliteStorage {
    async fn audit_page(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<AuditPage, StorageError> {
        let after = after.map_or_else(String::new, |uid| uid.as_str().to_owned());
        self.read("audit some entities", move |conn| {
            page(conn, tenant, &after, limit.clamp(1, MAX_PAGE))
        })
        .await
    }

    async fn heal(&self, tenant: TenantId, damage: Vec<Damage>) -> Result<(), StorageError> {
        self.write("heal what the audit found", move |tx| {
            damage.iter().try_for_each(|one| mend(tx, tenant, one))
        })
        .await
    }
}

fn page(
    conn: &Connection,
    tenant: TenantId,
    after: &str,
    limit: u32,
) -> rusqlite::Result<AuditPage> {
    let rows = statement::all(
        conn,
        "SELECT entity_id, entity_ref, unprocessed_entity, memo, trace, status, orphaned_at IS NOT NULL, left_digest
         FROM refresh_state WHERE tenant_id = ?1 AND entity_id > ?2 ORDER BY entity_id LIMIT ?3",
        params![tenant.0, after, limit],
        |row| {
            let row = Row {
                memo: optional_digest(row, 3, "refresh_state.memo")?,
                uid: uid(row, 0, "refresh_state.entity_id")?,
                entity_ref: stored_ref(row, 1, "refresh_state.entity_ref")?,
                unprocessed: value(row, 2, "refresh_state.unprocessed_entity")?,
                trace: json(row, 4, "refresh_state.trace")?,
                partial: value::<i64>(row, 5, "refresh_state.status")? == crate::record::PARTIAL,
                orphan: value(row, 6, "refresh_state.orphaned_at")?,
                left: optional_digest(row, 7, "refresh_state.left_digest")?,
            };
            Ok(row)
        },
    )?;
    let last = rows.len() < limit as usize;
    let end = match rows.last() {
        Some(row) if !last => Some(row.uid.as_str().to_owned()),
        _ => None,
    };
    Ok(AuditPage {
        strays: strays(conn, tenant, after, end.as_deref())?,
        queueing: is_queueing(conn, tenant)?,
        entities: rows
            .into_iter()
            .map(|row| audited(conn, tenant, row))
            .collect::<rusqlite::Result<_>>()?,
        last,
    })
}

/// What is read of `refresh_state` alone.
struct Row {
    uid: EntityUid,
    entity_ref: EntityRef,
    unprocessed: String,
    memo: Option<greenroom_model::Digest>,
    trace: Vec<TracedRead>,
    partial: bool,
    orphan: bool,
    left: Option<greenroom_model::Digest>,
}

fn audited(conn: &Connection, tenant: TenantId, row: Row) -> rusqlite::Result<AuditedEntity> {
    let mut reads_current = true;
    for read in &row.trace {
        reads_current &= stored_digest(conn, tenant, &read.key)? == Some(read.digest);
    }
    let edges_as_left = match &row.left {
        Some(left) => *left == left::found(conn, tenant, &row.uid, &row.entity_ref)?,
        None => true,
    };
    let queued = statement::one(
        conn,
        "SELECT 1 FROM work WHERE tenant_id = ?1 AND entity_id = ?2",
        params![tenant.0, row.uid.as_str()],
        |_| Ok(()),
    )?;
    let stitch_queued = statement::one(
        conn,
        "SELECT 1 FROM stitch_queue WHERE tenant_id = ?1 AND entity_ref = ?2",
        params![tenant.0, row.entity_ref.as_str()],
        |_| Ok(()),
    )?;
    let served: Option<FinalEntity> = find_final(conn, tenant, row.entity_ref.as_str())?;
    Ok(AuditedEntity {
        reach: reach(conn, tenant, &row.entity_ref, row.orphan)?,
        stitch: load_input(conn, tenant, row.entity_ref.clone(), 0)?,
        memo_withheld: row.partial && row.memo.is_none(),
        uid: row.uid,
        entity_ref: row.entity_ref,
        unprocessed: row.unprocessed,
        memo: row.memo,
        trace: row.trace,
        reads_current,
        queued: queued.is_some(),
        edges_as_left,
        served,
        stitch_queued: stitch_queued.is_some(),
    })
}

fn reach(
    conn: &Connection,
    tenant: TenantId,
    entity_ref: &EntityRef,
    orphan: bool,
) -> rusqlite::Result<Reach> {
    let registered = params![tenant.0, entity_ref.as_str(), SOURCE.columns().0];
    let unregistered = entity_ref.kind() == "location"
        && statement::one(
            conn,
            "SELECT 1 FROM locations l WHERE l.tenant_id = ?1 AND l.entity_ref = ?2
                 AND NOT EXISTS (SELECT 1 FROM refresh_state_references e WHERE e.tenant_id = ?1
                     AND e.target_entity_ref = ?2 AND e.source_key = ?3 AND e.source_entity_ref = '')
                 AND NOT EXISTS (SELECT 1 FROM conflicts c WHERE c.tenant_id = ?1
                     AND c.entity_ref = ?2 AND c.source_key = ?3 AND c.source_entity_ref = '')
             LIMIT 1",
            registered,
            |_| Ok(()),
        )?
        .is_some();
    if unregistered {
        return Ok(Reach::Unregistered);
    }
    if is_reachable(conn, tenant, entity_ref)? != orphan {
        return Ok(Reach::AsMarked);
    }
    let checked = statement::one(
        conn,
        "SELECT 1 FROM orphan_checks WHERE tenant_id = ?1 AND entity_ref = ?2",
        params![tenant.0, entity_ref.as_str()],
        |_| Ok(()),
    )?;
    Ok(match (checked, orphan) {
        (Some(()), _) => Reach::AsMarked,
        (None, true) => Reach::Reached,
        (None, false) => Reach::Unreached,
    })
}

/// What is served in this stretch of uids, up to `end` or to the last, although no entity has the ref.
fn strays(
    conn: &Connection,
    tenant: TenantId,
    after: &str,
    end: Option<&str>,
) -> rusqlite::Result<Vec<EntityRef>> {
    statement::all(
        conn,
        "SELECT f.entity_ref FROM final_entities f
         WHERE f.tenant_id = ?1 AND f.entity_id > ?2 AND (?3 IS NULL OR f.entity_id <= ?3)
             AND NOT EXISTS (SELECT 1 FROM refresh_state r WHERE r.tenant_id = ?1 AND r.entity_ref = f.entity_ref)
             AND NOT EXISTS (SELECT 1 FROM stitch_queue q WHERE q.tenant_id = ?1 AND q.entity_ref = f.entity_ref)
         LIMIT ?4",
        params![tenant.0, after, end, stored(u64::from(MAX_PAGE))],
        |row| stored_ref(row, 0, "final_entities.entity_ref"),
    )
}

fn is_queueing(conn: &Connection, tenant: TenantId) -> rusqlite::Result<bool> {
    let walk = statement::one(
        conn,
        "SELECT 1 FROM tenant_lanes WHERE tenant_id = ?1 AND bulk_after IS NOT NULL LIMIT 1",
        params![tenant.0],
        |_| Ok(()),
    )?;
    Ok(walk.is_some() || canary_is_open(conn, tenant)?)
}

fn mend(tx: &mut WriteTx<'_>, tenant: TenantId, damage: &Damage) -> rusqlite::Result<()> {
    match damage {
        Damage::Memo(uid) | Damage::Edges(uid) => {
            let there = statement::one(
                tx,
                "SELECT 1 FROM refresh_state WHERE tenant_id = ?1 AND entity_id = ?2",
                params![tenant.0, uid.as_str()],
                |_| Ok(()),
            )?;
            match there {
                Some(()) => requeue_cleared(tx, tenant, uid, Lane::Bulk),
                None => Ok(()),
            }
        }
        Damage::Reach(entity_ref, reach) => {
            if *reach == Reach::Unregistered {
                edges::add(tx, tenant, SOURCE, entity_ref)?;
            }
            let now = tx.now();
            orphans::enqueue_check(tx, tenant, entity_ref, now)
        }
        Damage::Stitch(entity_ref) => {
            // No stitch has an empty etag, so what is served is not taken for what it should be.
            tx.run(
                "UPDATE final_entities SET etag = '' WHERE tenant_id = ?1 AND entity_ref = ?2",
                params![tenant.0, entity_ref.as_str()],
            )?;
            enqueue_stitch(tx, tenant, entity_ref)
        }
    }
}
