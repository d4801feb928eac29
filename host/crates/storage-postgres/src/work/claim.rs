//! Claiming, in a number of statements that follows from nothing but how many lanes turn out to be empty.
//!
//! A look locks the lanes whose turn it may be (those locked by others it skips), counts what is due in each, decides in
//! memory what to take (see `pick`), takes it with one statement and leaves each lane with its pass, what it holds and,
//! where it ran dry, the time of its next item (see `take`).
//!
//! Where few tenants have work, another claim may have all lanes locked for its few milliseconds. Who would leave with
//! nothing for that reason waits for one lane, and then looks; it holds nothing while it waits.

use std::collections::HashMap;

use greenroom_model::TenantId;
use greenroom_storage::{Claimed, Lane, Slots, StorageError, WORKER_LEASE_MS, WorkerId};

use crate::damage::value;
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::{bulk, pick, take};

/// Looks of one claim. Each but the last has found lanes empty, or has queued a chunk of a whole tenant.
const MAX_LOOKS: usize = 8;

/// What a look came to.
struct Look {
    claimed: Vec<Claimed>,
    /// Lanes that ran dry while their tenant is being queued as a whole.
    unexpanded: Vec<(TenantId, Lane)>,
    /// Whether another look may find more at once.
    goes_on: bool,
    /// Whether others had everything locked.
    shut_out: bool,
}

/// Claims up to `limit` items.
pub(super) async fn claim(
    storage: &PostgresStorage,
    worker: &WorkerId,
    limit: usize,
    slots: Slots,
) -> Result<Vec<Claimed>, StorageError> {
    let mut claimed: Vec<Claimed> = Vec::new();
    let mut wait = false;
    for _ in 0..MAX_LOOKS {
        let left = limit - claimed.len();
        if left == 0 {
            break;
        }
        let Some(look) = look(storage, worker, left, slots, wait).await? else {
            break;
        };
        claimed.extend(look.claimed);
        for (tenant, lane) in &look.unexpanded {
            bulk::expand(storage, *tenant, *lane).await?;
        }
        if !look.goes_on && look.unexpanded.is_empty() && (!look.shut_out || wait) {
            break;
        }
        wait = look.shut_out;
    }
    Ok(claimed)
}

/// One transaction; `None` if nothing is due.
async fn look(
    storage: &PostgresStorage,
    worker: &WorkerId,
    limit: usize,
    slots: Slots,
    wait: bool,
) -> Result<Option<Look>, StorageError> {
    let tx = storage.begin("claim work").await?;
    if !any_ready(&tx, slots).await? {
        tx.roll_back().await?;
        return Ok(None);
    }
    if wait {
        wait_for_one(&tx, slots).await?;
    }
    promote(&tx).await?;
    let lanes = pick::lock_lanes(&tx, slots).await?;
    if lanes.is_empty() {
        tx.commit().await?;
        return Ok(Some(Look {
            claimed: Vec::new(),
            unexpanded: Vec::new(),
            goes_on: false,
            shut_out: true,
        }));
    }
    let mut turn = pick::Turn::begin(&tx, lanes, limit).await?;
    turn.decide(slots);
    let claimed = take::take(&tx, worker, &turn).await?;
    let mut taken: HashMap<(TenantId, Lane), u64> = HashMap::new();
    for item in &claimed {
        *taken.entry((item.claim.tenant, item.lane)).or_default() += 1;
    }
    turn.taken(&taken);
    let unexpanded = take::settle(&tx, &turn).await?;
    if !claimed.is_empty() {
        // No claim without a lease: else nothing would ever free its items.
        tx.run(
            "INSERT INTO workers (worker_id, expires_at) VALUES ($1, $2)
             ON CONFLICT (worker_id) DO UPDATE SET expires_at = greatest(workers.expires_at, excluded.expires_at)",
            &[&Text(&worker.0), &(tx.now_ms() + WORKER_LEASE_MS)],
        )
        .await?;
    }
    tx.commit().await?;
    Ok(Some(Look {
        goes_on: turn.has_more_lanes(),
        claimed,
        unexpanded,
        shut_out: false,
    }))
}

/// Whether there is anything to look for.
async fn any_ready(tx: &Transaction, slots: Slots) -> Result<bool, StorageError> {
    // In the order of the indexes, or the planner reads the table to find one of many.
    let sql = match slots {
        Slots::Any => {
            "SELECT (SELECT pass FROM tenant_lanes WHERE ready ORDER BY pass LIMIT 1) IS NOT NULL
                 OR (SELECT ready_at FROM tenant_lanes WHERE NOT ready AND ready_at <= $1
                     ORDER BY ready_at LIMIT 1) IS NOT NULL"
        }
        Slots::Kept => {
            "SELECT (SELECT pass FROM tenant_lanes WHERE ready AND lane = 0 ORDER BY pass LIMIT 1) IS NOT NULL
                 OR (SELECT ready_at FROM tenant_lanes WHERE NOT ready AND ready_at <= $1
                     ORDER BY ready_at LIMIT 1) IS NOT NULL
                 OR (SELECT pass FROM tenant_lanes l WHERE ready AND NOT EXISTS
                         (SELECT 1 FROM tenant_lanes o WHERE o.tenant_id = l.tenant_id AND o.held > 0)
                     ORDER BY pass LIMIT 1) IS NOT NULL"
        }
    };
    let any = tx
        .one(sql, &[&tx.now_ms()], |row| {
            value::<bool>(row, 0, "tenant_lanes.ready")
        })
        .await?;
    Ok(any.unwrap_or(false))
}

/// Waits until a lane is free, and takes it. Nothing is locked yet.
async fn wait_for_one(tx: &Transaction, slots: Slots) -> Result<(), StorageError> {
    let sql = match slots {
        Slots::Any => "SELECT 1 FROM tenant_lanes WHERE ready ORDER BY pass LIMIT 1 FOR UPDATE",
        Slots::Kept => {
            "SELECT 1 FROM tenant_lanes l WHERE ready AND (lane = 0 OR NOT EXISTS
                 (SELECT 1 FROM tenant_lanes o WHERE o.tenant_id = l.tenant_id AND o.held > 0))
             ORDER BY pass LIMIT 1 FOR UPDATE"
        }
    };
    tx.rows(sql, &[]).await?;
    Ok(())
}

/// Makes the lanes ready whose time has come, those that wait longest first. One that was idle begins where the others are.
async fn promote(tx: &Transaction) -> Result<(), StorageError> {
    tx.run(
        "WITH due AS MATERIALIZED (
             SELECT tenant_id, lane FROM tenant_lanes WHERE NOT ready AND ready_at <= $1
             ORDER BY ready_at LIMIT 64 FOR UPDATE SKIP LOCKED
         ), start AS (
             SELECT coalesce(
                 (SELECT pass FROM tenant_lanes WHERE ready ORDER BY pass LIMIT 1),
                 (SELECT pass FROM tenant_lanes WHERE NOT ready ORDER BY pass DESC LIMIT 1)) AS pass
         )
         UPDATE tenant_lanes l SET ready = true, ready_at = NULL, pass = greatest(l.pass, start.pass)
         FROM due, start WHERE l.tenant_id = due.tenant_id AND l.lane = due.lane",
        &[&tx.now_ms()],
    )
    .await?;
    Ok(())
}
