//! One worker: its lease, its loops, and how it leaves.

use std::sync::Arc;
use std::time::Duration;

use greenroom_model::Clock;
use greenroom_processing::{Orchestrate, Pipelines, start_canaries, stitch_batch};
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
use super::scheduler::{Task, schedule};
use super::{Artifacts, Describe, StoredReads};
use crate::config::Quotas;
use crate::lifecycle::{Lifecycle, Stopping};
use crate::supervisor::{Pulse, Wakes};

/// How often the lease is renewed; it is valid for 10 s (DESIGN §2).
const RENEW: Duration = Duration::from_secs(3);
/// How often orphan checks are looked at.
const ORPHANS: Duration = Duration::from_secs(1);
/// How often canaries are started and ended: an author waits for the verdict.
const CANARIES: Duration = Duration::from_millis(250);
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

        lifecycle.spawn(record(
            Arc::clone(storage),
            to_record,
            Arc::clone(&recorded),
            parts.wakes.clone(),
        ));
        lifecycle.spawn(stitch(
            Arc::clone(storage),
            Arc::clone(&recorded),
            parts.wakes.clone(),
            lifecycle.stopping(),
        ));
        lifecycle.spawn(revalidate(
            Arc::clone(storage),
            Arc::clone(&parts.reads),
            Arc::clone(&parts.clock),
            lifecycle.stopping(),
        ));
        lifecycle.spawn(check_orphans(
            Arc::clone(storage),
            parts.wakes.clone(),
            lifecycle.stopping(),
        ));
        lifecycle.spawn(tend_canaries(
            Arc::clone(storage),
            Arc::clone(&parts.pipelines),
            parts.wakes.clone(),
            lifecycle.stopping(),
        ));
        lifecycle.spawn(schedule(
            Arc::clone(storage),
            id.clone(),
            vec![Task::retention(storage), Task::mutations(storage)],
            lifecycle.stopping(),
        ));
        // In a loop of its own, because a run takes hours.
        let auditor = Auditor {
            storage: Arc::clone(storage),
            pipelines: Arc::clone(&parts.pipelines),
            clock: Arc::clone(&parts.clock),
            pulse: parts.pulse.clone(),
        };
        lifecycle.spawn(schedule(
            Arc::clone(storage),
            id.clone(),
            vec![Task::audit(auditor)],
            lifecycle.stopping(),
        ));
        let runs = RunLoop {
            storage: Arc::clone(storage),
            pipelines: Arc::clone(&parts.pipelines),
            orchestrate: Arc::clone(&parts.orchestrate),
            reads: Arc::clone(&parts.reads),
            clock: Arc::clone(&parts.clock),
            worker: id.clone(),
            wakes: parts.wakes.clone(),
        };
        lifecycle.spawn(runs.run(lifecycle.stopping()));
        let uploads = CompileQueue {
            storage: Arc::clone(storage),
            artifacts: Arc::clone(&parts.artifacts),
            describe: parts.describe,
            quotas: parts.quotas,
            clock: Arc::clone(&parts.clock),
            worker: id.clone(),
            wakes: parts.wakes.clone(),
        };
        lifecycle.spawn(uploads.run(lifecycle.stopping()));
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
        let (storage, stopping) = (parts.storage, lifecycle.stopping());
        lifecycle.spawn(async move {
            let renewing = renew(Arc::clone(&storage), id.clone());
            tokio::select! {
                () = renewing => {}
                () = claims.run(stopping) => {}
            }
            if let Err(error) = storage.expire_worker(&id).await {
                warn!(%error, "could not give back the lease; it runs out by itself");
            }
        });
    }
}

/// Renews the lease for as long as it is polled, and frees what dead workers held.
async fn renew(storage: Arc<dyn Storage>, worker: WorkerId) {
    loop {
        if let Err(error) = storage.renew_lease(&worker).await {
            warn!(%error, "could not renew the lease");
        }
        match storage.release_expired().await {
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
    recorded: Arc<Notify>,
    wakes: Wakes,
    mut stopping: Stopping,
) {
    let mut seen = 0;
    while !stopping.is_stopping() {
        let woken = recorded.notified();
        match stitch_batch(&*storage, STITCH_BATCH).await {
            Ok(0) => {}
            Ok(_) => {
                wakes.outgoing.notify_one();
                continue;
            }
            Err(error) => error!(%error, "could not stitch; tried again"),
        }
        if !wait_for_work(woken, &*storage, &mut seen, &mut stopping, || {}).await {
            return;
        }
    }
}

async fn check_orphans(storage: Arc<dyn Storage>, wakes: Wakes, mut stopping: Stopping) {
    loop {
        match storage.check_orphans(ORPHAN_BATCH).await {
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

/// Starts canaries that wait for their entities and ends those whose time has come.
async fn tend_canaries(
    storage: Arc<dyn Storage>,
    pipelines: Arc<Pipelines>,
    wakes: Wakes,
    mut stopping: Stopping,
) {
    loop {
        match start_canaries(&*storage, &pipelines).await {
            Ok(0) => {}
            Ok(started) => info!(started, "canaries of activations"),
            Err(error) => warn!(error = chain(&error), "could not start canaries"),
        }
        match storage.end_canaries().await {
            Ok(0) => {}
            Ok(ended) => {
                info!(ended, "canaries ended by their time");
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
