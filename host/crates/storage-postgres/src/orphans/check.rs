//! One pass over the checks of a tenant.

use std::collections::{BTreeMap, HashMap};

use greenroom_model::{EntityRef, EntityUid, TenantId, Timestamp};
use greenroom_storage::{ORPHAN_GRACE_MS, OrphanReport, StorageError};

use crate::children::conflicts;
use crate::damage::{optional_timestamp, uid};
use crate::entities::{delete, ref_texts, stored_ref};
use crate::orphans::{check_children, reachable, rescue, strategy};
use crate::stitching;
use crate::transaction::Transaction;
use crate::work::Queueing;

/// What becomes of the refs of a pass.
#[derive(Default)]
struct Verdicts {
    /// Checked, and not to be checked again for now.
    done: Vec<EntityRef>,
    /// Reached again.
    rescued: Vec<EntityRef>,
    /// Their grace begins.
    marked: Vec<(EntityRef, Timestamp)>,
    /// Looked at again when their grace is over.
    graced: Vec<(EntityRef, i64)>,
    /// Their grace is over, since when they were orphans.
    over: Vec<(EntityUid, EntityRef, Timestamp)>,
}

/// Does the due checks of one tenant, up to `limit`.
pub(super) async fn check(
    tx: &Transaction,
    tenant: TenantId,
    limit: u32,
) -> Result<OrphanReport, StorageError> {
    let due = tx
        .all(
            "SELECT entity_ref FROM orphan_checks WHERE tenant_id = $1 AND due_at <= $2
             ORDER BY due_at LIMIT $3",
            &[&tenant.0, &tx.now_ms(), &i64::from(limit)],
            |row| stored_ref(row, 0, "orphan_checks.entity_ref"),
        )
        .await?;
    let verdicts = judge(tx, tenant, &due).await?;
    let report = OrphanReport {
        checked: due.len() as u64,
        orphaned: verdicts.marked.len() as u64,
        deleted: verdicts.over.len() as u64,
    };
    // What is reconsidered below is queued anew, so these come first.
    settle(tx, tenant, &verdicts).await?;
    let mut queueing = Queueing::default();
    rescue(tx, tenant, &verdicts.rescued).await?;
    mark(tx, tenant, &verdicts.marked, &mut queueing).await?;
    let since: HashMap<EntityRef, Timestamp> = verdicts
        .over
        .iter()
        .map(|(_, entity_ref, since)| (entity_ref.clone(), *since))
        .collect();
    let over = verdicts
        .over
        .into_iter()
        .map(|(uid, entity_ref, _)| (uid, entity_ref))
        .collect();
    let gone = delete(tx, tenant, over, &mut queueing).await?;
    let inherited = inherit(tx, tenant, &gone.edges, &since).await?;
    mark(tx, tenant, &inherited, &mut queueing).await?;
    gone.finish(tx, tenant, queueing).await?;
    Ok(report)
}

async fn judge(
    tx: &Transaction,
    tenant: TenantId,
    due: &[EntityRef],
) -> Result<Verdicts, StorageError> {
    let keep = strategy::keeps_orphans(tx, tenant).await?;
    let mut states = states(tx, tenant, due).await?;
    let reached = reachable(tx, tenant, due).await?;
    let now = tx.now();
    let mut verdicts = Verdicts::default();
    for entity_ref in due {
        let Some((uid, orphaned_at)) = states.remove(entity_ref) else {
            verdicts.done.push(entity_ref.clone());
            continue;
        };
        if reached.contains(entity_ref) {
            if orphaned_at.is_some() {
                verdicts.rescued.push(entity_ref.clone());
            }
            verdicts.done.push(entity_ref.clone());
            continue;
        }
        let since = orphaned_at.unwrap_or(now);
        if orphaned_at.is_none() {
            verdicts.marked.push((entity_ref.clone(), now));
        }
        if keep {
            verdicts.done.push(entity_ref.clone());
        } else if now.since_ms(since) < ORPHAN_GRACE_MS {
            let due = since.plus_ms(ORPHAN_GRACE_MS).0;
            verdicts.graced.push((entity_ref.clone(), due));
        } else {
            verdicts.over.push((uid, entity_ref.clone(), since));
        }
    }
    Ok(verdicts)
}

type State = (EntityUid, Option<Timestamp>);

async fn states(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
) -> Result<HashMap<EntityRef, State>, StorageError> {
    let states = tx
        .all(
            "SELECT entity_ref, entity_id, orphaned_at FROM refresh_state
             WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])",
            &[&tenant.0, &ref_texts(refs)],
            |row| {
                let state = (
                    uid(row, 1, "refresh_state.entity_id")?,
                    optional_timestamp(row, 2, "refresh_state.orphaned_at")?,
                );
                Ok((stored_ref(row, 0, "refresh_state.entity_ref")?, state))
            },
        )
        .await?;
    Ok(states.into_iter().collect())
}

/// Ends checks, or puts them off.
async fn settle(
    tx: &Transaction,
    tenant: TenantId,
    verdicts: &Verdicts,
) -> Result<(), StorageError> {
    if !verdicts.done.is_empty() {
        tx.run(
            "DELETE FROM orphan_checks WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])",
            &[&tenant.0, &ref_texts(&verdicts.done)],
        )
        .await?;
    }
    if !verdicts.graced.is_empty() {
        let dues: Vec<i64> = verdicts.graced.iter().map(|(_, due)| *due).collect();
        tx.run(
            "UPDATE orphan_checks c SET due_at = later.due_at
             FROM unnest($2::text[], $3::bigint[]) AS later (entity_ref, due_at)
             WHERE c.tenant_id = $1 AND c.entity_ref = later.entity_ref",
            &[
                &tenant.0,
                &ref_texts(verdicts.graced.iter().map(|(entity_ref, _)| entity_ref)),
                &dues,
            ],
        )
        .await?;
    }
    Ok(())
}

/// Begins entities' grace: they are served as orphans, yield their location keys, and their children are checked.
async fn mark(
    tx: &Transaction,
    tenant: TenantId,
    marked: &[(EntityRef, Timestamp)],
    queueing: &mut Queueing,
) -> Result<(), StorageError> {
    if marked.is_empty() {
        return Ok(());
    }
    let refs: Vec<EntityRef> = marked
        .iter()
        .map(|(entity_ref, _)| entity_ref.clone())
        .collect();
    let since: Vec<i64> = marked.iter().map(|(_, since)| since.0).collect();
    tx.run(
        "UPDATE refresh_state r SET orphaned_at = orphan.since
         FROM unnest($2::text[], $3::bigint[]) AS orphan (entity_ref, since)
         WHERE r.tenant_id = $1 AND r.entity_ref = orphan.entity_ref",
        &[&tenant.0, &ref_texts(&refs), &since],
    )
    .await?;
    stitching::queue(tx, tenant, &refs).await?;
    check_children(tx, tenant, &refs).await?;
    conflicts::release(tx, tenant, &refs, queueing).await
}

/// Which children of those that are gone become orphans by that, and since when: their parents' time counts for them.
async fn inherit(
    tx: &Transaction,
    tenant: TenantId,
    edges: &[(EntityRef, EntityRef)],
    since: &HashMap<EntityRef, Timestamp>,
) -> Result<Vec<(EntityRef, Timestamp)>, StorageError> {
    let mut children: BTreeMap<&EntityRef, Timestamp> = BTreeMap::new();
    for (parent, child) in edges {
        let Some(since) = since.get(parent) else {
            continue;
        };
        children
            .entry(child)
            .and_modify(|known| *known = (*known).min(*since))
            .or_insert(*since);
    }
    let refs: Vec<EntityRef> = children.keys().map(|child| (*child).clone()).collect();
    if refs.is_empty() {
        return Ok(Vec::new());
    }
    let states = states(tx, tenant, &refs).await?;
    let reached = reachable(tx, tenant, &refs).await?;
    Ok(children
        .into_iter()
        .filter(|(child, _)| {
            let unmarked = matches!(states.get(*child), Some((_, None)));
            unmarked && !reached.contains(*child)
        })
        .map(|(child, since)| (child.clone(), since))
        .collect())
}
