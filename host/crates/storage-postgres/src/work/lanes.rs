//! `tenant_lanes`: who is next, and who pays (stride scheduling, DESIGN §2 and §7).
//!
//! A lane is charged its mean CPU time when items are taken and the difference when they are recorded, divided by its
//! share of its tenant's one weight. A lane that was idle begins at the lowest pass of the ready ones (or, if none is, at
//! the highest of all), so that nobody saves up.

use std::collections::BTreeMap;

use greenroom_model::TenantId;
use greenroom_storage::{Lane, StorageError};

use crate::damage::stored;
use crate::quotas;
use crate::transaction::Transaction;
use crate::work::enqueue::lane_number;

/// Weights by lane number. 8 : 4 : 1; *on request* goes first and counts as *changed* where it spills.
pub(super) const WEIGHTS: [f64; 4] = [4.0, 8.0, 4.0, 1.0];

/// Notes at a lane that an item of it is due then.
pub(super) async fn touch(
    tx: &Transaction,
    tenant: TenantId,
    lane: Lane,
    due_ms: i64,
) -> Result<(), StorageError> {
    tx.run(
        "INSERT INTO tenant_lanes (tenant_id, lane, ready_at, weight) VALUES ($1, $2::bigint, $3, ($4::float8[])[$2::bigint + 1])
         ON CONFLICT (tenant_id, lane) DO UPDATE SET ready_at = excluded.ready_at
         WHERE NOT tenant_lanes.ready
             AND (tenant_lanes.ready_at IS NULL OR tenant_lanes.ready_at > excluded.ready_at)",
        &[&tenant.0, &lane_number(lane), &due_ms, &WEIGHTS.as_slice()],
    )
    .await?;
    Ok(())
}

/// What a batch of held items of one tenant gives back to its lanes; settled once per transaction.
#[derive(Debug, Default)]
pub(crate) struct Account(BTreeMap<i64, Sum>);

#[derive(Debug, Default)]
struct Sum {
    items: i64,
    recorded: i64,
    used_us: i64,
    charged_us: i64,
}

impl Account {
    /// An item was recorded after using that much CPU time.
    pub(crate) fn recorded(&mut self, lane: Lane, charged_us: i64, used_us: u64) {
        let sum = self.0.entry(lane_number(lane)).or_default();
        sum.items += 1;
        sum.recorded += 1;
        sum.used_us = sum.used_us.saturating_add(stored(used_us));
        sum.charged_us += charged_us;
    }

    /// An item was given back unrun, its worker died, or its entity is gone: what it was charged is returned.
    pub(crate) fn returned(&mut self, lane: Lane, charged_us: i64) {
        let sum = self.0.entry(lane_number(lane)).or_default();
        sum.items += 1;
        sum.charged_us += charged_us;
    }

    /// Writes it: CPU time of the tenant's minute, held items, the correction of the pass, and the lane's mean, a moving one over
    /// some 16 items.
    pub(crate) async fn settle(
        self,
        tx: &Transaction,
        tenant: TenantId,
    ) -> Result<(), StorageError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let lanes: Vec<i64> = self.0.keys().copied().collect();
        let sums = || self.0.values();
        if sums().any(|sum| sum.recorded > 0) {
            let used: u64 = sums().map(|sum| sum.used_us.unsigned_abs()).sum();
            quotas::charge(tx, tenant, used).await?;
        }
        let items: Vec<i64> = sums().map(|sum| sum.items).collect();
        let owed: Vec<f64> = sums()
            .map(|sum| (sum.used_us - sum.charged_us) as f64)
            .collect();
        let means: Vec<Option<f64>> = sums()
            .map(|sum| (sum.recorded > 0).then(|| sum.used_us as f64 / sum.recorded as f64))
            .collect();
        let steps: Vec<f64> = sums()
            .map(|sum| (sum.recorded as f64 / 16.0).min(1.0))
            .collect();
        tx.run(
            "UPDATE tenant_lanes l SET
                 held = greatest(l.held - sum.items, 0),
                 pass = greatest(l.pass + sum.owed / l.weight * (SELECT sum(o.weight) FROM tenant_lanes o
                     WHERE o.tenant_id = $1 AND (o.ready OR o.lane = l.lane)), 0),
                 mean_us = l.mean_us + coalesce((sum.mean_us - l.mean_us) * sum.step, 0)
             FROM unnest($2::bigint[], $3::bigint[], $4::float8[], $5::float8[], $6::float8[])
                 AS sum (lane, items, owed, mean_us, step)
             WHERE l.tenant_id = $1 AND l.lane = sum.lane",
            &[&tenant.0, &lanes, &items, &owed, &means, &steps],
        )
        .await?;
        Ok(())
    }
}
