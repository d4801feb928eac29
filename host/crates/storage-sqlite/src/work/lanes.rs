//! `tenant_lanes`: who is next, and who pays (stride scheduling, DESIGN §2 and §7).
//!
//! A lane is charged its mean CPU time when items are taken and the difference when they are recorded, divided by its
//! share of its tenant's one weight. A lane that was idle begins at the lowest pass of the ready ones (or, if none is, at
//! the highest of all), so that nobody saves up.

use std::collections::BTreeMap;

use greenroom_model::{TenantId, Timestamp};
use greenroom_storage::{Lane, Slots};
use rusqlite::{Connection, params};

use crate::damage::{optional_timestamp, stored, tenant_id, timestamp, value};
use crate::quotas;
use crate::statement;
use crate::work::enqueue::{lane_number, read_lane};
use crate::writer::WriteTx;

/// 8 : 4 : 1; *on request* goes first and counts as *changed* where it spills.
fn weight(lane: Lane) -> f64 {
    match lane {
        Lane::New => 8.0,
        Lane::OnRequest | Lane::Changed => 4.0,
        Lane::Bulk => 1.0,
    }
}

/// Notes at a lane that an item of it is due then.
pub(super) fn touch(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    lane: Lane,
    due_at: Timestamp,
) -> rusqlite::Result<()> {
    tx.run(
        "INSERT INTO tenant_lanes (tenant_id, lane, ready, ready_at, weight) VALUES (?1, ?2, 0, ?3, ?4)
         ON CONFLICT (tenant_id, lane) DO UPDATE SET ready_at = excluded.ready_at
         WHERE ready = 0 AND (ready_at IS NULL OR ready_at > excluded.ready_at)",
        params![tenant.0, lane_number(lane), due_at.0, weight(lane)],
    )?;
    Ok(())
}

/// Whether a claim could find anything.
pub(super) fn any_ready(conn: &Connection, now: Timestamp, slots: Slots) -> rusqlite::Result<bool> {
    let sql = match slots {
        Slots::Any => {
            "SELECT EXISTS (SELECT 1 FROM tenant_lanes WHERE ready = 1)
                 OR EXISTS (SELECT 1 FROM tenant_lanes WHERE ready = 0 AND ready_at <= ?1)"
        }
        Slots::Kept => {
            "SELECT EXISTS (SELECT 1 FROM tenant_lanes WHERE ready = 1 AND lane = 0)
                 OR EXISTS (SELECT 1 FROM tenant_lanes WHERE ready = 0 AND ready_at <= ?1)
                 OR EXISTS (SELECT 1 FROM tenant_lanes l WHERE ready = 1 AND NOT EXISTS
                     (SELECT 1 FROM tenant_lanes o WHERE o.tenant_id = l.tenant_id AND o.held > 0))"
        }
    };
    let any = statement::one(conn, sql, params![now.0], |row| {
        value(row, 0, "tenant_lanes.ready")
    })?;
    Ok(any.unwrap_or(false))
}

/// Makes the lanes ready whose time has come.
pub(super) fn promote(tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
    let now = tx.now_ms();
    let lowest: Option<f64> = statement::one(
        tx,
        "SELECT min(pass) FROM tenant_lanes WHERE ready = 1",
        [],
        |row| value(row, 0, "tenant_lanes.pass"),
    )?
    .flatten();
    let start = match lowest {
        Some(pass) => Some(pass),
        None => statement::one(
            tx,
            "SELECT max(pass) FROM tenant_lanes WHERE ready = 0",
            [],
            |row| value(row, 0, "tenant_lanes.pass"),
        )?
        .flatten(),
    };
    tx.run(
        "UPDATE tenant_lanes SET ready = 1, ready_at = NULL, pass = max(pass, ?2)
         WHERE ready = 0 AND ready_at <= ?1",
        params![now, start.unwrap_or(0.0)],
    )?;
    Ok(())
}

/// When the next item that nobody holds is due.
pub(super) fn next_due(conn: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let waiting = statement::one(
        conn,
        "SELECT min(ready_at) FROM tenant_lanes WHERE ready = 0 AND ready_at IS NOT NULL",
        [],
        |row| optional_timestamp(row, 0, "tenant_lanes.ready_at"),
    )?
    .flatten();
    let mut ready = conn.prepare_cached(
        "SELECT tenant_id, lane, bulk_after IS NOT NULL FROM tenant_lanes WHERE ready = 1 ORDER BY pass",
    )?;
    let mut rows = ready.query([])?;
    while let Some(row) = rows.next()? {
        let tenant = tenant_id(row, 0, "tenant_lanes.tenant_id")?;
        let lane = read_lane(row, 1, "tenant_lanes.lane")?;
        if value::<bool>(row, 2, "tenant_lanes.bulk_after")? {
            return Ok(Some(Timestamp(0)));
        }
        if let Some(due) = oldest(conn, tenant, lane)? {
            return Ok(Some(waiting.map_or(due, |waiting| waiting.min(due))));
        }
    }
    Ok(waiting)
}

/// When the oldest item of a lane that nobody holds is due.
pub(super) fn oldest(
    conn: &Connection,
    tenant: TenantId,
    lane: Lane,
) -> rusqlite::Result<Option<Timestamp>> {
    statement::one(
        conn,
        "SELECT due_at FROM work WHERE tenant_id = ?1 AND lane = ?2 AND worker_id IS NULL
         ORDER BY due_at LIMIT 1",
        params![tenant.0, lane_number(lane)],
        |row| timestamp(row, 0, "work.due_at"),
    )
}

/// A held item has gone with its entity: its lane holds one less.
pub(crate) fn drop_held(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    lane: Lane,
) -> rusqlite::Result<()> {
    tx.run(
        "UPDATE tenant_lanes SET held = max(held - 1, 0) WHERE tenant_id = ?1 AND lane = ?2",
        params![tenant.0, lane_number(lane)],
    )?;
    Ok(())
}

/// What a batch of held items gives back to their lanes; settled once per lane and transaction.
#[derive(Debug, Default)]
pub(crate) struct Account(BTreeMap<(i64, i64), Sum>);

#[derive(Debug, Default)]
struct Sum {
    items: i64,
    recorded: i64,
    used_us: i64,
    charged_us: i64,
}

impl Account {
    /// An item was recorded after using that much CPU time.
    pub(crate) fn recorded(&mut self, tenant: TenantId, lane: Lane, charged_us: i64, used_us: u64) {
        let sum = self.0.entry((tenant.0, lane_number(lane))).or_default();
        sum.items += 1;
        sum.recorded += 1;
        sum.used_us = sum.used_us.saturating_add(stored(used_us));
        sum.charged_us += charged_us;
    }

    /// An item was given back unrun, or its worker died: what it was charged is returned.
    pub(crate) fn returned(&mut self, tenant: TenantId, lane: Lane, charged_us: i64) {
        let sum = self.0.entry((tenant.0, lane_number(lane))).or_default();
        sum.items += 1;
        sum.charged_us += charged_us;
    }

    /// Writes it: CPU time of the tenant's minute, held items, the correction of the pass, and the lane's mean, a moving one over
    /// some 16 items.
    pub(crate) fn settle(self, tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
        let mut used: BTreeMap<i64, u64> = BTreeMap::new();
        for ((tenant, _), sum) in self.0.iter().filter(|(_, sum)| sum.recorded > 0) {
            *used.entry(*tenant).or_default() += sum.used_us.unsigned_abs();
        }
        for (tenant, us) in used {
            quotas::charge(tx, TenantId(tenant), us)?;
        }
        for ((tenant, lane), sum) in self.0 {
            let mean = (sum.recorded > 0).then(|| sum.used_us as f64 / sum.recorded as f64);
            let step = (sum.recorded as f64 / 16.0).min(1.0);
            tx.run(
                "UPDATE tenant_lanes SET
                     held = max(held - ?3, 0),
                     pass = max(pass + ?4 / weight * (SELECT sum(weight) FROM tenant_lanes l
                         WHERE l.tenant_id = ?1 AND (l.ready = 1 OR l.lane = ?2)), 0.0),
                     mean_us = CASE WHEN ?5 IS NULL THEN mean_us ELSE mean_us + (?5 - mean_us) * ?6 END
                 WHERE tenant_id = ?1 AND lane = ?2",
                params![
                    tenant,
                    lane,
                    sum.items,
                    (sum.used_us - sum.charged_us) as f64,
                    mean,
                    step
                ],
            )?;
        }
        Ok(())
    }
}
