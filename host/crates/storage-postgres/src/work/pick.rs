//! Whose turn it is, decided in memory on lanes that are locked.
//!
//! First lane *on request* of all tenants, each up to [`ON_REQUEST_HELD`] held items, and up to half of all while another could
//! take something; then the ready lanes by lowest pass, where what is beyond that number in *on request*, or beyond its credit,
//! takes its turn like *changed*; then what is left of *on request*. While another tenant has due work, a
//! tenant holds at most half of all that is held, this claim included: with claims of as many items as threads are free,
//! that is half of the threads. Every step either takes items or leaves its lane for this claim, so the loop ends.
//!
//! A claim for kept slots passes by, in the second of these, tenants that hold something.

use std::collections::HashMap;

use greenroom_model::TenantId;
use greenroom_storage::{Lane, ON_REQUEST_CREDIT, ON_REQUEST_HELD, Quotas, Slots, StorageError};

use crate::damage::{stored, tenant_id, unsigned, value};
use crate::quotas;
use crate::transaction::Transaction;
use crate::work::enqueue::{lane_number, read_lane};

/// Lanes of a look.
const MAX_LANES: usize = 64;

/// A lane that is locked, as the claim will leave it.
#[derive(Debug)]
pub(super) struct LaneRow {
    pub(super) tenant: TenantId,
    pub(super) lane: Lane,
    pub(super) pass: f64,
    pub(super) mean_us: f64,
    /// Items this claim takes.
    pub(super) taken: u64,
    /// Items that are due, up to the limit of the claim.
    due: u64,
    weight: f64,
    /// What its tenant's ready lanes weigh, by its own weight.
    share: f64,
    held: u64,
    max_held: u64,
    /// Whether it had its turn and has nothing more to give.
    pub(super) is_empty: bool,
}

impl LaneRow {
    fn left(&self) -> u64 {
        self.due - self.taken
    }

    /// A lane pays its mean for each item, by its share of its tenant's one weight.
    fn charge(&mut self, items: f64) {
        self.pass += items * self.mean_us.round() * self.share;
    }
}

/// What all lanes of a tenant have, those not looked at included.
#[derive(Debug, Clone, Copy)]
struct TenantSums {
    held: u64,
    ready_weight: f64,
    quotas: Quotas,
}

/// Locks the lanes whose turn it may be, by pass. Tenants that hold as much as they may, or whose minute of CPU time has no
/// room, are passed by.
pub(super) async fn lock_lanes(
    tx: &Transaction,
    slots: Slots,
) -> Result<Vec<LaneRow>, StorageError> {
    let asked = lock_asked(tx).await?;
    let most_held = match slots {
        Slots::Any => i64::MAX,
        Slots::Kept => 1,
    };
    let mut lanes = tx
        .all(
            "SELECT l.tenant_id, l.lane, l.pass, l.mean_us, l.weight, l.held, l.max_held FROM tenant_lanes l
             WHERE l.ready AND least(l.max_held, $3) > (SELECT sum(o.held) FROM tenant_lanes o WHERE o.tenant_id = l.tenant_id)
                 AND coalesce((SELECT u.cpu_until FROM tenant_usage u WHERE u.tenant_id = l.tenant_id), 0) <= $2
             ORDER BY l.pass LIMIT $1 FOR UPDATE OF l SKIP LOCKED",
            &[&stored(MAX_LANES as u64), &tx.now_ms(), &most_held],
            read_lane_row,
        )
        .await?;
    let known: Vec<_> = lanes.iter().map(|row| (row.tenant, row.lane)).collect();
    lanes.extend(
        asked
            .into_iter()
            .filter(|row| !known.contains(&(row.tenant, row.lane))),
    );
    Ok(lanes)
}

async fn lock_asked(tx: &Transaction) -> Result<Vec<LaneRow>, StorageError> {
    tx.all(
        "SELECT tenant_id, lane, pass, mean_us, weight, held, max_held FROM tenant_lanes
         WHERE ready AND lane = 0 AND held < $2
             AND coalesce((SELECT u.cpu_until FROM tenant_usage u WHERE u.tenant_id = tenant_lanes.tenant_id), 0) <= $3
         ORDER BY pass LIMIT $1 FOR UPDATE SKIP LOCKED",
        &[
            &stored(MAX_LANES as u64),
            &i64::from(ON_REQUEST_HELD),
            &tx.now_ms(),
        ],
        read_lane_row,
    )
    .await
}

fn read_lane_row(row: &tokio_postgres::Row) -> Result<LaneRow, StorageError> {
    Ok(LaneRow {
        tenant: tenant_id(row, 0, "tenant_lanes.tenant_id")?,
        lane: read_lane(row, 1, "tenant_lanes.lane")?,
        pass: value(row, 2, "tenant_lanes.pass")?,
        mean_us: value(row, 3, "tenant_lanes.mean_us")?,
        weight: value(row, 4, "tenant_lanes.weight")?,
        share: 0.0,
        held: unsigned(row, 5, "tenant_lanes.held")?,
        max_held: unsigned(row, 6, "tenant_lanes.max_held")?,
        due: 0,
        taken: 0,
        is_empty: false,
    })
}

/// One claim under way.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) lanes: Vec<LaneRow>,
    tenants: HashMap<TenantId, TenantSums>,
    limit: u64,
    taken: u64,
    /// What is held and what is to be: of it a tenant may hold its share, and half while another has due work.
    threads: u64,
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
    lane: usize,
    items: u64,
}

impl Turn {
    /// Counts what is due in each lane: in a statement after the one that locked them, so that it sees all that was queued
    /// before.
    pub(super) async fn begin(
        tx: &Transaction,
        mut lanes: Vec<LaneRow>,
        limit: usize,
    ) -> Result<Turn, StorageError> {
        let limit = limit as u64;
        let ids: Vec<i64> = lanes.iter().map(|row| row.tenant.0).collect();
        let numbers: Vec<i64> = lanes.iter().map(|row| lane_number(row.lane)).collect();
        let counts = tx
            .all(
                "SELECT (SELECT count(*) FROM (SELECT 1 FROM work w WHERE w.tenant_id = look.tenant_id
                         AND w.lane = look.lane AND w.worker_id IS NULL AND w.due_at <= $3 LIMIT $4) due),
                     sums.held, sums.ready_weight, everybody.held,
                     (SELECT overrides FROM tenant_quotas q WHERE q.tenant_id = look.tenant_id)
                 FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS look (tenant_id, lane, n)
                 CROSS JOIN LATERAL (
                     SELECT sum(held)::bigint AS held, coalesce(sum(weight) FILTER (WHERE ready), 0) AS ready_weight
                     FROM tenant_lanes WHERE tenant_id = look.tenant_id
                 ) sums
                 CROSS JOIN (SELECT coalesce(sum(held), 0)::bigint AS held FROM tenant_lanes WHERE held > 0) everybody
                 ORDER BY look.n",
                &[&ids, &numbers, &tx.now_ms(), &stored(limit)],
                |row| {
                    let sums = TenantSums {
                        held: unsigned(row, 1, "tenant_lanes.held")?,
                        ready_weight: value(row, 2, "tenant_lanes.weight")?,
                        quotas: quotas::of_row(tx, row, 4)?,
                    };
                    let everybody = unsigned(row, 3, "tenant_lanes.held")?;
                    Ok((unsigned(row, 0, "work")?, sums, everybody))
                },
            )
            .await?;
        let mut tenants = HashMap::new();
        let mut held_by_all = 0;
        for (row, (due, sums, everybody)) in lanes.iter_mut().zip(counts) {
            row.due = due;
            tenants.insert(row.tenant, sums);
            held_by_all = everybody;
        }
        Ok(Turn {
            lanes,
            tenants,
            limit,
            taken: 0,
            threads: held_by_all + limit,
        })
    }

    /// Decides what is taken of which lane.
    pub(super) fn decide(&mut self, slots: Slots) {
        while let Some(pick) = self.asked(Which::Half) {
            self.take(&pick);
        }
        while let Some(pick) = self.fair(slots) {
            self.take(&pick);
        }
        while let Some(pick) = self.asked(Which::Left) {
            self.take(&pick);
        }
    }

    /// Whether there may be lanes beyond those looked at.
    pub(super) fn has_more_lanes(&self) -> bool {
        self.lanes.len() >= MAX_LANES
    }

    fn left(&self) -> u64 {
        self.limit - self.taken
    }

    /// How many items more a tenant may hold by its share of threads.
    fn share_left(&self, tenant: TenantId) -> u64 {
        self.tenants.get(&tenant).map_or(0, |sums| {
            sums.quotas.share_of(self.threads).saturating_sub(sums.held)
        })
    }

    fn held(&self, tenant: TenantId) -> u64 {
        self.tenants.get(&tenant).map_or(0, |sums| sums.held)
    }

    fn take(&mut self, pick: &Pick) {
        let row = &mut self.lanes[pick.lane];
        let items = pick.items.min(row.left());
        row.is_empty = items < pick.items;
        row.taken += items;
        row.held += items;
        self.taken += items;
        if let Some(sums) = self.tenants.get_mut(&row.tenant) {
            sums.held += items;
            row.share = sums.ready_weight / row.weight;
        }
        row.charge(items as f64);
    }

    /// Corrects a lane of which fewer items than decided could be taken: others had them locked, or they stood for nothing.
    pub(super) fn taken(&mut self, taken: &HashMap<(TenantId, Lane), u64>) {
        for row in &mut self.lanes {
            let items = taken.get(&(row.tenant, row.lane)).copied().unwrap_or(0);
            row.charge(items as f64 - row.taken as f64);
            row.taken = items;
        }
    }

    /// Lanes that may have more, by pass.
    fn by_pass(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.lanes.len())
            .filter(|lane| !self.lanes[*lane].is_empty)
            .collect();
        order.sort_by(|a, b| self.lanes[*a].pass.total_cmp(&self.lanes[*b].pass));
        order
    }

    /// The next lane *on request*.
    fn asked(&self, which: Which) -> Option<Pick> {
        if self.left() == 0 {
            return None;
        }
        self.by_pass().into_iter().find_map(|lane| {
            let row = &self.lanes[lane];
            if row.lane != Lane::OnRequest || which == Which::Half && self.is_overdrawn(row) {
                return None;
            }
            let most = match which == Which::Half && self.other_could(row.tenant) {
                true => self.threads.div_ceil(2),
                false => u64::MAX,
            };
            let room = most
                .min(u64::from(ON_REQUEST_HELD))
                .saturating_sub(row.held)
                .min(self.share_left(row.tenant));
            (room > 0).then(|| Pick {
                lane,
                items: self.left().min(room),
            })
        })
    }

    /// Whether another tenant has something that this claim could take.
    fn other_could(&self, tenant: TenantId) -> bool {
        let mut others = self.lanes.iter().filter(|row| row.tenant != tenant);
        others.any(|row| !row.is_empty && row.left() > 0)
    }

    /// Whether lane *on request* has been ahead of its tenant's other lanes for too long to go first.
    fn is_overdrawn(&self, asked: &LaneRow) -> bool {
        let others = self.lanes.iter().filter(|row| {
            row.tenant == asked.tenant && row.lane != Lane::OnRequest && row.left() > 0
        });
        let lowest = others.map(|row| row.pass).min_by(f64::total_cmp);
        lowest.is_some_and(|lowest| asked.pass > lowest + ON_REQUEST_CREDIT)
    }

    /// The next lane by pass. A tenant with half of the claim goes again only if nobody else can.
    fn fair(&self, slots: Slots) -> Option<Pick> {
        let left = self.left();
        if left == 0 {
            return None;
        }
        let step = (self.limit / 8).max(1);
        let mut within: Option<(Pick, u64)> = None;
        let mut beyond: Option<(Pick, u64)> = None;
        let (mut lanes, mut others) = (0, false);
        for lane in self.by_pass() {
            let row = &self.lanes[lane];
            let holds = self.held(row.tenant);
            let room = row
                .max_held
                .saturating_sub(holds)
                .min(self.share_left(row.tenant));
            let goes_first = row.lane == Lane::OnRequest
                && row.held < u64::from(ON_REQUEST_HELD)
                && !self.is_overdrawn(row);
            if room == 0 || goes_first || !slots.are_for(holds) {
                continue;
            }
            lanes += 1;
            let known = within.as_ref().or(beyond.as_ref());
            others |= known.is_some_and(|(known, _)| self.lanes[known.lane].tenant != row.tenant);
            let more = self.threads.div_ceil(2).saturating_sub(holds);
            let items = match slots {
                Slots::Any => left.min(room),
                Slots::Kept => 1,
            };
            let slot = if more > 0 { &mut within } else { &mut beyond };
            slot.get_or_insert((Pick { lane, items }, more));
            if within.is_some() && others {
                break;
            }
        }
        // Small steps keep to the order of passes; a lane that is alone gives all in one.
        match within {
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
        }
    }
}
