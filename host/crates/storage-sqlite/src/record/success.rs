//! A run that kept its result: everything but its children, which are placed already.

use std::collections::{BTreeSet, HashSet};

use greenroom_model::{Digest, EntityRef, TenantId};
use greenroom_storage::{Claim, Success, chain_too_long, left_digest, no_room_for};
use rusqlite::params;

use crate::children::conflicts;
use crate::children::edges::{self, Source};
use crate::damage::to_json;
use crate::orphans;
use crate::record::{Placement, Target, reads_used, relations};
use crate::stitching::enqueue_stitch_in;
use crate::writer::WriteTx;

/// Stored numbers of `refresh_state.status`.
const OK: i64 = 1;
pub(crate) const PARTIAL: i64 = 2;

/// Writes the body and its state, relations and keys by difference, and what the change makes necessary. `good` is the
/// digest of the bytes it ran on, if the result is one that a later fault is a regression from; `neighbours_wait_ms` is how long
/// others wait until they are stitched.
pub(super) fn apply(
    tx: &mut WriteTx<'_>,
    claim: &Claim,
    target: &Target,
    success: &Success,
    placed: &Placement,
    good: Option<Digest>,
    neighbours_wait_ms: i64,
) -> rusqlite::Result<()> {
    let tenant = claim.tenant;
    let mut diagnostics = success.diagnostics.clone();
    if let Some((first, others)) = placed.too_far.split_first() {
        diagnostics.push(chain_too_long(first, others.len()));
    }
    if let (Some((first, others)), Some(over)) = (placed.no_room.split_first(), &placed.over) {
        diagnostics.push(no_room_for(first, others.len(), over));
    }
    let complete = success.complete && placed.is_whole();
    let told = to_json(&diagnostics)?;
    // How far it is from its origin is no part of a memo, nor is a quota, so what was refused for them is tried again by the next run.
    let keeps_memo = !target.held.memo_cleared && placed.is_whole();
    let memo = keeps_memo.then_some(&success.memo);
    let source = Source::Parent(&target.entity_ref);
    let (kept, lost) = split(
        edges::targets(tx, tenant, source)?,
        complete,
        &placed.accepted,
    );
    let left = left_digest(&kept, &success.relations);
    let now = tx.now_ms();
    tx.run(
        "UPDATE refresh_state SET processed_entity = ?3, cache = ?4, memo = ?5, trace = ?6, diagnostics = ?7,
             status = ?8, dead_letter = 0, attempts = 0, waiting = NULL, last_run_at = ?9, left_digest = ?11,
             good_digest = coalesce(?10, good_digest),
             good_trace = CASE WHEN ?10 IS NULL AND good_digest IS NOT NULL THEN coalesce(good_trace, trace) END
         WHERE tenant_id = ?1 AND entity_id = ?2",
        params![
            tenant.0,
            claim.uid.as_str(),
            success.processed,
            success.caches,
            memo.map(|memo| memo.as_bytes()),
            to_json(&success.trace)?,
            told,
            if complete { OK } else { PARTIAL },
            now,
            good.as_ref().map(|good| good.as_bytes()),
            left.as_bytes()
        ],
    )?;
    reads_used::replace(tx, claim, &success.trace)?;
    refresh_keys(tx, claim, &success.refresh_keys)?;
    let mut stitches: BTreeSet<EntityRef> = relations::replace(tx, claim, &success.relations)?;
    let same_body = target.processed.as_deref() == Some(success.processed.as_str());
    if !same_body || target.diagnostics != told {
        stitches.insert(target.entity_ref.clone());
    }
    for entity_ref in &stitches {
        let is_own = *entity_ref == target.entity_ref;
        let wait_ms = if is_own { 0 } else { neighbours_wait_ms };
        enqueue_stitch_in(tx, tenant, entity_ref, wait_ms)?;
    }
    if complete {
        remove_edges(tx, tenant, source, success, &lost)?;
    }
    Ok(())
}

/// Which targets keep their edge from this parent, and which lose it: those it no longer emits. A run with errors removes
/// nothing.
fn split(
    targets: Vec<EntityRef>,
    complete: bool,
    accepted: &[EntityRef],
) -> (Vec<EntityRef>, Vec<EntityRef>) {
    let accepted: HashSet<&EntityRef> = accepted.iter().collect();
    targets
        .into_iter()
        .partition(|target| !complete || accepted.contains(target))
}

/// Removes edges and looks after their targets.
fn remove_edges(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    source: Source<'_>,
    success: &Success,
    lost: &[EntityRef],
) -> rusqlite::Result<()> {
    let now = tx.now();
    for gone in lost {
        edges::remove(tx, tenant, source, gone)?;
        orphans::enqueue_check(tx, tenant, gone, now)?;
        // The bytes may be ours; another parent's are to be placed over them.
        edges::requeue_parents(tx, tenant, gone)?;
    }
    let emitted = success
        .children
        .iter()
        .map(|child| &child.entity_ref)
        .collect();
    conflicts::retain(tx, tenant, source, &emitted)
}

fn refresh_keys(tx: &mut WriteTx<'_>, claim: &Claim, keys: &[String]) -> rusqlite::Result<()> {
    let stored: HashSet<String> = crate::statement::all(
        tx,
        "SELECT key FROM refresh_keys WHERE tenant_id = ?1 AND entity_id = ?2",
        params![claim.tenant.0, claim.uid.as_str()],
        |row| crate::damage::value(row, 0, "refresh_keys.key"),
    )?
    .into_iter()
    .collect();
    let wanted: HashSet<&str> = keys.iter().map(String::as_str).collect();
    for key in stored.iter().filter(|key| !wanted.contains(key.as_str())) {
        tx.run(
            "DELETE FROM refresh_keys WHERE tenant_id = ?1 AND entity_id = ?2 AND key = ?3",
            params![claim.tenant.0, claim.uid.as_str(), key],
        )?;
    }
    for key in wanted.into_iter().filter(|key| !stored.contains(*key)) {
        tx.run(
            "INSERT INTO refresh_keys (tenant_id, entity_id, key) VALUES (?1, ?2, ?3)",
            params![claim.tenant.0, claim.uid.as_str(), key],
        )?;
    }
    Ok(())
}
