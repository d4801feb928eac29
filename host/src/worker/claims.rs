//! The claim loop: takes what is due, as much as is free, and runs it.
//!
//! A claim that ended because storage was away may have been committed all the same, when the answer was lost. Then this worker would
//! hold, and renew, what it does not know of. So it gives back everything it holds before it claims again; what was in flight
//! runs once more elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_model::{Clock, TenantId};
use greenroom_processing::{Orchestrate, Pipelines, ProcessingError, TenantPipeline, process};
use greenroom_storage::{
    Claimed, RunCalls, RunRecord, RunResult, Slots, Storage, StorageError, WorkerId,
};
use std::collections::HashMap;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::StoredReads;
use super::loops::wait_for_work;
use super::run_count::RunCount;
use crate::lifecycle::{Essential, Stopping};
use crate::metrics::Metric;
use crate::supervisor::{Pulse, Wakes};

/// Runs in flight; guests run on few of them at once, the others wait for reads or their turn.
const IN_FLIGHT: usize = 128;
/// A claim from a backlog waits for so many free slots: it is a transaction, however little it takes.
const REFILL: usize = 48;
/// For how long at most: runs that wait for reads hold theirs for long.
const REFILL_WAIT: Duration = Duration::from_millis(50);
/// Kept free for lane *on request* and for tenants that hold nothing, so that no backlog delays a registration.
const KEPT: usize = 8;
/// Wait before a run that failed through us is tried again, in milliseconds; doubles with each attempt.
const OUR_FAULT_MS: i64 = 10_000;

/// What runs need.
pub(crate) struct ClaimLoop {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) pipelines: Arc<Pipelines>,
    pub(crate) orchestrate: Arc<dyn Orchestrate>,
    pub(crate) reads: Arc<StoredReads>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) worker: WorkerId,
    pub(crate) wakes: Wakes,
    /// Recording a run may have queued another.
    pub(crate) recorded: Arc<Notify>,
    pub(crate) finished: mpsc::Sender<RunRecord>,
    pub(crate) pulse: Pulse,
}

impl ClaimLoop {
    /// Claims and runs until the process stops, then waits for what is in flight.
    pub(crate) async fn run(self, essential: Essential, mut stopping: Stopping) {
        let this = Arc::new(self);
        let mut in_flight = JoinSet::new();
        let (mut seen, mut unsure) = (0, false);
        // Until when a claim waits for more slots, if the last one found more than it could take.
        let mut backlog: Option<Instant> = None;
        while !stopping.is_stopping() {
            essential.turn();
            let woken = this.wakes.incoming.notified();
            let recorded = this.recorded.notified();
            while in_flight.try_join_next().is_some() {}
            let free = IN_FLIGHT.saturating_sub(in_flight.len());
            let (slots, limit) = for_free(free, backlog);
            let claim = this.claim_surely(slots, limit, &mut unsure);
            let claimed = match essential.waiting(claim).await {
                Ok(claimed) => {
                    this.pulse.claimed();
                    claimed
                }
                Err(error) => {
                    warn!(%error, "could not claim work");
                    Vec::new()
                }
            };
            let idle = claimed.is_empty();
            if slots == Slots::Any {
                backlog = (claimed.len() >= limit).then(|| Instant::now() + REFILL_WAIT);
            }
            if let Some(runs) = essential.waiting(this.with_pipelines(claimed)).await {
                for (claimed, pipeline) in runs {
                    let run = Arc::clone(&this);
                    in_flight.spawn(async move { run.one(claimed, &pipeline).await });
                }
            }
            let sheet = this.pulse.sheet();
            sheet.set(Metric::RunsInFlight, &[], in_flight.len() as f64);
            let full = in_flight.len() >= IN_FLIGHT;
            if !idle && !full {
                continue;
            }
            let mut quiet = stopping.clone();
            let mut seen_now = seen;
            tokio::select! {
                () = stopping.wait() => break,
                () = recorded => {}
                () = sleep_until(backlog), if backlog.is_some_and(|until| Instant::now() < until) => {}
                _ = in_flight.join_next(), if full => {}
                _ = wait_for_work(woken, &*this.storage, &mut seen_now, &mut quiet, || essential.turn()) => {}
            }
            seen = seen_now;
        }
        while in_flight.join_next().await.is_some() {}
    }

    /// Claims, having given back what a claim of which no answer came may hold. `unsure` is whether there is one.
    async fn claim_surely(
        &self,
        slots: Slots,
        limit: usize,
        unsure: &mut bool,
    ) -> Result<Vec<Claimed>, StorageError> {
        if *unsure {
            // Twice: the first waits for a claim whose transaction is still under way, the second sees what it took.
            for _ in 0..2 {
                self.storage.expire_worker(&self.worker).await?;
            }
            self.storage.renew_lease(&self.worker).await?;
            *unsure = false;
        }
        let claimed = self.claim(slots, limit).await;
        *unsure = claimed.as_ref().is_err_and(StorageError::retryable);
        claimed
    }

    pub(super) async fn claim(
        &self,
        slots: Slots,
        limit: usize,
    ) -> Result<Vec<Claimed>, StorageError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        self.storage.claim(&self.worker, limit, slots).await
    }

    /// Each claimed item with its tenant's pipeline, looked up once a batch. Items of a tenant whose pipeline cannot be
    /// had are given back.
    pub(super) async fn with_pipelines(
        &self,
        claimed: Vec<Claimed>,
    ) -> Option<Vec<(Claimed, Arc<TenantPipeline>)>> {
        let mut pipelines: HashMap<TenantId, Option<Arc<TenantPipeline>>> = HashMap::new();
        let mut runs = Vec::with_capacity(claimed.len());
        for item in claimed {
            let tenant = item.claim.tenant;
            let known = match pipelines.get(&tenant) {
                Some(known) => known.clone(),
                None => {
                    let found = self.pipelines.of(tenant).await;
                    let found = found
                        .inspect_err(|error| warn!(%error, tenant.id = tenant.0, "no pipeline"))
                        .ok();
                    pipelines.insert(tenant, found.clone());
                    found
                }
            };
            match known {
                Some(pipeline) => runs.push((item, pipeline)),
                None => {
                    let reason = "the tenant's pipeline could not be read";
                    self.finish(ours(&item, &*self.clock, reason)).await;
                }
            }
        }
        (!runs.is_empty()).then_some(runs)
    }

    pub(super) async fn one(&self, claimed: Claimed, pipeline: &Arc<TenantPipeline>) {
        let (lane, entity_ref) = (claimed.lane, claimed.entity_ref.clone());
        let item = claimed.clone();
        let count = RunCount::begin(&self.pulse, &item, &*self.clock);
        let ran = process(
            claimed,
            pipeline,
            &*self.orchestrate,
            &*self.reads,
            &*self.storage,
            &*self.clock,
        )
        .await;
        let ran = match ran {
            Ok(ran) => ran,
            Err(ProcessingError::Orchestrate(greenroom_processing::OrchestrateError::Stopping)) => {
                let _ = self
                    .storage
                    .release(std::slice::from_ref(&item.claim))
                    .await;
                return;
            }
            Err(error) => {
                warn!(entity.ref = %entity_ref, tenant.id = item.claim.tenant.0, error = %chain(&error), "a run failed through us");
                count.failed();
                self.finish(ours(&item, &*self.clock, &chain(&error))).await;
                return;
            }
        };
        count.ended(&ran, &pipeline.tenant_name);
        for fault in &ran.record.faults {
            info!(
                tenant.id = item.claim.tenant.0,
                entity.ref = %entity_ref,
                processor.name = %fault.processor,
                processor.stage = %fault.stage,
                fault = fault.fault,
                lane = ?lane,
                "a processor faulted"
            );
        }
        self.finish(ran.record).await;
    }

    async fn finish(&self, record: RunRecord) {
        // The recorder ends only after every sender is gone.
        let _ = self.finished.send(record).await;
    }
}

async fn sleep_until(instant: Option<Instant>) {
    if let Some(instant) = instant {
        tokio::time::sleep_until(instant.into()).await;
    }
}

/// What so many free slots are for. Where there was more than could be taken, few slots wait until there are more of them, but for
/// those who hold nothing.
fn for_free(free: usize, backlog: Option<Instant>) -> (Slots, usize) {
    let more = free.saturating_sub(KEPT);
    let waits = backlog.is_some_and(|until| Instant::now() < until);
    let enough = if waits { REFILL } else { 1 };
    if more >= enough {
        (Slots::Any, more)
    } else {
        (Slots::Kept, free.min(KEPT))
    }
}

/// A run that ended without a result, through us: it waits and starts over.
fn ours(claimed: &Claimed, clock: &dyn Clock, reason: &str) -> RunRecord {
    let wait = OUR_FAULT_MS.saturating_mul(1 << claimed.attempts.min(8));
    RunRecord {
        claim: claimed.claim.clone(),
        result: RunResult::Waiting {
            retry_at: clock.now().plus_ms(wait),
            reason: reason.to_owned(),
        },
        faults: Vec::new(),
        cpu_us: 0,
        calls: RunCalls::default(),
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_slots_wait_for_more_where_there_is_a_backlog_and_some_are_always_kept() {
        let over = Some(Instant::now());
        for backlog in [None, over] {
            assert_eq!(for_free(0, backlog), (Slots::Kept, 0));
            assert_eq!(for_free(KEPT, backlog), (Slots::Kept, KEPT));
            assert_eq!(for_free(KEPT + 1, backlog), (Slots::Any, 1));
            assert_eq!(for_free(IN_FLIGHT, backlog), (Slots::Any, IN_FLIGHT - KEPT));
        }
        let waits = Some(Instant::now() + Duration::from_secs(60));
        assert_eq!(for_free(KEPT + REFILL - 1, waits), (Slots::Kept, KEPT));
        assert_eq!(for_free(KEPT + REFILL, waits), (Slots::Any, REFILL));
    }
}
