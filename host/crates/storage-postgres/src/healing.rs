//! The audit's pages, and what mends.
//!
//! A page is one snapshot and a fixed number of statements, each about all of its entities; the audit asks for the next one
//! when it likes.

mod page;

use std::collections::BTreeSet;

use async_trait::async_trait;
use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::{AuditPage, Damage, HealingRepository, Lane, Reach, StorageError};

use crate::children::edges::{self, Edge};
use crate::damage::uid;
use crate::entities::{ref_texts, uid_texts};
use crate::locations::SOURCE;
use crate::transaction::Transaction;
use crate::{PostgresStorage, graph, orphans, stitching, work};

/// Most entities of a page.
const MAX_PAGE: u32 = 500;

#[async_trait]
impl HealingRepository for PostgresStorage {
    async fn audit_page(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<AuditPage, StorageError> {
        let after = after.map_or("", EntityUid::as_str);
        let tx = self.snapshot("audit some entities").await?;
        let page = page::read(&tx, tenant, after, limit.clamp(1, MAX_PAGE)).await?;
        tx.commit().await?;
        Ok(page)
    }

    async fn heal(&self, tenant: TenantId, damage: Vec<Damage>) -> Result<(), StorageError> {
        let tx = self.begin("heal what the audit found").await?;
        graph::lock(&tx, tenant).await?;
        mend(&tx, tenant, &Mending::of(&damage)).await?;
        tx.commit().await
    }
}

/// Damage by what mends it, each once.
#[derive(Default)]
struct Mending<'a> {
    runs: BTreeSet<&'a str>,
    edges: BTreeSet<&'a EntityRef>,
    checks: BTreeSet<&'a EntityRef>,
    stitches: BTreeSet<&'a EntityRef>,
}

impl<'a> Mending<'a> {
    fn of(damage: &'a [Damage]) -> Mending<'a> {
        let mut mending = Mending::default();
        for one in damage {
            match one {
                Damage::Memo(uid) | Damage::Edges(uid) => {
                    mending.runs.insert(uid.as_str());
                }
                Damage::Reach(entity_ref, reach) => {
                    if *reach == Reach::Unregistered {
                        mending.edges.insert(entity_ref);
                    }
                    mending.checks.insert(entity_ref);
                }
                Damage::Stitch(entity_ref) => {
                    mending.stitches.insert(entity_ref);
                }
            }
        }
        mending
    }
}

async fn mend(
    tx: &Transaction,
    tenant: TenantId,
    mending: &Mending<'_>,
) -> Result<(), StorageError> {
    let edges: Vec<Edge<'_>> = mending.edges.iter().map(|to| (SOURCE, *to)).collect();
    edges::add(tx, tenant, &edges).await?;
    let checks: Vec<EntityRef> = mending.checks.iter().copied().cloned().collect();
    orphans::queue_checks(tx, tenant, &checks, tx.now_ms()).await?;
    let stitches: Vec<EntityRef> = mending.stitches.iter().copied().cloned().collect();
    distrust(tx, tenant, &stitches).await?;
    stitching::queue(tx, tenant, &stitches).await?;
    let there = there(tx, tenant, &mending.runs).await?;
    work::enqueue(tx, tenant, Lane::Bulk, &there, tx.now_ms(), true).await
}

/// No stitch has an empty etag, so what is served is not taken for what it should be.
async fn distrust(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
) -> Result<(), StorageError> {
    if refs.is_empty() {
        return Ok(());
    }
    tx.run(
        "UPDATE final_entities SET etag = '' WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])",
        &[&tenant.0, &ref_texts(refs)],
    )
    .await?;
    Ok(())
}

/// Those of the entities that have not gone since they were looked at.
async fn there(
    tx: &Transaction,
    tenant: TenantId,
    uids: &BTreeSet<&str>,
) -> Result<Vec<EntityUid>, StorageError> {
    let uids: Vec<EntityUid> = uids.iter().map(|uid| EntityUid::new(*uid)).collect();
    if uids.is_empty() {
        return Ok(uids);
    }
    tx.all(
        "SELECT entity_id FROM refresh_state WHERE tenant_id = $1 AND entity_id = ANY($2::text[])",
        &[&tenant.0, &uid_texts(&uids)],
        |row| uid(row, 0, "refresh_state.entity_id"),
    )
    .await
}
