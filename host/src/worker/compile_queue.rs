//! The queue of uploads: takes one inspection after the other, as storage says whose turn it is (a09).
//!
//! A loop of its own, so that uploads that take a minute hold none of the places of runs that take milliseconds. What fails
//! through us is given back and tried again a few times; what a worker held when it died is free when its lease is.

use std::sync::Arc;

use greenroom_model::{Clock, ProcessorName};
use greenroom_storage::{RevisionState, Run, Storage, WorkerId};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::warn;

use super::inspection::inspect;
use super::loops::wait_for_work;
use super::{Artifacts, Describe};
use crate::config::Quotas;
use crate::lifecycle::{Essential, Stopping};
use crate::supervisor::Wakes;

/// Wait before an inspection that failed through us is tried again, in milliseconds.
const RETRY_MS: i64 = 2_000;

/// What inspections need.
pub(crate) struct CompileQueue {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) artifacts: Arc<Artifacts>,
    pub(crate) describe: Arc<dyn Describe>,
    pub(crate) quotas: Quotas,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) worker: WorkerId,
    pub(crate) wakes: Wakes,
}

#[derive(Deserialize)]
struct InspectRequest {
    processor: String,
    revision: u32,
}

impl CompileQueue {
    /// Takes inspections until the process stops; the one in flight is then given back.
    pub(crate) async fn run(self, essential: Essential, mut stopping: Stopping) {
        let mut seen = 0;
        while !stopping.is_stopping() {
            let woken = self.wakes.incoming.notified();
            let claimed = self.storage.claim_inspection(&self.worker);
            let run = essential.waiting(claimed).await.unwrap_or_else(|error| {
                warn!(%error, "could not claim an inspection");
                None
            });
            match run {
                Some(run) => {
                    tokio::select! {
                        // The compile child has limits of its own.
                        () = essential.waiting(self.one(&run)) => {}
                        () = stopping.wait() => self.give_back(&run, 0).await,
                    }
                }
                None => {
                    let quiet = &mut stopping.clone();
                    tokio::select! {
                        () = stopping.wait() => return,
                        _ = wait_for_work(woken, &*self.storage, &mut seen, quiet, || essential.turn()) => {}
                    }
                }
            }
        }
    }

    async fn one(&self, run: &Run) {
        match self.inspect(run).await {
            Ok(result) => self.finish(run, &result).await,
            Err(reason) => {
                warn!(
                    run.id = run.id.0,
                    tenant.id = run.tenant.0,
                    reason,
                    "an inspection failed through us"
                );
                self.give_back(run, RETRY_MS).await;
            }
        }
    }

    /// Queues it again, or ends it if that was its last attempt.
    async fn give_back(&self, run: &Run, wait_ms: i64) {
        let not_before = self.clock.now().plus_ms(wait_ms);
        let again = self
            .storage
            .retry_run(run.tenant, &run.id, &self.worker, not_before)
            .await;
        match again {
            Ok(true) => {}
            Ok(false) => {
                let why =
                    "the upload could not be inspected, through a failure of ours: upload it again";
                self.finish(run, &json!({"unavailable": why})).await;
            }
            Err(error) => warn!(%error, run.id = run.id.0, "could not give back an inspection"),
        }
    }

    async fn finish(&self, run: &Run, result: &Value) {
        let finished = self
            .storage
            .finish_run(run.tenant, &run.id, &self.worker, &result.to_string())
            .await;
        if let Err(error) = finished {
            warn!(%error, run.id = run.id.0, "could not finish an inspection");
        }
        self.wakes.outgoing.notify_one();
    }

    async fn inspect(&self, run: &Run) -> Result<Value, String> {
        let request: InspectRequest =
            serde_json::from_str(&run.request).map_err(|error| error.to_string())?;
        let processor =
            ProcessorName::parse(&request.processor).map_err(|error| error.to_string())?;
        let state = inspect(
            &self.artifacts,
            &*self.describe,
            &*self.storage,
            run.tenant,
            &processor,
            request.revision,
            &self.quotas,
        )
        .await?;
        Ok(match state {
            Some(RevisionState::Ready { .. }) => json!({"state": "ready"}),
            Some(RevisionState::Rejected { reason }) => {
                json!({"state": "rejected", "reason": reason})
            }
            Some(RevisionState::Damaged { reason, .. }) => {
                json!({"state": "damaged", "reason": reason})
            }
            Some(RevisionState::Inspecting) => json!({"state": "inspecting"}),
            None => json!({"state": "rejected", "reason": "the revision was deleted meanwhile"}),
        })
    }
}
