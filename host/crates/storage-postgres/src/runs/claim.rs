//! Taking runs, oldest first, of one tenant at most half while others wait. Inspections are taken elsewhere.

use std::collections::HashMap;

use greenroom_model::TenantId;
use greenroom_storage::{Run, RunId, StorageError, WorkerId, share_runs};

use crate::damage::{stored, tenant_id, text, value};
use crate::runs::read_run;
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// Whether a claim could find anything.
pub(super) async fn any(tx: &Transaction) -> Result<bool, StorageError> {
    let any = tx
        .one(
            "SELECT EXISTS (SELECT 1 FROM runs WHERE state = 'queued' AND kind <> 'inspect-revision')
                 OR EXISTS (SELECT 1 FROM runs r WHERE r.state = 'running' AND r.kind <> 'inspect-revision'
                            AND NOT EXISTS (SELECT 1 FROM workers w
                                            WHERE w.worker_id = r.worker_id AND w.expires_at > $1))",
            &[&tx.now_ms()],
            |row| value(row, 0, "runs"),
        )
        .await?;
    Ok(any.unwrap_or(false))
}

/// Takes runs, under the queue's lock.
pub(super) async fn claim(
    tx: &Transaction,
    worker: &WorkerId,
    limit: usize,
) -> Result<Vec<Run>, StorageError> {
    free_dead(tx).await?;
    let taken = share_runs(oldest_queued(tx, limit).await?, limit);
    let tenants: Vec<i64> = taken.iter().map(|(tenant, _)| tenant.0).collect();
    let ids = texts(taken.iter().map(|(_, id)| id.0.as_str()));
    // One that was cancelled since is no longer queued.
    let mut runs = tx
        .all(
            "UPDATE runs r SET state = 'running', worker_id = $1
             FROM unnest($2::bigint[], $3::text[]) AS t (tenant_id, run_id)
             WHERE r.tenant_id = t.tenant_id AND r.run_id = t.run_id AND r.state = 'queued'
             RETURNING r.tenant_id, r.run_id, r.kind, r.state, r.request, r.result, r.created_at",
            &[&Text(&worker.0), &tenants, &ids],
            read_run,
        )
        .await?;
    let places: HashMap<(TenantId, &str), usize> = taken
        .iter()
        .enumerate()
        .map(|(place, (tenant, id))| ((*tenant, id.0.as_str()), place))
        .collect();
    runs.sort_by_key(|run| places.get(&(run.tenant, run.id.0.as_str())).copied());
    Ok(runs)
}

/// Queues the runs of dead workers again.
pub(super) async fn free_dead(tx: &Transaction) -> Result<(), StorageError> {
    tx.run(
        "UPDATE runs r SET state = 'queued', worker_id = NULL WHERE r.state = 'running'
           AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.worker_id = r.worker_id AND w.expires_at > $1)",
        &[&tx.now_ms()],
    )
    .await?;
    Ok(())
}

/// Each tenant's oldest `limit` queued runs, oldest first over all.
async fn oldest_queued(
    tx: &Transaction,
    limit: usize,
) -> Result<Vec<(TenantId, RunId)>, StorageError> {
    tx.all(
        "SELECT tenant_id, run_id FROM
             (SELECT tenant_id, run_id, created_at,
                     row_number() OVER (PARTITION BY tenant_id ORDER BY created_at, run_id) AS place
              FROM runs WHERE state = 'queued' AND kind <> 'inspect-revision') q
         WHERE place <= $1 ORDER BY created_at, run_id",
        &[&stored(limit as u64)],
        |row| {
            let id = text(row, 1, "runs.run_id")?;
            Ok((tenant_id(row, 0, "runs.tenant_id")?, RunId(id)))
        },
    )
    .await
}
