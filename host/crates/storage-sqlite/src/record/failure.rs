//! A run that kept nothing but its diagnostics: body, relations, children and edges stay as they were.

use greenroom_storage::{Claim, Failure, Lane};
use rusqlite::params;

use crate::damage::to_json;
use crate::record::{Target, reads_used};
use crate::stitching::enqueue_stitch;
use crate::work::Finish;
use crate::writer::WriteTx;

/// Stored number of `refresh_state.status`.
const FAILED: i64 = 3;

/// Writes the failure; answers when it is tried again. Its reads are kept also where it is final, because a change of
/// one is what makes it run again.
pub(super) fn apply(
    tx: &mut WriteTx<'_>,
    claim: &Claim,
    target: &Target,
    failure: &Failure,
) -> rusqlite::Result<Finish> {
    let told = to_json(&failure.diagnostics)?;
    let memo = failure.memo.filter(|_| !target.held.memo_cleared);
    let now = tx.now_ms();
    tx.run(
        "UPDATE refresh_state SET memo = ?3, trace = ?4, diagnostics = ?5, status = ?6, dead_letter = ?7,
             attempts = attempts + 1, waiting = NULL, last_run_at = ?8,
             good_trace = CASE WHEN good_digest IS NOT NULL THEN coalesce(good_trace, trace) END
         WHERE tenant_id = ?1 AND entity_id = ?2",
        params![
            claim.tenant.0,
            claim.uid.as_str(),
            memo.as_ref().map(|memo| memo.as_bytes()),
            to_json(&failure.trace)?,
            told,
            FAILED,
            failure.dead_letter,
            now
        ],
    )?;
    reads_used::replace(tx, claim, &failure.trace)?;
    if told != target.diagnostics {
        enqueue_stitch(tx, claim.tenant, &target.entity_ref)?;
    }
    // A retry leaves the quick lanes to what is tried for the first time.
    let lane = target.held.lane.max(Lane::Changed);
    Ok(failure
        .retry_at
        .map_or(Finish::Done, |retry_at| Finish::Due(lane, retry_at)))
}
