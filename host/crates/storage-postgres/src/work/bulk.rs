//! Turning "every entity of the tenant" into items of work, a chunk at a time.
//!
//! `tenant_lanes.bulk_after` is the whole task: the greatest uid already turned. So an activation costs one row whatever
//! the tenant's size, a crash loses nothing, and a later activation starts over. While the tenant has an open canary the
//! walk stands still and keeps its place.
//!
//! A chunk is a transaction of its own, between two looks of a claim: it writes `work` and so needs the graph, which a claim
//! that holds lanes must not wait for.

use greenroom_model::{EntityUid, TenantId};
use greenroom_storage::{Lane, StorageError};

use crate::damage::{text, uid};
use crate::graph;
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::enqueue::{enqueue, lane_number};
use crate::work::lanes;

/// Entities per chunk, the bound of a transaction (DESIGN §7).
const CHUNK: usize = 500;

/// Queues the next chunk of a lane.
pub(super) async fn expand(
    storage: &PostgresStorage,
    tenant: TenantId,
    lane: Lane,
) -> Result<(), StorageError> {
    let tx = storage.begin("queue a tenant").await?;
    graph::lock(&tx, tenant).await?;
    let after = tx
        .one(
            "SELECT bulk_after FROM tenant_lanes l WHERE tenant_id = $1 AND lane = $2 AND bulk_after IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM activations a WHERE a.tenant_id = l.tenant_id AND a.state = 'canary')",
            &[&tenant.0, &lane_number(lane)],
            |row| text(row, 0, "tenant_lanes.bulk_after"),
        )
        .await?;
    let Some(after) = after else {
        return tx.roll_back().await;
    };
    let chunk = tx
        .all(
            "SELECT entity_id FROM refresh_state WHERE tenant_id = $1 AND entity_id > $2
             ORDER BY entity_id LIMIT $3",
            &[&tenant.0, &Text(&after), &(CHUNK as i64)],
            |row| uid(row, 0, "refresh_state.entity_id"),
        )
        .await?;
    enqueue(&tx, tenant, lane, &chunk, tx.now_ms(), false).await?;
    let reached = chunk.last().filter(|_| chunk.len() == CHUNK);
    tx.run(
        "UPDATE tenant_lanes SET bulk_after = $3 WHERE tenant_id = $1 AND lane = $2 AND bulk_after = $4",
        &[
            &tenant.0,
            &lane_number(lane),
            &reached.map(EntityUid::as_str).map(Text),
            &Text(&after),
        ],
    )
    .await?;
    tx.commit().await
}

/// Lets a walk that stood still go on.
pub(crate) async fn touch_bulk(tx: &Transaction, tenant: TenantId) -> Result<(), StorageError> {
    let stands = tx
        .one(
            "SELECT 1 FROM tenant_lanes WHERE tenant_id = $1 AND lane = $2 AND bulk_after IS NOT NULL",
            &[&tenant.0, &lane_number(Lane::Bulk)],
            |_| Ok(()),
        )
        .await?;
    if stands.is_some() {
        lanes::touch(tx, tenant, Lane::Bulk, tx.now_ms()).await?;
    }
    Ok(())
}
