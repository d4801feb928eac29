//! Orphan checks: walking up from entities that lost an edge (DESIGN §2; design notes O1, O2).
//!
//! Nothing is counted: cycles never reach zero. A check asks whether any provider's edge is above an entity. What is
//! unreachable is marked and its children are checked in turn, so that they yield their location keys too; what is still
//! marked and unreachable when its grace is over goes, and its children inherit the elapsed grace. Every pass does a
//! bounded number of rows, and each step queues what it makes necessary, so a crash at any point loses nothing.
//!
//! A pass is of one tenant and holds its graph, so what it found unreachable is so until it has written. All checks of a pass
//! are decided on one reading: removing what no provider reaches changes nothing about what one does.

mod check;
mod reach;
mod strategy;

use async_trait::async_trait;
use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{OrphanQueue, OrphanReport, StorageError};

use crate::damage::tenant_id;
use crate::entities::ref_texts;
use crate::graph;
use crate::postgres_storage::PostgresStorage;
use crate::stitching;
use crate::transaction::Transaction;

pub(crate) use reach::reachable;

/// Checks of one transaction (DESIGN §7).
const MAX_CHECKS: u32 = 500;

#[async_trait]
impl OrphanQueue for PostgresStorage {
    async fn check_orphans(&self, limit: u32) -> Result<OrphanReport, StorageError> {
        let tx = self.begin("check orphans").await?;
        let tenant = tx
            .one(
                "SELECT tenant_id FROM orphan_checks WHERE due_at <= $1 ORDER BY due_at LIMIT 1",
                &[&tx.now_ms()],
                |row| tenant_id(row, 0, "orphan_checks.tenant_id"),
            )
            .await?;
        let Some(tenant) = tenant else {
            tx.roll_back().await?;
            return Ok(OrphanReport::default());
        };
        graph::lock(&tx, tenant).await?;
        let report = check::check(&tx, tenant, limit.min(MAX_CHECKS)).await?;
        tx.commit().await?;
        Ok(report)
    }
}

/// Queues checks; an earlier one stays.
pub(crate) async fn queue_checks(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
    due_ms: i64,
) -> Result<(), StorageError> {
    if refs.is_empty() {
        return Ok(());
    }
    tx.run(
        "INSERT INTO orphan_checks (tenant_id, entity_ref, due_at)
         SELECT $1, new.entity_ref, $3
         FROM (SELECT DISTINCT entity_ref FROM unnest($2::text[]) AS given (entity_ref)) AS new
         ON CONFLICT (tenant_id, entity_ref) DO UPDATE SET due_at = excluded.due_at
         WHERE orphan_checks.due_at > excluded.due_at",
        &[&tenant.0, &ref_texts(refs), &due_ms],
    )
    .await?;
    Ok(())
}

/// Queues checks of what these entities emit.
async fn check_children(
    tx: &Transaction,
    tenant: TenantId,
    parents: &[EntityRef],
) -> Result<(), StorageError> {
    tx.run(
        "INSERT INTO orphan_checks (tenant_id, entity_ref, due_at)
         SELECT DISTINCT e.tenant_id, e.target_entity_ref, $3::bigint FROM refresh_state_references e
         WHERE e.tenant_id = $1 AND e.source_key = '' AND e.source_entity_ref = ANY($2::text[])
         ON CONFLICT (tenant_id, entity_ref) DO UPDATE SET due_at = excluded.due_at
         WHERE orphan_checks.due_at > excluded.due_at",
        &[&tenant.0, &ref_texts(parents), &tx.now_ms()],
    )
    .await?;
    Ok(())
}

/// Something reaches orphans again: they are served without the mark, and their children are looked at.
pub(crate) async fn rescue(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
) -> Result<(), StorageError> {
    if refs.is_empty() {
        return Ok(());
    }
    tx.run(
        "UPDATE refresh_state SET orphaned_at = NULL WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])",
        &[&tenant.0, &ref_texts(refs)],
    )
    .await?;
    stitching::queue(tx, tenant, refs).await?;
    check_children(tx, tenant, refs).await
}
