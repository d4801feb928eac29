//! What runs that applied nothing say of their entities: whether they wait, and under which revisions they ran.

use greenroom_model::TenantId;
use greenroom_storage::{RunRecord, RunResult, StorageError};

use crate::damage::to_json;
use crate::entities::uid_texts;
use crate::record::{OPERATION, Run};
use crate::text::Text;
use crate::transaction::Transaction;

/// The revisions under which an entity ran, as stored; `None` if nothing ran.
pub(super) fn revisions(record: &RunRecord) -> Result<Option<String>, StorageError> {
    if record.calls.unprocessed.is_none() {
        return Ok(None);
    }
    let made = record.calls.made.iter();
    let revisions: Vec<_> = made.map(|made| (&made.processor, &made.revision)).collect();
    to_json(OPERATION, &revisions).map(Some)
}

/// Writes the state of runs that were skipped or wait. A skipped one that did not wait changes nothing, and is not written.
pub(super) async fn apply(
    tx: &Transaction,
    tenant: TenantId,
    runs: &[Run<'_>],
) -> Result<(), StorageError> {
    let mut changed = Vec::new();
    for run in runs {
        let waits = match &run.record.result {
            RunResult::Skipped { .. } => None,
            RunResult::Waiting { reason, .. } => Some(reason.as_str()),
            RunResult::Succeeded(_) | RunResult::Rejected(_) => continue,
        };
        let revisions = revisions(run.record)?;
        if waits.is_some() || run.target.waiting || revisions.is_some() {
            changed.push((run.uid(), waits, revisions));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let waits: Vec<Option<Text<'_>>> = changed
        .iter()
        .map(|(_, waits, _)| waits.map(Text))
        .collect();
    let revisions: Vec<Option<Text<'_>>> = changed
        .iter()
        .map(|(_, _, revisions)| revisions.as_deref().map(Text))
        .collect();
    tx.run(
        "UPDATE refresh_state r SET waiting = run.waiting,
             attempts = r.attempts + (run.waiting IS NOT NULL)::int, revisions = coalesce(run.revisions, r.revisions)
         FROM unnest($2::text[], $3::text[], $4::text[]) AS run (entity_id, waiting, revisions)
         WHERE r.tenant_id = $1 AND r.entity_id = run.entity_id",
        &[
            &tenant.0,
            &uid_texts(changed.iter().map(|(uid, _, _)| *uid)),
            &waits,
            &revisions,
        ],
    )
    .await?;
    Ok(())
}
