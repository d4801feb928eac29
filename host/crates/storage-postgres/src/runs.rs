//! Runs on request.
//!
//! A run belongs to the worker that claimed it for as long as that worker's lease lives; every claim first frees the
//! runs of dead workers. Claims are made one at a time in the whole cluster (see [`lock`]): whose turn it is, how many a
//! tenant has under way and how many may wait are questions about all runs, and a claim takes a millisecond. A look
//! without the lock goes before, so who finds nothing waits for nobody.

mod claim;
mod inspections;

use async_trait::async_trait;
use greenroom_model::{TenantId, Timestamp};
use greenroom_storage::{NewRun, Run, RunId, RunKind, RunQueue, RunState, StorageError, WorkerId};
use tokio_postgres::Row;

use crate::damage::{damaged, optional_text, tenant_id, text, timestamp};
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;
use crate::transaction::Transaction;

/// The advisory lock of the queue of runs ("runs").
const LOCK: i32 = 0x7275_6e73;

#[async_trait]
impl RunQueue for PostgresStorage {
    async fn create_run(&self, tenant: TenantId, run: NewRun) -> Result<(), StorageError> {
        let tx = self.begin("create a run").await?;
        create(&tx, tenant, &run).await?;
        tx.commit().await
    }

    async fn create_bounded_run(
        &self,
        tenant: TenantId,
        run: NewRun,
        most: u32,
    ) -> Result<bool, StorageError> {
        let tx = self.begin("create a run").await?;
        lock(&tx).await?;
        let unfinished = unfinished(&tx, tenant, run.kind).await?;
        if unfinished >= i64::from(most) {
            tx.roll_back().await?;
            return Ok(false);
        }
        create(&tx, tenant, &run).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn find_run(&self, tenant: TenantId, id: &RunId) -> Result<Option<Run>, StorageError> {
        self.read_one(
            "find a run",
            "SELECT tenant_id, run_id, kind, state, request, result, created_at FROM runs
             WHERE tenant_id = $1 AND run_id = $2",
            &[&tenant.0, &Text(&id.0)],
            read_run,
        )
        .await
    }

    async fn claim_runs(&self, worker: &WorkerId, limit: u32) -> Result<Vec<Run>, StorageError> {
        const OPERATION: &str = "claim runs";
        let tx = self.snapshot(OPERATION).await?;
        let any = claim::any(&tx).await?;
        tx.commit().await?;
        if !any {
            return Ok(Vec::new());
        }
        let tx = self.begin(OPERATION).await?;
        lock(&tx).await?;
        let runs = claim::claim(&tx, worker, limit as usize).await?;
        tx.commit().await?;
        Ok(runs)
    }

    async fn claim_inspection(&self, worker: &WorkerId) -> Result<Option<Run>, StorageError> {
        const OPERATION: &str = "claim an inspection";
        let any = self
            .read_all(
                OPERATION,
                "SELECT 1 FROM runs WHERE kind = 'inspect-revision' AND state IN ('queued', 'running') LIMIT 1",
                &[],
                |_| Ok(()),
            )
            .await?;
        if any.is_empty() {
            return Ok(None);
        }
        let tx = self.begin(OPERATION).await?;
        lock(&tx).await?;
        let run = inspections::claim(&tx, worker).await?;
        tx.commit().await?;
        Ok(run)
    }

    async fn retry_run(
        &self,
        tenant: TenantId,
        id: &RunId,
        worker: &WorkerId,
        not_before: Timestamp,
    ) -> Result<bool, StorageError> {
        let tx = self.begin("give a run back").await?;
        let given = inspections::retry(&tx, tenant, id, worker, not_before).await?;
        tx.commit().await?;
        Ok(given)
    }

    async fn charge_compilation(&self, tenant: TenantId, cpu_ms: u64) -> Result<(), StorageError> {
        let tx = self.begin("charge a compilation").await?;
        inspections::charge(&tx, tenant, cpu_ms).await?;
        tx.commit().await
    }

    async fn open_runs(&self, tenant: TenantId, kind: RunKind) -> Result<u64, StorageError> {
        let tx = self.snapshot("count open runs").await?;
        let open = unfinished(&tx, tenant, kind).await?;
        tx.commit().await?;
        Ok(u64::try_from(open).unwrap_or(0))
    }

    async fn finish_run(
        &self,
        tenant: TenantId,
        id: &RunId,
        worker: &WorkerId,
        result: &str,
    ) -> Result<bool, StorageError> {
        let tx = self.begin("finish a run").await?;
        let rows = tx
            .run(
                "UPDATE runs SET state = 'done', result = $4
                 WHERE tenant_id = $1 AND run_id = $2 AND worker_id = $3 AND state = 'running'",
                &[&tenant.0, &Text(&id.0), &Text(&worker.0), &Text(result)],
            )
            .await?;
        tx.commit().await?;
        Ok(rows > 0)
    }

    async fn cancel_run(&self, tenant: TenantId, id: &RunId) -> Result<(), StorageError> {
        let tx = self.begin("cancel a run").await?;
        tx.run(
            "UPDATE runs SET state = 'cancelled'
             WHERE tenant_id = $1 AND run_id = $2 AND state IN ('queued', 'running')",
            &[&tenant.0, &Text(&id.0)],
        )
        .await?;
        tx.commit().await
    }
}

/// Waits for the queue of runs and holds it until the transaction ends.
async fn lock(tx: &Transaction) -> Result<(), StorageError> {
    tx.rows("SELECT pg_advisory_xact_lock($1, 0)", &[&LOCK])
        .await?;
    Ok(())
}

async fn create(tx: &Transaction, tenant: TenantId, run: &NewRun) -> Result<(), StorageError> {
    tx.run(
        "INSERT INTO runs (tenant_id, run_id, kind, state, request, created_at)
         VALUES ($1, $2, $3, 'queued', $4, $5)",
        &[
            &tenant.0,
            &Text(&run.id.0),
            &Text(run.kind.as_str()),
            &Text(&run.request),
            &tx.now_ms(),
        ],
    )
    .await?;
    Ok(())
}

/// Runs of a kind that are queued or under way.
pub(crate) async fn unfinished(
    tx: &Transaction,
    tenant: TenantId,
    kind: RunKind,
) -> Result<i64, StorageError> {
    tx.number(
        "SELECT count(*) FROM runs WHERE tenant_id = $1 AND kind = $2 AND state IN ('queued', 'running')",
        &[&tenant.0, &Text(kind.as_str())],
    )
    .await
}

fn read_run(row: &Row) -> Result<Run, StorageError> {
    let kind = text(row, 2, "runs.kind")?;
    let state = text(row, 3, "runs.state")?;
    Ok(Run {
        tenant: tenant_id(row, 0, "runs.tenant_id")?,
        id: RunId(text(row, 1, "runs.run_id")?),
        kind: RunKind::parse(&kind)
            .ok_or_else(|| damaged("runs.kind", format!("`{kind}` is no kind")))?,
        state: match state.as_str() {
            "queued" => RunState::Queued,
            "running" => RunState::Running,
            "done" => RunState::Done,
            "cancelled" => RunState::Cancelled,
            other => return Err(damaged("runs.state", format!("`{other}` is no state"))),
        },
        request: text(row, 4, "runs.request")?,
        result: optional_text(row, 5, "runs.result")?,
        created_at: timestamp(row, 6, "runs.created_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_storage::conformance::tenant;

    use crate::testing::run as on_new_database;

    fn run(id: u32, kind: RunKind) -> NewRun {
        NewRun {
            id: RunId(id.to_string()),
            kind,
            request: "{}".to_owned(),
        }
    }

    /// A worker whose lease does not end.
    async fn alive(storage: &PostgresStorage, name: &str) -> WorkerId {
        let tx = storage.begin("live").await.unwrap();
        let lease = "INSERT INTO workers (worker_id, expires_at) VALUES ($1, 9000000000000)";
        tx.run(lease, &[&Text(name)]).await.unwrap();
        tx.commit().await.unwrap();
        WorkerId(name.to_owned())
    }

    #[test]
    fn of_several_that_ask_at_once_each_run_is_taken_once_and_the_bound_holds() {
        on_new_database(async |storage, _| {
            let tenant = tenant(storage, "a").await;
            let create =
                |id| storage.create_bounded_run(tenant, run(id, RunKind::ValidateEntity), 3);
            let created = tokio::join!(create(1), create(2), create(3), create(4), create(5));
            let created: [Result<bool, _>; 5] = created.into();
            let created = created.into_iter().filter(|one| *one.as_ref().unwrap());
            assert_eq!(created.count(), 3);

            let (a, b) = (alive(storage, "a").await, alive(storage, "b").await);
            let taken = tokio::join!(storage.claim_runs(&a, 3), storage.claim_runs(&b, 3));
            assert_eq!(taken.0.unwrap().len() + taken.1.unwrap().len(), 3);
        });
    }

    #[test]
    fn a_tenant_has_one_inspection_under_way_however_many_ask_at_once() {
        on_new_database(async |storage, _| {
            let tenant = tenant(storage, "a").await;
            for id in 0..3 {
                let created = storage.create_run(tenant, run(id, RunKind::InspectRevision));
                created.await.unwrap();
            }
            let worker = alive(storage, "w").await;
            let claim = || storage.claim_inspection(&worker);
            let claimed = tokio::join!(claim(), claim(), claim());
            let claimed: [Result<Option<Run>, _>; 3] = claimed.into();
            let claimed = claimed.into_iter().filter_map(Result::unwrap);
            assert_eq!(claimed.count(), 1);
        });
    }
}
