//! Refreshing: distrusting what was read for an entity and for the Locations above it, or for all that have a refresh key
//! (ref §5.5).

use std::collections::{HashSet, VecDeque};

use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::{Lane, RefreshScope};
use rusqlite::params;

use crate::children::edges;
use crate::damage::{uid, value};
use crate::entities::uid_of;
use crate::statement;
use crate::work::{enqueue, requeue_cleared};
use crate::writer::WriteTx;

/// Ancestors looked at: what a refresh asks for is bounded, however many parents an entity has.
const MAX_ANCESTORS: usize = 500;

/// Entities with a key that one transaction refreshes.
pub(super) const KEYED_AT_ONCE: u32 = 500;

/// Refreshes; `false` if there is no such entity with an incoming edge.
pub(super) fn refresh(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
    scope: RefreshScope,
) -> rusqlite::Result<bool> {
    let edge = statement::one(
        tx,
        "SELECT 1 FROM refresh_state_references WHERE tenant_id = ?1 AND target_entity_ref = ?2 LIMIT 1",
        params![tenant.0, entity_ref.as_str()],
        |row| value::<i64>(row, 0, "refresh_state_references"),
    )?;
    let Some(uid) = uid_of(tx, tenant, entity_ref)?.filter(|_| edge.is_some()) else {
        return Ok(false);
    };
    refresh_one(tx, tenant, &uid, scope, Lane::OnRequest)?;
    let mut seen = HashSet::from([entity_ref.clone()]);
    let mut next = VecDeque::from([entity_ref.clone()]);
    while let Some(child) = next.pop_front() {
        for parent in edges::parents(tx, tenant, &child)? {
            if seen.len() >= MAX_ANCESTORS || !seen.insert(parent.clone()) {
                continue;
            }
            if parent.kind() == "location"
                && let Some(uid) = uid_of(tx, tenant, &parent)?
            {
                refresh_one(tx, tenant, &uid, scope, Lane::OnRequest)?;
            }
            next.push_back(parent);
        }
    }
    Ok(true)
}

fn refresh_one(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    uid: &EntityUid,
    scope: RefreshScope,
    lane: Lane,
) -> rusqlite::Result<()> {
    let now = tx.now();
    tx.run(
        "UPDATE reads SET next_due = ?3 WHERE tenant_id = ?1 AND next_due > ?3 AND (credential, want) IN (
             SELECT credential, want FROM read_uses WHERE tenant_id = ?1 AND entity_id = ?2)",
        params![tenant.0, uid.as_str(), now.0],
    )?;
    match scope {
        RefreshScope::Reads => enqueue(tx, tenant, uid, lane, now),
        RefreshScope::Forced => requeue_cleared(tx, tenant, uid, lane),
    }
}

/// Refreshes the next entities that have the key, by uid, and answers them.
pub(super) fn refresh_keyed(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    key: &str,
    after: Option<&EntityUid>,
) -> rusqlite::Result<Vec<EntityUid>> {
    let uids = statement::all(
        tx,
        "SELECT entity_id FROM refresh_keys WHERE tenant_id = ?1 AND key = ?2 AND entity_id > ?3
         ORDER BY entity_id LIMIT ?4",
        params![
            tenant.0,
            key,
            after.map_or("", EntityUid::as_str),
            KEYED_AT_ONCE
        ],
        |row| uid(row, 0, "refresh_keys.entity_id"),
    )?;
    for uid in &uids {
        refresh_one(tx, tenant, uid, RefreshScope::Reads, Lane::Changed)?;
    }
    Ok(uids)
}
