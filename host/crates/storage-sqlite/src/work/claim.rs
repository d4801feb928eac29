//! Claiming: whose turn it is.
//!
//! First lane *on request* of all tenants, each up to [`ON_REQUEST_HELD`] held items, and up to half of all while another could
//! take something; then the ready lanes by lowest pass, where what is beyond that number in *on request*, or beyond its credit,
//! takes its turn like *changed*; then what is left of *on request*. While another tenant has due work, a
//! tenant holds at most half of all that is held, this claim included: with claims of as many items as threads are free,
//! that is half of the threads. Every step either takes items or leaves its lane for this claim, so the loop ends.
//!
//! A claim for kept slots passes by, in the second of these, tenants that hold something.

use std::collections::HashSet;

use greenroom_model::TenantId;
use greenroom_storage::{
    Claimed, Lane, ON_REQUEST_CREDIT, ON_REQUEST_HELD, Slots, WORKER_LEASE_MS, WorkerId,
};
use rusqlite::params;

use crate::damage::{tenant_id, unsigned, value};
use crate::quotas;
use crate::statement;
use crate::work::enqueue::read_lane;
use crate::work::{lanes, take};
use crate::writer::WriteTx;

/// One claim under way.
struct Turn {
    limit: usize,
    slots: Slots,
    /// Lanes with nothing more to give.
    empty: HashSet<(TenantId, Lane)>,
    /// What is held and what is to be: of it a tenant may hold its share, and half while another has due work.
    threads: u64,
    claimed: Vec<Claimed>,
}

/// What is taken of lane *on request*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// First, and while another tenant could take something no more than half.
    Half,
    /// What nobody else could take.
    Left,
}

/// A lane to take from, and how many.
struct Pick {
    tenant: TenantId,
    lane: Lane,
    items: usize,
}

/// Claims up to `limit` items.
pub(super) fn claim(
    tx: &mut WriteTx<'_>,
    worker: &WorkerId,
    limit: usize,
    slots: Slots,
) -> rusqlite::Result<Vec<Claimed>> {
    lanes::promote(tx)?;
    quotas::put_aside(tx)?;
    let mut turn = Turn {
        limit,
        slots,
        empty: HashSet::new(),
        threads: held_by_all(tx)? + limit as u64,
        claimed: Vec::new(),
    };
    while let Some(pick) = asked(tx, &turn, Which::Half)? {
        turn.take(tx, worker, &pick)?;
    }
    while let Some(pick) = fair(tx, &turn)? {
        turn.take(tx, worker, &pick)?;
    }
    while let Some(pick) = asked(tx, &turn, Which::Left)? {
        turn.take(tx, worker, &pick)?;
    }
    if !turn.claimed.is_empty() {
        // No claim without a lease: else nothing would ever free its items.
        tx.run(
            "INSERT INTO workers (worker_id, expires_at) VALUES (?1, ?2)
             ON CONFLICT (worker_id) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)",
            params![worker.0, tx.now_ms() + WORKER_LEASE_MS],
        )?;
    }
    Ok(turn.claimed)
}

impl Turn {
    fn half(&self) -> u64 {
        self.threads.div_ceil(2)
    }

    fn left(&self) -> usize {
        self.limit - self.claimed.len()
    }

    fn take(
        &mut self,
        tx: &mut WriteTx<'_>,
        worker: &WorkerId,
        pick: &Pick,
    ) -> rusqlite::Result<()> {
        let items = take::take(tx, worker, pick.tenant, pick.lane, pick.items)?;
        if items.len() < pick.items {
            self.empty.insert((pick.tenant, pick.lane));
        }
        self.claimed.extend(items);
        Ok(())
    }
}

/// The next lane *on request*.
fn asked(tx: &WriteTx<'_>, turn: &Turn, which: Which) -> rusqlite::Result<Option<Pick>> {
    if turn.left() == 0 {
        return Ok(None);
    }
    let mut ready = tx.prepare_cached(
        "SELECT tenant_id, held, pass FROM tenant_lanes WHERE ready = 1 AND lane = 0 ORDER BY pass",
    )?;
    let mut rows = ready.query([])?;
    while let Some(row) = rows.next()? {
        let tenant = tenant_id(row, 0, "tenant_lanes.tenant_id")?;
        let held = unsigned(row, 1, "tenant_lanes.held")?;
        let pass: f64 = value(row, 2, "tenant_lanes.pass")?;
        let done = turn.empty.contains(&(tenant, Lane::OnRequest));
        if done || which == Which::Half && is_overdrawn(tx, tenant, pass)? {
            continue;
        }
        let most = match which == Which::Half && other_could(tx, turn, tenant)? {
            true => turn.half(),
            false => u64::MAX,
        };
        let room = most.min(u64::from(ON_REQUEST_HELD)).saturating_sub(held);
        let share = quotas::of(tx, tenant)?.share_of(turn.threads);
        let share = share.saturating_sub(held_by(tx, tenant)?);
        let room = usize::try_from(share.min(room)).unwrap_or(usize::MAX);
        if room > 0 {
            return Ok(Some(Pick {
                tenant,
                lane: Lane::OnRequest,
                items: turn.left().min(room),
            }));
        }
    }
    Ok(None)
}

/// Whether another tenant has a lane that this claim could take from.
fn other_could(tx: &WriteTx<'_>, turn: &Turn, tenant: TenantId) -> rusqlite::Result<bool> {
    let mut ready = tx
        .prepare_cached("SELECT tenant_id, lane FROM tenant_lanes WHERE ready = 1 ORDER BY pass")?;
    let mut rows = ready.query([])?;
    while let Some(row) = rows.next()? {
        let other = tenant_id(row, 0, "tenant_lanes.tenant_id")?;
        let lane = read_lane(row, 1, "tenant_lanes.lane")?;
        if other == tenant || turn.empty.contains(&(other, lane)) {
            continue;
        }
        if lane == Lane::OnRequest || turn.slots.are_for(held_by(tx, other)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether lane *on request* has been ahead of its tenant's other lanes for too long to go first.
fn is_overdrawn(tx: &WriteTx<'_>, tenant: TenantId, pass: f64) -> rusqlite::Result<bool> {
    let other: Option<f64> = statement::one(
        tx,
        "SELECT min(pass) FROM tenant_lanes WHERE tenant_id = ?1 AND ready = 1 AND lane <> 0",
        params![tenant.0],
        |row| value(row, 0, "tenant_lanes.pass"),
    )?
    .flatten();
    Ok(other.is_some_and(|other| pass > other + ON_REQUEST_CREDIT))
}

/// The next lane by pass. A tenant with half of the claim goes again only if nobody else can.
fn fair(tx: &WriteTx<'_>, turn: &Turn) -> rusqlite::Result<Option<Pick>> {
    let left = turn.left();
    if left == 0 {
        return Ok(None);
    }
    let step = (turn.limit / 8).max(1);
    let mut within: Option<(Pick, usize)> = None;
    let mut beyond: Option<(Pick, usize)> = None;
    let (mut lanes, mut others) = (0, false);
    let mut ready = tx.prepare_cached(
        "SELECT tenant_id, lane, held, max_held, pass FROM tenant_lanes WHERE ready = 1 ORDER BY pass",
    )?;
    let mut rows = ready.query([])?;
    while let Some(row) = rows.next()? {
        let tenant = tenant_id(row, 0, "tenant_lanes.tenant_id")?;
        let lane = read_lane(row, 1, "tenant_lanes.lane")?;
        let held: i64 = value(row, 2, "tenant_lanes.held")?;
        let max_held = unsigned(row, 3, "tenant_lanes.max_held")?;
        let holds = held_by(tx, tenant)?;
        let share = quotas::of(tx, tenant)?.share_of(turn.threads);
        let room = max_held.min(share).saturating_sub(holds);
        let done = turn.empty.contains(&(tenant, lane));
        if done || room == 0 || !turn.slots.are_for(holds) {
            continue;
        }
        if lane == Lane::OnRequest
            && held < i64::from(ON_REQUEST_HELD)
            && !is_overdrawn(tx, tenant, value(row, 4, "tenant_lanes.pass")?)?
        {
            continue;
        }
        let items = match turn.slots {
            Slots::Any => left.min(usize::try_from(room).unwrap_or(usize::MAX)),
            Slots::Kept => 1,
        };
        lanes += 1;
        let known = within.as_ref().or(beyond.as_ref());
        others |= known.is_some_and(|(known, _)| known.tenant != tenant);
        let more = usize::try_from(turn.half().saturating_sub(holds)).unwrap_or(usize::MAX);
        let slot = if more > 0 { &mut within } else { &mut beyond };
        slot.get_or_insert((
            Pick {
                tenant,
                lane,
                items,
            },
            more,
        ));
        if within.is_some() && others {
            break;
        }
    }
    // Small steps keep to the order of passes; a lane that is alone gives all in one.
    Ok(match within {
        Some((pick, more)) => {
            let most = match (others, lanes) {
                (true, _) => step.min(more),
                (false, 1) => left,
                (false, _) => step,
            };
            Some(Pick {
                items: pick.items.min(most),
                ..pick
            })
        }
        None => beyond.map(|(pick, _)| pick),
    })
}

/// Items a tenant holds in all lanes.
fn held_by(tx: &WriteTx<'_>, tenant: TenantId) -> rusqlite::Result<u64> {
    let held = statement::one(
        tx,
        "SELECT coalesce(sum(held), 0) FROM tenant_lanes WHERE tenant_id = ?1",
        params![tenant.0],
        |row| unsigned(row, 0, "tenant_lanes.held"),
    )?;
    Ok(held.unwrap_or(0))
}

/// Items held in all lanes of all tenants.
fn held_by_all(tx: &WriteTx<'_>) -> rusqlite::Result<u64> {
    let held = statement::one(
        tx,
        "SELECT coalesce(sum(held), 0) FROM tenant_lanes WHERE held > 0",
        [],
        |row| unsigned(row, 0, "tenant_lanes.held"),
    )?;
    Ok(held.unwrap_or(0))
}
