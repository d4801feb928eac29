//! Which upload is compiled next: one of a tenant at a time, tenants in turn, each within its hour's CPU time (a09).
//!
//! An inspection is a run like any other; only who takes it, and when, is decided here. One whose worker died, or that
//! failed through us, is taken again, but no more than [`INSPECTION_ATTEMPTS`] times: then it ends as unavailable, and its
//! revision stays `inspecting` until the same bytes are uploaded again.

use greenroom_model::{TenantId, Timestamp};
use greenroom_storage::{INSPECTION_ATTEMPTS, Run, RunId, StorageError, WorkerId};

use crate::damage::{stored, tenant_id, text};
use crate::runs::claim::free_dead;
use crate::runs::read_run;
use crate::text::Text;
use crate::transaction::Transaction;

/// What an inspection ends with that was tried too often.
const GIVEN_UP: &str = r#"{"unavailable":"the upload could not be inspected, through a failure of ours: upload it again"}"#;
const HOUR_MINUTES: i64 = 60;

/// See [`greenroom_storage::RunQueue::claim_inspection`]. Under the queue's lock.
pub(super) async fn claim(
    tx: &Transaction,
    worker: &WorkerId,
) -> Result<Option<Run>, StorageError> {
    free_dead(tx).await?;
    tx.run(
        "UPDATE runs SET state = 'done', result = $1
         WHERE state = 'queued' AND kind = 'inspect-revision' AND attempts >= $2",
        &[&Text(GIVEN_UP), &i64::from(INSPECTION_ATTEMPTS)],
    )
    .await?;
    let Some((tenant, id)) = next(tx).await? else {
        return Ok(None);
    };
    let run = tx
        .one(
            "UPDATE runs SET state = 'running', worker_id = $3, attempts = attempts + 1
             WHERE tenant_id = $1 AND run_id = $2 AND state = 'queued'
             RETURNING tenant_id, run_id, kind, state, request, result, created_at",
            &[&tenant.0, &Text(&id.0), &Text(&worker.0)],
            read_run,
        )
        .await?;
    tx.run(
        "INSERT INTO compile_turns (tenant_id, turn)
         VALUES ($1, (SELECT coalesce(max(turn), 0) + 1 FROM compile_turns))
         ON CONFLICT (tenant_id) DO UPDATE SET turn = excluded.turn",
        &[&tenant.0],
    )
    .await?;
    Ok(run)
}

async fn next(tx: &Transaction) -> Result<Option<(TenantId, RunId)>, StorageError> {
    let now = tx.now_ms();
    tx.one(
        "SELECT r.tenant_id, r.run_id FROM runs r
         WHERE r.state = 'queued' AND r.kind = 'inspect-revision' AND r.not_before <= $1
           AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.tenant_id = r.tenant_id
                           AND o.state = 'running' AND o.kind = 'inspect-revision')
           AND (SELECT coalesce(sum(c.cpu_ms), 0) FROM compilations c
                WHERE c.tenant_id = r.tenant_id AND c.minute > $2) < coalesce(
               (SELECT (q.overrides::jsonb ->> 'compileSecondsPerHour')::numeric * 1000 FROM tenant_quotas q
                WHERE q.tenant_id = r.tenant_id), $3::bigint)
         ORDER BY coalesce((SELECT t.turn FROM compile_turns t WHERE t.tenant_id = r.tenant_id), 0),
             r.created_at, r.run_id LIMIT 1",
        &[
            &now,
            &(now / 60_000 - HOUR_MINUTES),
            &stored(tx.default_quotas().compile_ms_per_hour()),
        ],
        |row| {
            let id = text(row, 1, "runs.run_id")?;
            Ok((tenant_id(row, 0, "runs.tenant_id")?, RunId(id)))
        },
    )
    .await
}

/// See [`greenroom_storage::RunQueue::retry_run`].
pub(super) async fn retry(
    tx: &Transaction,
    tenant: TenantId,
    id: &RunId,
    worker: &WorkerId,
    not_before: Timestamp,
) -> Result<bool, StorageError> {
    let rows = tx
        .run(
            "UPDATE runs SET state = 'queued', worker_id = NULL, not_before = $4
             WHERE tenant_id = $1 AND run_id = $2 AND worker_id = $3 AND state = 'running' AND attempts < $5",
            &[
                &tenant.0,
                &Text(&id.0),
                &Text(&worker.0),
                &not_before.0,
                &i64::from(INSPECTION_ATTEMPTS),
            ],
        )
        .await?;
    Ok(rows > 0)
}

/// See [`greenroom_storage::RunQueue::charge_compilation`].
pub(super) async fn charge(
    tx: &Transaction,
    tenant: TenantId,
    cpu_ms: u64,
) -> Result<(), StorageError> {
    let minute = tx.now_ms() / 60_000;
    tx.run(
        "INSERT INTO compilations AS c (tenant_id, minute, cpu_ms) VALUES ($1, $2, $3)
         ON CONFLICT (tenant_id, minute) DO UPDATE SET cpu_ms = c.cpu_ms + excluded.cpu_ms",
        &[&tenant.0, &minute, &stored(cpu_ms)],
    )
    .await?;
    tx.run(
        "DELETE FROM compilations WHERE tenant_id = $1 AND minute <= $2",
        &[&tenant.0, &(minute - HOUR_MINUTES)],
    )
    .await?;
    Ok(())
}
