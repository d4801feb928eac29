//! Runs on request.
//!
//! A run belongs to the worker that claimed it for as long as that worker's lease lives; every claim first frees the
//! runs of dead workers.

use async_trait::async_trait;
use greenroom_model::{TenantId, Timestamp};
use greenroom_storage::{
    NewRun, Run, RunId, RunKind, RunQueue, RunState, StorageError, WorkerId, share_runs,
};
use rusqlite::{Connection, Row, params};

use crate::damage::{damaged, stored, tenant_id, timestamp, value};
use crate::inspections;
use crate::sqlite_storage::SqliteStorage;
use crate::statement;
use crate::writer::WriteTx;

#[async_trait]
impl RunQueue for SqliteStorage {
    async fn create_run(&self, tenant: TenantId, run: NewRun) -> Result<(), StorageError> {
        self.write("create a run", move |tx| create(tx, tenant, &run))
            .await
    }

    async fn create_bounded_run(
        &self,
        tenant: TenantId,
        run: NewRun,
        most: u32,
    ) -> Result<bool, StorageError> {
        self.write("create a run", move |tx| {
            let unfinished: i64 = tx.query_row(
                "SELECT count(*) FROM runs WHERE tenant_id = ?1 AND kind = ?2 AND state IN ('queued', 'running')",
                params![tenant.0, run.kind.as_str()],
                |row| row.get(0),
            )?;
            if unfinished >= i64::from(most) {
                return Ok(false);
            }
            create(tx, tenant, &run).map(|()| true)
        })
        .await
    }

    async fn find_run(&self, tenant: TenantId, id: &RunId) -> Result<Option<Run>, StorageError> {
        let id = id.clone();
        self.read("find a run", move |conn| find(conn, tenant, &id))
            .await
    }

    async fn claim_runs(&self, worker: &WorkerId, limit: u32) -> Result<Vec<Run>, StorageError> {
        const OPERATION: &str = "claim runs";
        // A look on a reader first: every wake-up asks, mostly there is none, and then no write lock is taken.
        let now = self.now();
        if !self.read(OPERATION, move |conn| any(conn, now)).await? {
            return Ok(Vec::new());
        }
        let worker = worker.clone();
        self.write(OPERATION, move |tx| claim(tx, &worker, limit as usize))
            .await
    }

    async fn claim_inspection(&self, worker: &WorkerId) -> Result<Option<Run>, StorageError> {
        const OPERATION: &str = "claim an inspection";
        // A look on a reader first: mostly there is none, and then no write lock is taken.
        if !self.read(OPERATION, inspections::any).await? {
            return Ok(None);
        }
        let worker = worker.clone();
        self.write(OPERATION, move |tx| inspections::claim(tx, &worker))
            .await
    }

    async fn retry_run(
        &self,
        tenant: TenantId,
        id: &RunId,
        worker: &WorkerId,
        not_before: Timestamp,
    ) -> Result<bool, StorageError> {
        let (id, worker) = (id.clone(), worker.clone());
        self.write("give a run back", move |tx| {
            inspections::retry(tx, tenant, &id, &worker, not_before.0)
        })
        .await
    }

    async fn charge_compilation(&self, tenant: TenantId, cpu_ms: u64) -> Result<(), StorageError> {
        self.write("charge a compilation", move |tx| {
            inspections::charge(tx, tenant, cpu_ms)
        })
        .await
    }

    async fn open_runs(&self, tenant: TenantId, kind: RunKind) -> Result<u64, StorageError> {
        self.read("count open runs", move |conn| {
            inspections::open(conn, tenant, kind)
        })
        .await
    }

    async fn finish_run(
        &self,
        tenant: TenantId,
        id: &RunId,
        worker: &WorkerId,
        result: &str,
    ) -> Result<bool, StorageError> {
        let (id, worker, result) = (id.clone(), worker.clone(), result.to_owned());
        self.write("finish a run", move |tx| {
            let rows = tx.run(
                "UPDATE runs SET state = 'done', result = ?4
                 WHERE tenant_id = ?1 AND run_id = ?2 AND worker_id = ?3 AND state = 'running'",
                params![tenant.0, id.0, worker.0, result],
            )?;
            Ok(rows > 0)
        })
        .await
    }

    async fn cancel_run(&self, tenant: TenantId, id: &RunId) -> Result<(), StorageError> {
        let id = id.clone();
        self.write("cancel a run", move |tx| {
            tx.run(
                "UPDATE runs SET state = 'cancelled'
                 WHERE tenant_id = ?1 AND run_id = ?2 AND state IN ('queued', 'running')",
                params![tenant.0, id.0],
            )?;
            Ok(())
        })
        .await
    }
}

fn create(tx: &mut WriteTx<'_>, tenant: TenantId, run: &NewRun) -> rusqlite::Result<()> {
    let now = tx.now_ms();
    tx.run(
        "INSERT INTO runs (tenant_id, run_id, kind, state, request, created_at)
         VALUES (?1, ?2, ?3, 'queued', ?4, ?5)",
        params![tenant.0, run.id.0, run.kind.as_str(), run.request, now],
    )?;
    Ok(())
}

/// Whether there is a run to claim, or one of a dead worker to free.
fn any(conn: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let any = statement::one(
        conn,
        "SELECT EXISTS (SELECT 1 FROM runs WHERE state = 'queued' AND kind <> 'inspect-revision')
             OR EXISTS (SELECT 1 FROM runs WHERE state = 'running' AND kind <> 'inspect-revision'
                        AND worker_id NOT IN (SELECT worker_id FROM workers WHERE expires_at > ?1))",
        params![now.0],
        |row| value(row, 0, "runs"),
    )?;
    Ok(any.unwrap_or(false))
}

fn claim(tx: &mut WriteTx<'_>, worker: &WorkerId, limit: usize) -> rusqlite::Result<Vec<Run>> {
    free_dead(tx)?;
    let mut runs = Vec::new();
    for (tenant, id) in share_runs(oldest_queued(tx, limit)?, limit) {
        tx.run(
            "UPDATE runs SET state = 'running', worker_id = ?3 WHERE tenant_id = ?1 AND run_id = ?2",
            params![tenant.0, id.0, worker.0],
        )?;
        runs.extend(find(tx, tenant, &id)?);
    }
    Ok(runs)
}

/// Queues the runs of dead workers again.
pub(crate) fn free_dead(tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
    let now = tx.now_ms();
    tx.run(
        "UPDATE runs SET state = 'queued', worker_id = NULL WHERE state = 'running'
           AND worker_id NOT IN (SELECT worker_id FROM workers WHERE expires_at > ?1)",
        params![now],
    )?;
    Ok(())
}

/// Each tenant's oldest `limit` queued runs, oldest first over all.
fn oldest_queued(conn: &Connection, limit: usize) -> rusqlite::Result<Vec<(TenantId, RunId)>> {
    statement::all(
        conn,
        "SELECT tenant_id, run_id FROM (
             SELECT tenant_id, run_id, created_at, rowid AS age,
                    row_number() OVER (PARTITION BY tenant_id ORDER BY created_at, rowid) AS place
             FROM runs WHERE state = 'queued' AND kind <> 'inspect-revision')
         WHERE place <= ?1 ORDER BY created_at, age",
        params![stored(limit as u64)],
        |row| {
            let id: String = value(row, 1, "runs.run_id")?;
            Ok((tenant_id(row, 0, "runs.tenant_id")?, RunId(id)))
        },
    )
}

pub(crate) fn find(
    conn: &Connection,
    tenant: TenantId,
    id: &RunId,
) -> rusqlite::Result<Option<Run>> {
    statement::one(
        conn,
        "SELECT tenant_id, run_id, kind, state, request, result, created_at FROM runs
         WHERE tenant_id = ?1 AND run_id = ?2",
        params![tenant.0, id.0],
        read_run,
    )
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let kind: String = value(row, 2, "runs.kind")?;
    let state: String = value(row, 3, "runs.state")?;
    Ok(Run {
        tenant: tenant_id(row, 0, "runs.tenant_id")?,
        id: RunId(value(row, 1, "runs.run_id")?),
        kind: RunKind::parse(&kind)
            .ok_or_else(|| damaged("runs.kind", format!("`{kind}` is no kind")))?,
        state: match state.as_str() {
            "queued" => RunState::Queued,
            "running" => RunState::Running,
            "done" => RunState::Done,
            "cancelled" => RunState::Cancelled,
            other => return Err(damaged("runs.state", format!("`{other}` is no state"))),
        },
        request: value(row, 4, "runs.request")?,
        result: value(row, 5, "runs.result")?,
        created_at: timestamp(row, 6, "runs.created_at")?,
    })
}
