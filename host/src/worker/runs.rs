//! Runs on request: what the API wants done now and waits for (DESIGN §1). Picked up within milliseconds of the wake-up.

use std::sync::Arc;
use std::time::Duration;

use greenroom_model::{Clock, Diagnostic, Entity, LocationRef, Presence};
use greenroom_processing::{
    Analysis, DryRunError, Orchestrate, Pipelines, analyze_location, dry_run_location,
    validate_entity,
};
use greenroom_storage::{Run, RunKind, Storage, WorkerId};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tracing::warn;

use super::StoredReads;
use super::claims::chain;
use super::loops::wait_for_work;
use crate::lifecycle::{Essential, Stopping};
use crate::supervisor::Wakes;

/// Runs at once.
const AT_ONCE: usize = 8;
/// How long storage that does not answer is asked again to take a result; by then whoever waits for it has gone.
const FINISH_PAUSES_MS: [u64; 6] = [500, 500, 1_000, 2_000, 4_000, 8_000];

/// What runs need.
pub(crate) struct RunLoop {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) pipelines: Arc<Pipelines>,
    pub(crate) orchestrate: Arc<dyn Orchestrate>,
    pub(crate) reads: Arc<StoredReads>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) worker: WorkerId,
    pub(crate) wakes: Wakes,
}

#[derive(Deserialize)]
struct ValidateRequest {
    entity: Value,
    location: String,
}

#[derive(Deserialize)]
struct DryRunRequest {
    r#type: String,
    target: String,
    presence: Option<Presence>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnalyzeRequest {
    target: String,
    catalog_filename: Option<String>,
}

impl RunLoop {
    /// Takes runs until the process stops, then ends those in flight. Previews, and what takes too long, are given up, and
    /// their rows queued again.
    pub(crate) async fn run(self, essential: Essential, mut stopping: Stopping) {
        let this = Arc::new(self);
        let mut in_flight = JoinSet::new();
        let mut previews = JoinSet::new();
        let mut seen = 0;
        while !stopping.is_stopping() {
            let woken = this.wakes.incoming.notified();
            while in_flight.try_join_next().is_some() {}
            while previews.try_join_next().is_some() {}
            let free = u32::try_from(AT_ONCE - in_flight.len().min(AT_ONCE)).unwrap_or(0);
            let runs = match free {
                0 => Vec::new(),
                free => essential
                    .waiting(this.storage.claim_runs(&this.worker, free))
                    .await
                    .unwrap_or_else(|error| {
                        warn!(%error, "could not claim runs");
                        Vec::new()
                    }),
            };
            for run in runs {
                let this = Arc::clone(&this);
                // A preview may run for an hour and waits for the others: it takes no place of what is quick.
                let set = match run.kind {
                    RunKind::PreviewRevision => &mut previews,
                    _ => &mut in_flight,
                };
                set.spawn(async move { this.one(run).await });
            }
            let full = free == 0;
            let mut quiet = stopping.clone();
            tokio::select! {
                () = stopping.wait() => break,
                _ = in_flight.join_next(), if full => {}
                _ = wait_for_work(woken, &*this.storage, &mut seen, &mut quiet, || essential.turn()) => {}
            }
        }
        while in_flight.join_next().await.is_some() {}
    }

    async fn one(&self, run: Run) {
        let result = match run.kind {
            RunKind::ValidateEntity => self.validate(&run).await,
            RunKind::DryRunLocation => self.dry_run(&run).await,
            RunKind::AnalyzeLocation => self.analyze(&run).await,
            // Claimed by the compile queue alone.
            RunKind::InspectRevision => Err("an inspection among other runs".to_owned()),
            RunKind::DryRunRevision => self.dry_run_revision(&run).await,
            RunKind::PreviewRevision => self.preview_revision(&run).await,
            RunKind::ValidateDocuments => self.validate_documents(&run).await,
        };
        let result = result.unwrap_or_else(|reason| {
            warn!(
                run.id = run.id.0,
                tenant.id = run.tenant.0,
                reason,
                "a run on request failed through us"
            );
            json!({"unavailable": "the run could not be carried out: try again"})
        });
        let result = result.to_string();
        for pause in FINISH_PAUSES_MS {
            let finished = self
                .storage
                .finish_run(run.tenant, &run.id, &self.worker, &result);
            let Err(error) = finished.await else { break };
            warn!(%error, run.id = run.id.0, "could not finish a run");
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.wakes.outgoing.notify_one();
    }

    async fn validate(&self, run: &Run) -> Result<Value, String> {
        let request: ValidateRequest =
            serde_json::from_str(&run.request).map_err(|error| error.to_string())?;
        let entity = match Entity::from_value(request.entity) {
            Ok(entity) => entity,
            Err(error) => {
                return Ok(errors(&[Diagnostic::error(
                    error.name(),
                    error.to_string(),
                )]));
            }
        };
        let location = match LocationRef::parse(&request.location) {
            Ok(location) => location,
            Err(error) => {
                return Ok(errors(&[Diagnostic::error(
                    error.name(),
                    error.to_string(),
                )]));
            }
        };
        let pipeline = self
            .pipelines
            .of(run.tenant)
            .await
            .map_err(|error| chain(&error))?;
        let validated = validate_entity(
            entity,
            &location,
            &pipeline,
            &*self.orchestrate,
            &*self.reads,
            &*self.clock,
        )
        .await;
        match validated {
            Ok(_) => Ok(json!({"ok": true})),
            Err(error) => failed(error),
        }
    }

    async fn dry_run(&self, run: &Run) -> Result<Value, String> {
        let request: DryRunRequest =
            serde_json::from_str(&run.request).map_err(|error| error.to_string())?;
        let location = LocationRef::new(request.r#type, request.target);
        let pipeline = self
            .pipelines
            .of(run.tenant)
            .await
            .map_err(|error| chain(&error))?;
        let dry_run = dry_run_location(
            &location,
            request.presence,
            &pipeline,
            &*self.orchestrate,
            &*self.reads,
            &*self.clock,
        );
        match dry_run.await {
            Ok(found) => {
                let entities: Vec<Value> =
                    found.entities.into_iter().map(Entity::into_value).collect();
                Ok(json!({"entities": entities}))
            }
            Err(error) => failed(error),
        }
    }
}

impl RunLoop {
    async fn analyze(&self, run: &Run) -> Result<Value, String> {
        let request: AnalyzeRequest =
            serde_json::from_str(&run.request).map_err(|error| error.to_string())?;
        let pipeline = self
            .pipelines
            .of(run.tenant)
            .await
            .map_err(|error| chain(&error))?;
        let file = request.catalog_filename.as_deref();
        match analyze_location(&request.target, file, &pipeline, self.ports()).await {
            Ok(Analysis::Skeleton(entity)) => Ok(json!({
                "existingEntityFiles": [],
                "generateEntities": [{"entity": entity, "fields": []}],
            })),
            Ok(Analysis::Existing { location, entities }) => {
                let known = self.storage.find_location_by_target(run.tenant, &location);
                let known = known.await.map_err(|error| chain(&error))?.is_some();
                let at = json!({"type": location.r#type, "target": location.target});
                let files: Vec<Value> = entities
                    .into_iter()
                    .map(|entity| json!({"location": at, "isRegistered": known, "entity": entity}))
                    .collect();
                Ok(json!({"existingEntityFiles": files, "generateEntities": []}))
            }
            Err(error) => failed(error),
        }
    }
}

fn failed(error: DryRunError) -> Result<Value, String> {
    match error {
        DryRunError::Rejected(diagnostics) => Ok(errors(&diagnostics)),
        DryRunError::Unavailable(reason) => Ok(json!({"unavailable": reason})),
        DryRunError::Processing(error) => Err(chain(&error)),
    }
}

fn errors(diagnostics: &[Diagnostic]) -> Value {
    let errors: Vec<Value> = diagnostics
        .iter()
        .map(|one| {
            let mut error = json!({"name": one.name, "message": one.message});
            if let (Some(cause), Some(error)) = (&one.cause, error.as_object_mut()) {
                error.insert("cause".to_owned(), json!(cause));
            }
            error
        })
        .collect();
    json!({"errors": errors})
}
