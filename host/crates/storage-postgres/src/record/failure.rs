//! Runs that kept nothing but their diagnostics: body, relations, children and edges stay as they were.
//!
//! Their reads are kept also where they are final, because a change of one is what makes them run again.

use greenroom_model::TenantId;
use greenroom_storage::{Failure, RunResult, StorageError};

use crate::damage::to_json;
use crate::entities::{stored_ref, uid_texts};
use crate::record::{OPERATION, Run, state};
use crate::stitching;
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// Stored number of `refresh_state.status`.
const FAILED: i64 = 3;

/// What is written of a failed run.
struct Row<'a> {
    run: &'a Run<'a>,
    memo: Option<&'a [u8]>,
    trace: String,
    told: String,
    dead_letter: bool,
    revisions: Option<String>,
}

/// Writes the failures of a batch.
pub(super) async fn apply(
    tx: &Transaction,
    tenant: TenantId,
    runs: &[Run<'_>],
) -> Result<(), StorageError> {
    let mut rows = Vec::new();
    for run in runs {
        if let RunResult::Rejected(failure) = &run.record.result {
            rows.push(row(run, failure)?);
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let memos: Vec<Option<&[u8]>> = rows.iter().map(|row| row.memo).collect();
    let dead: Vec<bool> = rows.iter().map(|row| row.dead_letter).collect();
    let revisions: Vec<Option<Text<'_>>> = rows
        .iter()
        .map(|row| row.revisions.as_deref().map(Text))
        .collect();
    let told = tx
        .all(
            "UPDATE refresh_state r SET memo = run.memo, trace = run.trace, diagnostics = run.told, status = $8,
                 dead_letter = run.dead, attempts = r.attempts + 1, waiting = NULL, last_run_at = $9,
                 good_trace = CASE WHEN r.good_digest IS NOT NULL THEN coalesce(r.good_trace, r.trace) END,
                 revisions = coalesce(run.revisions, r.revisions)
             FROM unnest($2::text[], $3::bytea[], $4::text[], $5::text[], $6::boolean[], $7::text[])
                 AS run (entity_id, memo, trace, told, dead, revisions)
             JOIN refresh_state old ON old.tenant_id = $1 AND old.entity_id = run.entity_id
             WHERE r.tenant_id = $1 AND r.entity_id = run.entity_id
             RETURNING CASE WHEN old.diagnostics <> run.told THEN r.entity_ref END",
            &[
                &tenant.0,
                &uid_texts(rows.iter().map(|row| row.run.uid())),
                &memos,
                &texts(rows.iter().map(|row| row.trace.as_str())),
                &texts(rows.iter().map(|row| row.told.as_str())),
                &dead,
                &revisions,
                &FAILED,
                &tx.now_ms(),
            ],
            |row| match crate::damage::optional_text(row, 0, "refresh_state.entity_ref")? {
                Some(_) => stored_ref(row, 0, "refresh_state.entity_ref").map(Some),
                None => Ok(None),
            },
        )
        .await?;
    let told: Vec<_> = told.into_iter().flatten().collect();
    stitching::queue(tx, tenant, &told).await
}

fn row<'a>(run: &'a Run<'a>, failure: &'a Failure) -> Result<Row<'a>, StorageError> {
    let memo = failure.memo.as_ref().filter(|_| !run.target.memo_cleared);
    Ok(Row {
        run,
        memo: memo.map(|memo| memo.as_bytes().as_slice()),
        trace: to_json(OPERATION, &failure.trace)?,
        told: to_json(OPERATION, &failure.diagnostics)?,
        dead_letter: failure.dead_letter,
        revisions: state::revisions(run.record)?,
    })
}
