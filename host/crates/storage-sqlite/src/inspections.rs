//! Which upload is compiled next: one of a tenant at a time, tenants in turn, each within its hour's CPU time (a09).
//!
//! An inspection is a run like any other; only who takes it, and when, is decided here. One whose worker died, or that
//! failed through us, is taken again, but no more than [`INSPECTION_ATTEMPTS`] times: then it ends as unavailable, and its
//! revision stays `inspecting` until the same bytes are uploaded again.

use greenroom_model::TenantId;
use greenroom_storage::{INSPECTION_ATTEMPTS, Run, RunId, RunKind, WorkerId};
use rusqlite::{Connection, params};

use crate::damage::{stored, tenant_id, unsigned, value};
use crate::runs::{find, free_dead};
use crate::statement;
use crate::writer::WriteTx;

/// What an inspection ends with that was tried too often.
const GIVEN_UP: &str = r#"{"unavailable":"the upload could not be inspected, through a failure of ours: upload it again"}"#;
const HOUR_MINUTES: i64 = 60;

/// See [`greenroom_storage::RunQueue::claim_inspection`].
pub(crate) fn claim(tx: &mut WriteTx<'_>, worker: &WorkerId) -> rusqlite::Result<Option<Run>> {
    free_dead(tx)?;
    tx.run(
        "UPDATE runs SET state = 'done', result = ?1
         WHERE state = 'queued' AND kind = 'inspect-revision' AND attempts >= ?2",
        params![GIVEN_UP, INSPECTION_ATTEMPTS],
    )?;
    let Some((tenant, id)) = next(tx)? else {
        return Ok(None);
    };
    tx.run(
        "UPDATE runs SET state = 'running', worker_id = ?3, attempts = attempts + 1
         WHERE tenant_id = ?1 AND run_id = ?2",
        params![tenant.0, id.0, worker.0],
    )?;
    tx.run(
        "INSERT INTO compile_turns (tenant_id, turn)
         VALUES (?1, (SELECT coalesce(max(turn), 0) + 1 FROM compile_turns))
         ON CONFLICT (tenant_id) DO UPDATE SET turn = excluded.turn",
        params![tenant.0],
    )?;
    find(tx, tenant, &id)
}

/// Whether a claim could find anything.
pub(crate) fn any(conn: &Connection) -> rusqlite::Result<bool> {
    let any = statement::one(
        conn,
        "SELECT 1 FROM runs WHERE kind = 'inspect-revision' AND state IN ('queued', 'running') LIMIT 1",
        [],
        |_| Ok(()),
    )?;
    Ok(any.is_some())
}

fn next(tx: &WriteTx<'_>) -> rusqlite::Result<Option<(TenantId, RunId)>> {
    let now = tx.now_ms();
    statement::one(
        tx,
        "SELECT r.tenant_id, r.run_id FROM runs r
         LEFT JOIN compile_turns t ON t.tenant_id = r.tenant_id
         WHERE r.state = 'queued' AND r.kind = 'inspect-revision' AND r.not_before <= ?1
           AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.tenant_id = r.tenant_id
                           AND o.state = 'running' AND o.kind = 'inspect-revision')
           AND (SELECT coalesce(sum(c.cpu_ms), 0) FROM compilations c
                WHERE c.tenant_id = r.tenant_id AND c.minute > ?2) < coalesce(
               (SELECT json_extract(q.overrides, '$.compileSecondsPerHour') * 1000.0 FROM tenant_quotas q
                WHERE q.tenant_id = r.tenant_id), ?3)
         ORDER BY coalesce(t.turn, 0), r.created_at, r.rowid LIMIT 1",
        params![
            now,
            now / 60_000 - HOUR_MINUTES,
            stored(tx.default_quotas().compile_ms_per_hour())
        ],
        |row| {
            let id: String = value(row, 1, "runs.run_id")?;
            Ok((tenant_id(row, 0, "runs.tenant_id")?, RunId(id)))
        },
    )
}

/// See [`greenroom_storage::RunQueue::retry_run`].
pub(crate) fn retry(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    id: &RunId,
    worker: &WorkerId,
    not_before: i64,
) -> rusqlite::Result<bool> {
    let rows = tx.run(
        "UPDATE runs SET state = 'queued', worker_id = NULL, not_before = ?4
         WHERE tenant_id = ?1 AND run_id = ?2 AND worker_id = ?3 AND state = 'running' AND attempts < ?5",
        params![tenant.0, id.0, worker.0, not_before, INSPECTION_ATTEMPTS],
    )?;
    Ok(rows > 0)
}

/// See [`greenroom_storage::RunQueue::charge_compilation`].
pub(crate) fn charge(tx: &mut WriteTx<'_>, tenant: TenantId, cpu_ms: u64) -> rusqlite::Result<()> {
    let minute = tx.now_ms() / 60_000;
    tx.run(
        "INSERT INTO compilations (tenant_id, minute, cpu_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (tenant_id, minute) DO UPDATE SET cpu_ms = cpu_ms + excluded.cpu_ms",
        params![tenant.0, minute, stored(cpu_ms)],
    )?;
    tx.run(
        "DELETE FROM compilations WHERE tenant_id = ?1 AND minute <= ?2",
        params![tenant.0, minute - HOUR_MINUTES],
    )?;
    Ok(())
}

/// See [`greenroom_storage::RunQueue::open_runs`].
pub(crate) fn open(conn: &Connection, tenant: TenantId, kind: RunKind) -> rusqlite::Result<u64> {
    let open = statement::one(
        conn,
        "SELECT (SELECT count(*) FROM runs WHERE tenant_id = ?1 AND kind = ?2 AND state = 'queued')
              + (SELECT count(*) FROM runs WHERE tenant_id = ?1 AND kind = ?2 AND state = 'running')",
        params![tenant.0, kind.as_str()],
        |row| unsigned(row, 0, "runs"),
    )?;
    Ok(open.unwrap_or(0))
}
