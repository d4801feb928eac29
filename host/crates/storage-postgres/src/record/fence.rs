//! The fence: which claims of a batch still hold, and what their runs are recorded onto.

use std::collections::HashSet;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{Claim, Lane, StorageError};

use crate::damage::{damaged, value};
use crate::entities::{stored_ref, uid_texts};
use crate::text::texts;
use crate::transaction::Transaction;
use crate::work::read_lane;

/// What a run is recorded onto.
#[derive(Debug)]
pub(super) struct Target {
    /// Where it was claimed.
    pub(super) lane: Lane,
    /// CPU time charged for it.
    pub(super) charged_us: i64,
    /// Whether its memo was cleared while it was held: then the run's own is not stored.
    pub(super) memo_cleared: bool,
    pub(super) entity_ref: EntityRef,
    pub(super) orphan: bool,
    pub(super) waiting: bool,
}

/// The entities of claims that still hold, in order, with their items locked. Of equal claims the first holds.
pub(super) async fn fence(
    tx: &Transaction,
    tenant: TenantId,
    claims: &[&Claim],
) -> Result<Vec<Option<Target>>, StorageError> {
    let numbers: Vec<i64> = claims.iter().map(|claim| claim.claim_no).collect();
    let found = tx
        .all(
            "SELECT claim.n, w.lane, w.charged_us, w.again = 2, r.entity_ref, r.orphaned_at IS NOT NULL,
                 r.waiting IS NOT NULL
             FROM unnest($2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY
                 AS claim (entity_id, worker_id, claim_no, n)
             JOIN work w ON w.tenant_id = $1 AND w.entity_id = claim.entity_id
                 AND w.worker_id = claim.worker_id AND w.claim_no = claim.claim_no
             JOIN refresh_state r ON r.tenant_id = $1 AND r.entity_id = claim.entity_id
             FOR UPDATE OF w",
            &[
                &tenant.0,
                &uid_texts(claims.iter().map(|claim| &claim.uid)),
                &texts(claims.iter().map(|claim| claim.worker.0.as_str())),
                &numbers,
            ],
            |row| {
                let n: i64 = value(row, 0, "work")?;
                let place = usize::try_from(n - 1).map_err(|error| damaged("work", error))?;
                let target = Target {
                    lane: read_lane(row, 1, "work.lane")?,
                    charged_us: value(row, 2, "work.charged_us")?,
                    memo_cleared: value(row, 3, "work.again")?,
                    entity_ref: stored_ref(row, 4, "refresh_state.entity_ref")?,
                    orphan: value(row, 5, "refresh_state.orphaned_at")?,
                    waiting: value(row, 6, "refresh_state.waiting")?,
                };
                Ok((place, target))
            },
        )
        .await?;
    let mut targets: Vec<Option<Target>> = claims.iter().map(|_| None).collect();
    for (place, target) in found {
        targets[place] = Some(target);
    }
    let mut seen = HashSet::new();
    for (claim, target) in claims.iter().zip(&mut targets) {
        if !seen.insert(&claim.uid) && target.is_some() {
            *target = None;
        }
    }
    Ok(targets)
}
