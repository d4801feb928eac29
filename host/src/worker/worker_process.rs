//! One worker: its lease, its loops, and how it leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_model::Clock;
use greenroom_processing::{Orchestrate, Pipelines, Stitches, start_canaries, stitch_batch};
use greenroom_storage::{Storage, WorkerId};
use tokio::sync::{Notify, mpsc};
use tracing::{error, info, warn};

use super::audit::Auditor;
use super::claims::{ClaimLoop, chain};
use super::compile_queue::CompileQueue;
use super::loops::wait_for_work;
use super::recorder::record;
use super::revalidation::revalidate;
use super::runs::RunLoop;
use super::scheduler::{Scheduler, Task};
use super::{Artifacts, Describe, StoredReads};
use crate::config::Quotas;
use crate::lifecycle::{Essential, Lifecycle, Stopping, TURN_BOUND};
use crate::metrics::Metric;
use crate::supervisor::{Pulse, Wakes};

/// How often the lease is renewed; it is valid for 10 s (DESIGN §2).
const RENEW: Duration = Duration::from_secs(3);
/// How often orphan checks are looked at.
const ORPHANS: Duration = Duration::from_secs(1);
/// How often canaries are started and ended: an author waits for the verdict.
const CANARIES: Duration = Duration::from_millis(250);
/// How long a cache keeps what nobody uses.
const IDLE: Duration = Duration::from_secs(600);
/// How often caches are swept.
const SWEEP: Duration = Duration::from_secs(5);
/// Refs stitched together.
const STITCH_BATCH: u32 = 200;
/// Refs checked together.
const ORPHAN_BATCH: u32 = 500;
/// Finished runs waiting to be recorded.
const FINISHED: usize = 256;

/// What a worker is made of.
pub struct WorkerParts {
    /// The database.
    pub storage: Arc<dyn Storage>,
    /// Each tenant's pipeline.
    pub pipelines: Arc<Pipelines>,
    /// Where stages run.
    pub orchestrate: Arc<dyn Orchestrate>,
    /// Who asks an upload what it is.
    pub describe: Arc<dyn Describe>,
    /// Where reads come from.
    pub reads: Arc<StoredReads>,
    /// Compiled code.
    pub artifacts: Arc<Artifacts>,
    /// What each tenant may have.
    pub quotas: Quotas,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Wake-ups from and to the API.
    pub wakes: Wakes,
    /// Raised by the claim loop.
    pub pulse: Pulse,
}

/// A worker.
pub struct Worker {
    id: WorkerId,
    parts: WorkerParts,
}

impl Worker {
    /// A worker with a fresh id.
    pub fn new(parts: WorkerParts) -> Self {
        Self {
            id: WorkerId(uuid::Uuid::new_v4().to_string()),
            parts,
        }
    }

    /// Its id.
    pub fn id(&self) -> &WorkerId {
        &self.id
    }

    /// Starts its loops in the process's tracked set. They end when it stops; the lease is given back last.
    pub fn start(self, lifecycle: &Arc<Lifecycle>) {
        let Self { id, parts } = self;
        let recorded = Arc::new(Notify::new());
        let (finished, to_record) = mpsc::channel(FINISHED);
        let storage = &parts.storage;
        let essential = |task| lifecycle.essential(task, TURN_BOUND);

        lifecycle.spawn(record(
            Arc::clone(storage),
            essential("record"),
            to_record,
            Arc::clone(&recorded),
            parts.wakes.clone(),
        ));
        lifecycle.spawn(stitch(
            Arc::clone(storage),
            essential("stitch"),
            Arc::clone(&recorded),
            parts.wakes.clone(),
            parts.pulse.clone(),
            lifecycle.stopping(),
        ));
        lifecycle.spawn(revalidate(
            Arc::clone(storage),
            essential("revalidate"),
            Arc::clone(&parts.reads),
            Arc::clone(&parts.clock),
            lifecycle.stopping(),
        ));
        lifecycle.spawn(check_orphans(
            Arc::clone(storage),
            essential("orphans"),
            parts.wakes.clone(),
            lifecycle.stopping(),
        ));
        lifecycle.spawn(tend_canaries(
            Arc::clone(storage),
            essential("canaries"),
            Arc::clone(&parts.pipelines),
            parts.wakes.clone(),
            lifecycle.stopping(),
        ));
        lifecycle.spawn(sweep_caches(
            essential("caches"),
            Arc::clone(&parts.pipelines),
            Arc::clone(&parts.artifacts),
            Arc::clone(&parts.reads),
            lifecycle.stopping(),
        ));
        let scheduler = |tasks| Scheduler {
            storage: Arc::clone(storage),
            worker: id.clone(),
            tasks,
            pulse: parts.pulse.clone(),
            clock: Arc::clone(&parts.clock),
        };
        let routine = scheduler(vec![Task::retention(storage), Task::mutations(storage)]);
        lifecycle.spawn(routine.schedule(essential("schedule"), lifecycle.stopping()));
        // In a loop of its own, because a run takes hours.
        let auditor = Auditor {
            storage: Arc::clone(storage),
            pipelines: Arc::clone(&parts.pipelines),
            clock: Arc::clone(&parts.clock),
            pulse: parts.pulse.clone(),
        };
        let audit = scheduler(vec![Task::audit(auditor)]);
        lifecycle.spawn(audit.schedule(essential("audit"), lifecycle.stopping()));
        show(&parts, lifecycle);
        let runs = RunLoop {
            storage: Arc::clone(storage),
            pipelines: Arc::clone(&parts.pipelines),
            orchestrate: Arc::clone(&parts.orchestrate),
            reads: Arc::clone(&parts.reads),
            clock: Arc::clone(&parts.clock),
            worker: id.clone(),
            wakes: parts.wakes.clone(),
        };
        lifecycle.spawn(runs.run(essential("runs"), lifecycle.stopping()));
        let uploads = CompileQueue {
            storage: Arc::clone(storage),
            artifacts: Arc::clone(&parts.artifacts),
            describe: parts.describe,
            quotas: parts.quotas,
            clock: Arc::clone(&parts.clock),
            worker: id.clone(),
            wakes: parts.wakes.clone(),
        };
        lifecycle.spawn(uploads.run(essential("uploads"), lifecycle.stopping()));
        let claims = ClaimLoop {
            storage: Arc::clone(storage),
            pipelines: parts.pipelines,
            orchestrate: parts.orchestrate,
            reads: parts.reads,
            clock: parts.clock,
            worker: id.clone(),
            wakes: parts.wakes,
            recorded,
            finished,
            pulse: parts.pulse,
        };
        let (renews, turns) = (essential("lease"), essential("claims"));
        let (storage, stopping) = (parts.storage, lifecycle.stopping());
        lifecycle.spawn(async move {
            let renewing = renew(Arc::clone(&storage), renews, id.clone());
            tokio::select! {
                () = renewing => {}
                () = claims.run(turns, stopping) => {}
            }
            if let Err(error) = storage.expire_worker(&id).await {
                warn!(%error, "could not give back the lease; it runs out by itself");
            }
        });
    }
}

/// Renews the lease for as long as it is polled, and frees what dead workers held.
async fn renew(storage: Arc<dyn Storage>, essential: Essential, worker: WorkerId) {
    loop {
        if let Err(error) = essential.waiting(storage.renew_lease(&worker)).await {
            warn!(%error, "could not renew the lease");
        }
        match essential.waiting(storage.release_expired()).await {
            Ok(0) => {}
            Ok(freed) => info!(freed, "items of expired workers are free"),
            Err(error) => warn!(%error, "could not look for expired workers"),
        }
        tokio::time::sleep(RENEW).await;
    }
}

/// Stitches what is queued until the process stops.
async fn stitch(
    storage: Arc<dyn Storage>,
    essential: Essential,
    recorded: Arc<Notify>,
    wakes: Wakes,
    pulse: Pulse,
    mut stopping: Stopping,
) {
    let mut seen = 0;
    let sheet = pulse.sheet();
    while !stopping.is_stopping() {
        let woken = recorded.notified();
        let began = Instant::now();
        let stitched = stitch_batch(&*storage, STITCH_BATCH);
        match essential.waiting(stitched).await {
            Ok(stitches) if stitches.is_none() => {}
            Ok(Stitches {
                changed,
                unchanged,
                waited,
            }) => {
                let seconds = began.elapsed().as_secs_f64();
                sheet.observe(Metric::StitchingDuration, &[], seconds);
                for one in waited {
                    sheet.observe(Metric::StitchingQueueDelay, &[], one.as_secs_f64());
                }
                sheet.add(Metric::StitchedEntities, &["changed"], changed as f64);
                sheet.add(Metric::StitchedEntities, &["unchanged"], unchanged as f64);
                wakes.outgoing.notify_one();
                continue;
            }
            Err(error) => {
                sheet.add(Metric::StitchedEntities, &["error"], 1.0);
                error!(%error, "could not stitch; tried again");
            }
        }
        let turns = || essential.turn();
        if !wait_for_work(woken, &*storage, &mut seen, &mut stopping, turns).await {
            return;
        }
    }
}

async fn check_orphans(
    storage: Arc<dyn Storage>,
    essential: Essential,
    wakes: Wakes,
    mut stopping: Stopping,
) {
    loop {
        match essential.waiting(storage.check_orphans(ORPHAN_BATCH)).await {
            Ok(report) if report.deleted > 0 || report.orphaned > 0 => {
                info!(
                    orphaned = report.orphaned,
                    deleted = report.deleted,
                    "orphans"
                );
                wakes.outgoing.notify_one();
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "could not check orphans"),
        }
        tokio::select! {
            () = stopping.wait() => return,
            () = tokio::time::sleep(ORPHANS) => {}
        }
    }
}

/// Shows what the worker holds, whenever somebody looks.
fn show(parts: &WorkerParts, lifecycle: &Arc<Lifecycle>) {
    let storage = Arc::clone(&parts.storage);
    let lifecycle = Arc::downgrade(lifecycle);
    let pipelines = Arc::clone(&parts.pipelines);
    let artifacts = Arc::clone(&parts.artifacts);
    let reads = Arc::clone(&parts.reads);
    parts.pulse.sheet().measure(move |sheet| {
        let tasks = lifecycle.upgrade().map_or(0, |lifecycle| lifecycle.tasks());
        sheet.set(Metric::Tasks, &["worker"], tasks as f64);
        sheet.set(
            Metric::StorageErrors,
            &["worker"],
            storage.failures() as f64,
        );
        for (outcome, count) in reads.counts() {
            sheet.set(Metric::Reads, &[outcome], count as f64);
        }
        let (code, code_bytes) = artifacts.held();
        let (pipelines, pipeline_bytes) = pipelines.held();
        let (sources, source_bytes) = reads.held();
        for (cache, entries, bytes) in [
            ("code", code as f64, code_bytes as f64),
            ("pipelines", pipelines as f64, pipeline_bytes as f64),
            ("sources", sources as f64, source_bytes as f64),
        ] {
            sheet.set(Metric::CacheEntries, &[cache], entries);
            sheet.set(Metric::CacheBytes, &[cache], bytes);
        }
    });
}

/// Drops what caches need not hold any more, until the process stops.
async fn sweep_caches(
    essential: Essential,
    pipelines: Arc<Pipelines>,
    artifacts: Arc<Artifacts>,
    reads: Arc<StoredReads>,
    mut stopping: Stopping,
) {
    loop {
        essential.turn();
        pipelines.sweep(IDLE);
        artifacts.sweep(IDLE);
        reads.sweep();
        tokio::select! {
            () = stopping.wait() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}

/// Starts canaries that wait for their entities and ends those whose time has come, or that have nothing left to run.
async fn tend_canaries(
    storage: Arc<dyn Storage>,
    essential: Essential,
    pipelines: Arc<Pipelines>,
    wakes: Wakes,
    mut stopping: Stopping,
) {
    loop {
        match essential
            .waiting(start_canaries(&*storage, &pipelines))
            .await
        {
            Ok(0) => {}
            Ok(started) => info!(started, "canaries of activations"),
            Err(error) => warn!(error = chain(&error), "could not start canaries"),
        }
        match essential.waiting(storage.end_canaries()).await {
            Ok(0) => {}
            Ok(ended) => {
                info!(ended, "canaries ended without their last entities");
                wakes.outgoing.notify_one();
            }
            Err(error) => warn!(%error, "could not end canaries"),
        }
        tokio::select! {
            () = stopping.wait() => return,
            () = tokio::time::sleep(CANARIES) => {}
        }
    }
}
