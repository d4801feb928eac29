//! Deleting entities with everything that hangs on them, and by uid (ref §5.5).
//!
//! A batch goes as one: each table is told once of all of them. That is the same as one after the other, because what hangs
//! on an entity that goes too needs no looking after.

use std::collections::{BTreeSet, HashSet};

use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::{Deleted, StorageError};

use crate::children::{conflicts, edges};
use crate::damage::uid;
use crate::entities::{ref_texts, stored_ref, uid_texts};
use crate::log::{self, LogEntry, NewChange};
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::{self, Queueing};
use crate::{PostgresStorage, graph, orphans, stitching};

/// Entities that went in a transaction. Their work and the log come at its end: see [`Gone::finish`].
#[derive(Debug, Default)]
#[must_use = "nothing is logged before the deletion is finished"]
pub(crate) struct Gone {
    entities: Vec<(EntityUid, EntityRef)>,
    served: HashSet<EntityUid>,
    /// Edges to children that stay, as (parent, child).
    pub(crate) edges: Vec<(EntityRef, EntityRef)>,
}

impl Gone {
    /// How many went.
    pub(crate) fn entities(&self) -> u64 {
        self.entities.len() as u64
    }

    /// Removes their work, queues what the transaction has gathered, and logs those that were served: the last thing a
    /// transaction does, because of the order of locks. Answers the log's last number.
    pub(crate) async fn finish(
        self,
        tx: &Transaction,
        tenant: TenantId,
        mut queueing: Queueing,
    ) -> Result<u64, StorageError> {
        let uids: Vec<EntityUid> = self.entities.iter().map(|(uid, _)| uid.clone()).collect();
        queueing.forget(&uids);
        if !uids.is_empty() {
            work::drop_items(tx, tenant, &uids).await?;
        }
        queueing.write(tx, tenant).await?;
        let served = self
            .entities
            .into_iter()
            .filter(|(uid, _)| self.served.contains(uid));
        let changes: Vec<NewChange> = served
            .map(|(uid, entity_ref)| NewChange {
                what: LogEntry::Delete,
                entity_ref,
                uid,
            })
            .collect();
        log::append(tx, tenant, &changes).await
    }
}

/// Deletes entities; the graph is held. Their children lose an edge: they are queued for an orphan check, and their other
/// parents run again. The sources of their relations are stitched; who lost a conflict to one tries again.
pub(crate) async fn delete(
    tx: &Transaction,
    tenant: TenantId,
    entities: Vec<(EntityUid, EntityRef)>,
    queueing: &mut Queueing,
) -> Result<Gone, StorageError> {
    if entities.is_empty() {
        return Ok(Gone::default());
    }
    let (uids, refs): (Vec<EntityUid>, Vec<EntityRef>) = entities.iter().cloned().unzip();
    let going: HashSet<&EntityRef> = refs.iter().collect();
    delete_rows(tx, tenant, &uids).await?;
    let mut stitches = delete_relations(tx, tenant, &uids).await?;
    stitches.retain(|source| !going.contains(source));
    delete_by_ref(tx, tenant, &refs).await?;
    let served = delete_served(tx, tenant, &uids).await?;
    let mut edges = delete_edges(tx, tenant, &refs).await?;
    edges.retain(|(_, child)| !going.contains(child));
    let children: BTreeSet<&EntityRef> = edges.iter().map(|(_, child)| child).collect();
    let children: Vec<EntityRef> = children.into_iter().cloned().collect();
    edges::requeue_parents(tx, tenant, &children, queueing).await?;
    conflicts::release(tx, tenant, &refs, queueing).await?;
    orphans::queue_checks(tx, tenant, &children, tx.now_ms()).await?;
    stitching::queue(tx, tenant, &stitches).await?;
    Ok(Gone {
        entities,
        served,
        edges,
    })
}

async fn delete_rows(
    tx: &Transaction,
    tenant: TenantId,
    uids: &[EntityUid],
) -> Result<(), StorageError> {
    let uids = uid_texts(uids);
    tx.run(
        "DELETE FROM refresh_state WHERE tenant_id = $1 AND entity_id = ANY($2::text[])",
        &[&tenant.0, &uids],
    )
    .await?;
    tx.run(
        "DELETE FROM refresh_keys WHERE tenant_id = $1 AND entity_id = ANY($2::text[])",
        &[&tenant.0, &uids],
    )
    .await?;
    tx.run(
        "DELETE FROM read_uses WHERE tenant_id = $1 AND entity_id = ANY($2::text[])",
        &[&tenant.0, &uids],
    )
    .await?;
    Ok(())
}

/// Deletes the relations that they made; answers where those began.
async fn delete_relations(
    tx: &Transaction,
    tenant: TenantId,
    uids: &[EntityUid],
) -> Result<Vec<EntityRef>, StorageError> {
    tx.all(
        "WITH gone AS (
             DELETE FROM relations WHERE tenant_id = $1 AND originating_entity_id = ANY($2::text[])
             RETURNING source_entity_ref
         )
         SELECT DISTINCT source_entity_ref FROM gone ORDER BY source_entity_ref",
        &[&tenant.0, &uid_texts(uids)],
        |row| stored_ref(row, 0, "relations.source_entity_ref"),
    )
    .await
}

/// Deletes what names them by ref but edges: what they lost themselves, and their places in queues.
async fn delete_by_ref(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
) -> Result<(), StorageError> {
    let refs = ref_texts(refs);
    tx.run(
        "DELETE FROM conflicts
         WHERE tenant_id = $1 AND source_key = '' AND source_entity_ref = ANY($2::text[])",
        &[&tenant.0, &refs],
    )
    .await?;
    tx.run(
        "DELETE FROM orphan_checks WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])",
        &[&tenant.0, &refs],
    )
    .await?;
    tx.run(
        "DELETE FROM stitch_queue WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])",
        &[&tenant.0, &refs],
    )
    .await?;
    Ok(())
}

async fn delete_served(
    tx: &Transaction,
    tenant: TenantId,
    uids: &[EntityUid],
) -> Result<HashSet<EntityUid>, StorageError> {
    let served = tx
        .all(
            "DELETE FROM final_entities WHERE tenant_id = $1 AND entity_id = ANY($2::text[]) RETURNING entity_id",
            &[&tenant.0, &uid_texts(uids)],
            |row| uid(row, 0, "final_entities.entity_id"),
        )
        .await?;
    Ok(served.into_iter().collect())
}

/// Deletes the edges on both sides; answers those to children.
async fn delete_edges(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
) -> Result<Vec<(EntityRef, EntityRef)>, StorageError> {
    let refs = ref_texts(refs);
    let down = tx
        .all(
            "DELETE FROM refresh_state_references
             WHERE tenant_id = $1 AND source_key = '' AND source_entity_ref = ANY($2::text[])
             RETURNING source_entity_ref, target_entity_ref",
            &[&tenant.0, &refs],
            |row| {
                Ok((
                    stored_ref(row, 0, "refresh_state_references.source_entity_ref")?,
                    stored_ref(row, 1, "refresh_state_references.target_entity_ref")?,
                ))
            },
        )
        .await?;
    tx.run(
        "DELETE FROM refresh_state_references WHERE tenant_id = $1 AND target_entity_ref = ANY($2::text[])",
        &[&tenant.0, &refs],
    )
    .await?;
    Ok(down)
}

/// Deletes by uid. Parents run again with their memos cleared, so that what is still declared comes back.
pub(super) async fn delete_by_uid(
    storage: &PostgresStorage,
    tenant: TenantId,
    uid: &EntityUid,
) -> Result<Deleted, StorageError> {
    let tx = storage.begin("delete an entity").await?;
    graph::lock(&tx, tenant).await?;
    let entity_ref = tx
        .one(
            "SELECT entity_ref FROM refresh_state WHERE tenant_id = $1 AND entity_id = $2",
            &[&tenant.0, &Text(uid.as_str())],
            |row| stored_ref(row, 0, "refresh_state.entity_ref"),
        )
        .await?;
    let Some(entity_ref) = entity_ref else {
        let seq = log::current(&tx, tenant).await?;
        tx.roll_back().await?;
        return Ok(Deleted { entities: 0, seq });
    };
    let mut queueing = Queueing::default();
    let target = std::slice::from_ref(&entity_ref);
    edges::requeue_parents(&tx, tenant, target, &mut queueing).await?;
    let entity = vec![(uid.clone(), entity_ref)];
    let gone = delete(&tx, tenant, entity, &mut queueing).await?;
    let entities = gone.entities();
    let seq = gone.finish(&tx, tenant, queueing).await?;
    tx.commit().await?;
    Ok(Deleted { entities, seq })
}
