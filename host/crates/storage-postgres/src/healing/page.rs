//! What a page of the audit shows.

use std::collections::{HashMap, HashSet};

use greenroom_model::{Digest, EntityRef, EntityUid, TenantId};
use greenroom_storage::{
    AuditPage, AuditedEntity, FinalEntity, Reach, ReadKey, StorageError, TracedRead,
};

use super::MAX_PAGE;
use crate::activations::canary_is_open;
use crate::damage::{json, optional_digest, text, uid, value};
use crate::entities::{read_final, ref_texts, stored_ref};
use crate::locations::SOURCE;
use crate::reads::digests;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::{left, orphans, stitching};

/// Reads the entities after a uid.
pub(super) async fn read(
    tx: &Transaction,
    tenant: TenantId,
    after: &str,
    limit: u32,
) -> Result<AuditPage, StorageError> {
    let rows = rows(tx, tenant, after, limit).await?;
    let last = rows.len() < limit as usize;
    let end = match rows.last() {
        Some(row) if !last => Some(row.uid.as_str()),
        _ => None,
    };
    Ok(AuditPage {
        strays: strays(tx, tenant, after, end).await?,
        queueing: is_queueing(tx, tenant).await?,
        entities: audited(tx, tenant, rows).await?,
        last,
    })
}

/// What is read of an entity's own row, and whether other tables know of it.
struct Row {
    uid: EntityUid,
    entity_ref: EntityRef,
    unprocessed: String,
    memo: Option<Digest>,
    trace: Vec<TracedRead>,
    partial: bool,
    orphan: bool,
    left: Option<Digest>,
    queued: bool,
    stitch_queued: bool,
    check_queued: bool,
    unregistered: bool,
}

async fn rows(
    tx: &Transaction,
    tenant: TenantId,
    after: &str,
    limit: u32,
) -> Result<Vec<Row>, StorageError> {
    tx.all(
        "SELECT r.entity_id, r.entity_ref, r.unprocessed_entity, r.memo, r.trace, r.status,
             r.orphaned_at IS NOT NULL, r.left_digest,
             EXISTS (SELECT 1 FROM work w WHERE w.tenant_id = $1 AND w.entity_id = r.entity_id),
             EXISTS (SELECT 1 FROM stitch_queue q WHERE q.tenant_id = $1 AND q.entity_ref = r.entity_ref),
             EXISTS (SELECT 1 FROM orphan_checks o WHERE o.tenant_id = $1 AND o.entity_ref = r.entity_ref),
             starts_with(r.entity_ref, 'location:')
                 AND EXISTS (SELECT 1 FROM locations l WHERE l.tenant_id = $1 AND l.entity_ref = r.entity_ref)
                 AND NOT EXISTS (SELECT 1 FROM refresh_state_references e WHERE e.tenant_id = $1
                     AND e.target_entity_ref = r.entity_ref AND e.source_key = $4 AND e.source_entity_ref = '')
                 AND NOT EXISTS (SELECT 1 FROM conflicts c WHERE c.tenant_id = $1
                     AND c.entity_ref = r.entity_ref AND c.source_key = $4 AND c.source_entity_ref = '')
         FROM refresh_state r WHERE r.tenant_id = $1 AND r.entity_id > $2 ORDER BY r.entity_id LIMIT $3",
        &[
            &tenant.0,
            &Text(after),
            &i64::from(limit),
            &Text(SOURCE.columns().0),
        ],
        |row| {
            Ok(Row {
                uid: uid(row, 0, "refresh_state.entity_id")?,
                entity_ref: stored_ref(row, 1, "refresh_state.entity_ref")?,
                unprocessed: text(row, 2, "refresh_state.unprocessed_entity")?,
                memo: optional_digest(row, 3, "refresh_state.memo")?,
                trace: json(row, 4, "refresh_state.trace")?,
                partial: value::<i64>(row, 5, "refresh_state.status")? == crate::record::PARTIAL,
                orphan: value(row, 6, "refresh_state.orphaned_at")?,
                left: optional_digest(row, 7, "refresh_state.left_digest")?,
                queued: value(row, 8, "work.entity_id")?,
                stitch_queued: value(row, 9, "stitch_queue.entity_ref")?,
                check_queued: value(row, 10, "orphan_checks.entity_ref")?,
                unregistered: value(row, 11, "locations.entity_ref")?,
            })
        },
    )
    .await
}

/// Adds what other tables say of the entities of a page.
async fn audited(
    tx: &Transaction,
    tenant: TenantId,
    rows: Vec<Row>,
) -> Result<Vec<AuditedEntity>, StorageError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let entities: Vec<(EntityUid, EntityRef)> = rows
        .iter()
        .map(|row| (row.uid.clone(), row.entity_ref.clone()))
        .collect();
    let refs: Vec<EntityRef> = entities.iter().map(|(_, one)| one.clone()).collect();
    let reached = orphans::reachable(tx, tenant, &refs).await?;
    let reads = stored_digests(tx, tenant, &rows).await?;
    let found = left::found(tx, tenant, &entities).await?;
    let mut served = finals(tx, tenant, &refs).await?;
    let tickets = refs.into_iter().map(|entity_ref| (entity_ref, 0)).collect();
    let inputs = stitching::load_inputs(tx, tenant, tickets).await?;
    let entities = rows.into_iter().zip(inputs).zip(found);
    let entities = entities.map(|((row, stitch), found)| AuditedEntity {
        reach: reach(&row, &reached),
        stitch,
        memo_withheld: row.partial && row.memo.is_none(),
        reads_current: row
            .trace
            .iter()
            .all(|read| reads.get(&read.key) == Some(&read.digest)),
        edges_as_left: row.left.is_none_or(|left| left == found),
        served: served.remove(&row.entity_ref),
        uid: row.uid,
        entity_ref: row.entity_ref,
        unprocessed: row.unprocessed,
        memo: row.memo,
        trace: row.trace,
        queued: row.queued,
        stitch_queued: row.stitch_queued,
    });
    Ok(entities.collect())
}

fn reach(row: &Row, reached: &HashSet<EntityRef>) -> Reach {
    if row.unregistered {
        Reach::Unregistered
    } else if reached.contains(&row.entity_ref) != row.orphan || row.check_queued {
        Reach::AsMarked
    } else if row.orphan {
        Reach::Reached
    } else {
        Reach::Unreached
    }
}

/// The digests of the stored outcomes of all reads of a page.
async fn stored_digests(
    tx: &Transaction,
    tenant: TenantId,
    rows: &[Row],
) -> Result<HashMap<ReadKey, Digest>, StorageError> {
    let traced = rows.iter().flat_map(|row| &row.trace);
    let keys: HashSet<&ReadKey> = traced.map(|read| &read.key).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    digests(tx, tenant, &keys.into_iter().collect::<Vec<_>>()).await
}

async fn finals(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
) -> Result<HashMap<EntityRef, FinalEntity>, StorageError> {
    let finals = tx
        .all(
            "SELECT entity_id, entity_ref, etag, final_entity FROM final_entities
             WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])",
            &[&tenant.0, &ref_texts(refs)],
            read_final,
        )
        .await?;
    Ok(finals
        .into_iter()
        .map(|entity| (entity.entity_ref.clone(), entity))
        .collect())
}

/// What is served in this stretch of uids, up to `end` or to the last, although no entity has the ref.
async fn strays(
    tx: &Transaction,
    tenant: TenantId,
    after: &str,
    end: Option<&str>,
) -> Result<Vec<EntityRef>, StorageError> {
    tx.all(
        "SELECT f.entity_ref FROM final_entities f
         WHERE f.tenant_id = $1 AND f.entity_id > $2 AND ($3::text IS NULL OR f.entity_id <= $3)
             AND NOT EXISTS (SELECT 1 FROM refresh_state r WHERE r.tenant_id = $1 AND r.entity_ref = f.entity_ref)
             AND NOT EXISTS (SELECT 1 FROM stitch_queue q WHERE q.tenant_id = $1 AND q.entity_ref = f.entity_ref)
         LIMIT $4",
        &[
            &tenant.0,
            &Text(after),
            &end.map(Text),
            &i64::from(MAX_PAGE),
        ],
        |row| stored_ref(row, 0, "final_entities.entity_ref"),
    )
    .await
}

/// Whether all of the tenant is being queued, or waits for the end of a canary.
async fn is_queueing(tx: &Transaction, tenant: TenantId) -> Result<bool, StorageError> {
    let walk = tx
        .rows(
            "SELECT 1 FROM tenant_lanes WHERE tenant_id = $1 AND bulk_after IS NOT NULL LIMIT 1",
            &[&tenant.0],
        )
        .await?;
    Ok(!walk.is_empty() || canary_is_open(tx, tenant).await?)
}
