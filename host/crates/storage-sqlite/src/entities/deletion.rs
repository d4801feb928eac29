//! Deleting an entity's row with everything that hangs on it, and by uid (ref §5.5).

use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::Deleted;
use rusqlite::params;

use crate::children::{conflicts, edges};
use crate::damage::value;
use crate::entities::stored_ref;
use crate::log::{LogEntry, append_change, last_seq};
use crate::orphans;
use crate::statement;
use crate::stitching::enqueue_stitch;
use crate::work::{drop_held, read_lane};
use crate::writer::WriteTx;

/// Entities that went in a transaction; logged at its end, because a log's number is taken last.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// Rows deleted.
    pub(crate) entities: u64,
    served: Vec<(EntityRef, EntityUid)>,
}

impl Gone {
    /// Appends the changes of those that were served.
    pub(crate) fn log(&self, tx: &mut WriteTx<'_>, tenant: TenantId) -> rusqlite::Result<()> {
        for (entity_ref, uid) in &self.served {
            append_change(tx, tenant, &LogEntry::Delete, entity_ref, uid)?;
        }
        Ok(())
    }
}

/// Deletes a row. Its children lose an edge: they are queued for an orphan check, and their other parents run again. The
/// sources of its relations are stitched; who lost a conflict to it tries again. Answers the children.
pub(crate) fn delete_row(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    uid: &EntityUid,
    entity_ref: &EntityRef,
    gone: &mut Gone,
) -> rusqlite::Result<Vec<EntityRef>> {
    let by_uid = params![tenant.0, uid.as_str()];
    let by_ref = params![tenant.0, entity_ref.as_str()];
    tx.run(
        "DELETE FROM refresh_state WHERE tenant_id = ?1 AND entity_id = ?2",
        by_uid,
    )?;
    delete_work(tx, tenant, uid)?;
    delete_relations(tx, tenant, uid, entity_ref)?;
    tx.run(
        "DELETE FROM refresh_keys WHERE tenant_id = ?1 AND entity_id = ?2",
        by_uid,
    )?;
    tx.run(
        "DELETE FROM read_uses WHERE tenant_id = ?1 AND entity_id = ?2",
        by_uid,
    )?;
    tx.run(
        "DELETE FROM conflicts WHERE tenant_id = ?1 AND source_key = '' AND source_entity_ref = ?2",
        by_ref,
    )?;
    tx.run(
        "DELETE FROM orphan_checks WHERE tenant_id = ?1 AND entity_ref = ?2",
        by_ref,
    )?;
    tx.run(
        "DELETE FROM stitch_queue WHERE tenant_id = ?1 AND entity_ref = ?2",
        by_ref,
    )?;
    tx.run(
        "DELETE FROM refresh_state_references WHERE tenant_id = ?1 AND target_entity_ref = ?2",
        by_ref,
    )?;
    let served = tx.run(
        "DELETE FROM final_entities WHERE tenant_id = ?1 AND entity_id = ?2",
        by_uid,
    )?;
    if served > 0 {
        gone.served.push((entity_ref.clone(), uid.clone()));
    }
    gone.entities += 1;
    let children = edges::targets(tx, tenant, edges::Source::Parent(entity_ref))?;
    tx.run(
        "DELETE FROM refresh_state_references
         WHERE tenant_id = ?1 AND source_key = '' AND source_entity_ref = ?2",
        by_ref,
    )?;
    let now = tx.now();
    for child in &children {
        orphans::enqueue_check(tx, tenant, child, now)?;
        edges::requeue_parents(tx, tenant, child)?;
    }
    conflicts::release(tx, tenant, entity_ref)?;
    Ok(children)
}

fn delete_work(tx: &mut WriteTx<'_>, tenant: TenantId, uid: &EntityUid) -> rusqlite::Result<()> {
    let held = statement::one(
        tx,
        "DELETE FROM work WHERE tenant_id = ?1 AND entity_id = ?2 RETURNING lane, worker_id IS NOT NULL",
        params![tenant.0, uid.as_str()],
        |row| {
            Ok((
                read_lane(row, 0, "work.lane")?,
                value::<bool>(row, 1, "work.worker_id")?,
            ))
        },
    )?;
    match held {
        Some((lane, true)) => drop_held(tx, tenant, lane),
        Some((_, false)) | None => Ok(()),
    }
}

fn delete_relations(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    uid: &EntityUid,
    entity_ref: &EntityRef,
) -> rusqlite::Result<()> {
    let key = params![tenant.0, uid.as_str()];
    let sources = statement::all(
        tx,
        "SELECT DISTINCT source_entity_ref FROM relations
         WHERE tenant_id = ?1 AND originating_entity_id = ?2 ORDER BY source_entity_ref",
        key,
        |row| stored_ref(row, 0, "relations.source_entity_ref"),
    )?;
    tx.run(
        "DELETE FROM relations WHERE tenant_id = ?1 AND originating_entity_id = ?2",
        key,
    )?;
    for source in sources.iter().filter(|source| *source != entity_ref) {
        enqueue_stitch(tx, tenant, source)?;
    }
    Ok(())
}

/// Deletes by uid. Parents run again with their memos cleared, so that what is still declared comes back.
pub(super) fn delete_by_uid(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    uid: &EntityUid,
) -> rusqlite::Result<Deleted> {
    let entity_ref = statement::one(
        tx,
        "SELECT entity_ref FROM refresh_state WHERE tenant_id = ?1 AND entity_id = ?2",
        params![tenant.0, uid.as_str()],
        |row| stored_ref(row, 0, "refresh_state.entity_ref"),
    )?;
    let mut gone = Gone::default();
    if let Some(entity_ref) = entity_ref {
        edges::requeue_parents(tx, tenant, &entity_ref)?;
        delete_row(tx, tenant, uid, &entity_ref, &mut gone)?;
        gone.log(tx, tenant)?;
    }
    Ok(Deleted {
        entities: gone.entities,
        seq: last_seq(tx, tenant)?,
    })
}
