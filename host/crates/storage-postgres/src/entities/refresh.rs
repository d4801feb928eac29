//! Refreshing: distrusting what was read for an entity and for the Locations above it, or for all that have a refresh key
//! (ref §5.5).

use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::{Lane, RefreshScope, StorageError};

use crate::damage::{text, uid};
use crate::entities::uid_texts;
use crate::text::{Text, texts};
use crate::transaction::Transaction;
use crate::{PostgresStorage, graph, work};

/// Ancestors looked at: what a refresh asks for is bounded, however many parents an entity has.
const MAX_ANCESTORS: i64 = 500;

/// Entities with a key that one transaction refreshes.
const KEYED_AT_ONCE: usize = 500;

/// Refreshes; `false` if there is no such entity with an incoming edge.
pub(super) async fn refresh(
    storage: &PostgresStorage,
    tenant: TenantId,
    entity_ref: &EntityRef,
    scope: RefreshScope,
) -> Result<bool, StorageError> {
    let tx = storage.begin("refresh an entity").await?;
    graph::lock(&tx, tenant).await?;
    // Breadth first, and no further than the bound: a recursion is evaluated as far as its rows are asked for.
    let uids = tx
        .all(
            "WITH RECURSIVE up (entity_ref) AS (
                 SELECT r.entity_ref FROM refresh_state r
                 WHERE r.tenant_id = $1 AND r.entity_ref = $2
                     AND EXISTS (SELECT 1 FROM refresh_state_references e
                         WHERE e.tenant_id = $1 AND e.target_entity_ref = $2)
                 UNION
                 SELECT e.source_entity_ref FROM up
                 JOIN refresh_state_references e
                     ON e.tenant_id = $1 AND e.target_entity_ref = up.entity_ref AND e.source_key = ''
             ), near AS (SELECT entity_ref FROM up LIMIT $3)
             SELECT r.entity_id FROM near
             JOIN refresh_state r ON r.tenant_id = $1 AND r.entity_ref = near.entity_ref
             WHERE near.entity_ref = $2 OR starts_with(near.entity_ref, 'location:')",
            &[&tenant.0, &Text(entity_ref.as_str()), &MAX_ANCESTORS],
            |row| uid(row, 0, "refresh_state.entity_id"),
        )
        .await?;
    if uids.is_empty() {
        tx.roll_back().await?;
        return Ok(false);
    }
    refresh_all(&tx, tenant, &uids, scope, Lane::OnRequest).await?;
    tx.commit().await?;
    Ok(true)
}

/// Makes the reads of these entities due now, and queues them.
async fn refresh_all(
    tx: &Transaction,
    tenant: TenantId,
    uids: &[EntityUid],
    scope: RefreshScope,
    lane: Lane,
) -> Result<(), StorageError> {
    // Reads are locked in order, because who looks after them does not hold the graph.
    tx.run(
        "UPDATE reads SET next_due = $3 FROM (
             SELECT r.credential, r.want FROM reads r
             WHERE r.tenant_id = $1 AND r.next_due > $3 AND (r.credential, r.want) IN (
                 SELECT u.credential, u.want FROM read_uses u
                 WHERE u.tenant_id = $1 AND u.entity_id = ANY($2::text[]))
             ORDER BY r.credential, r.want FOR UPDATE
         ) used
         WHERE reads.tenant_id = $1 AND reads.credential = used.credential AND reads.want = used.want",
        &[&tenant.0, &uid_texts(uids), &tx.now_ms()],
    )
    .await?;
    let clear_memo = scope == RefreshScope::Forced;
    work::enqueue(tx, tenant, lane, uids, tx.now_ms(), clear_memo).await
}

/// Refreshes whatever has one of the keys.
pub(super) async fn refresh_by_keys(
    storage: &PostgresStorage,
    tenant: TenantId,
    keys: &[String],
) -> Result<u64, StorageError> {
    let mut count = 0;
    for key in met(storage, tenant, keys).await? {
        let mut after = EntityUid::new("");
        loop {
            let uids = refresh_keyed(storage, tenant, &key, &after).await?;
            count += uids.len() as u64;
            match uids.last() {
                Some(last) if uids.len() == KEYED_AT_ONCE => after = last.clone(),
                _ => break,
            }
        }
    }
    Ok(count)
}

/// Those of the keys that some entity has: of what a webhook asks for most is unknown here.
async fn met(
    storage: &PostgresStorage,
    tenant: TenantId,
    keys: &[String],
) -> Result<Vec<String>, StorageError> {
    storage
        .read_all(
            "find refresh keys",
            "SELECT asked.key FROM unnest($2::text[]) WITH ORDINALITY asked (key, n)
             WHERE EXISTS (SELECT 1 FROM refresh_keys k WHERE k.tenant_id = $1 AND k.key = asked.key)
             ORDER BY asked.n",
            &[&tenant.0, &texts(keys.iter().map(String::as_str))],
            |row| text(row, 0, "refresh_keys.key"),
        )
        .await
}

/// Refreshes the next entities that have the key, by uid, and answers them.
async fn refresh_keyed(
    storage: &PostgresStorage,
    tenant: TenantId,
    key: &str,
    after: &EntityUid,
) -> Result<Vec<EntityUid>, StorageError> {
    let tx = storage.begin("refresh entities by key").await?;
    graph::lock(&tx, tenant).await?;
    let uids = tx
        .all(
            "SELECT entity_id FROM refresh_keys WHERE tenant_id = $1 AND key = $2 AND entity_id > $3
             ORDER BY entity_id LIMIT $4",
            &[
                &tenant.0,
                &Text(key),
                &Text(after.as_str()),
                &(KEYED_AT_ONCE as i64),
            ],
            |row| uid(row, 0, "refresh_keys.entity_id"),
        )
        .await?;
    if uids.is_empty() {
        tx.roll_back().await?;
        return Ok(uids);
    }
    refresh_all(&tx, tenant, &uids, RefreshScope::Reads, Lane::Changed).await?;
    tx.commit().await?;
    Ok(uids)
}
