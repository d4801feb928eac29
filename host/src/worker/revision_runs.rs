//! Dry runs and previews of a revision: what the rows in `runs` ask for, and what is answered (DESIGN §5).
//!
//! Both write nothing. A dry run is one entity and has the threads kept for requests; a preview is many and runs in lane
//! *bulk*, one at a time in a process, looked at between pages so that a cancelled one ends.

use std::time::Duration;

use greenroom_model::{Entity, EntityRef, ProcessorName};
use greenroom_processing::{Instead, Ports, Preview, dry_run};
use greenroom_storage::{Run, RunState};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::claims::chain;
use super::runs::RunLoop;

/// Longest time of a dry run, reads included.
const DRY_RUN_PATIENCE: Duration = Duration::from_secs(60);
/// Longest time of a preview; a row is kept for a day.
const PREVIEW_PATIENCE: Duration = Duration::from_secs(3_600);
/// Largest result that is kept, in bytes.
const MAX_RESULT_BYTES: usize = 16 * 1024 * 1024;

/// Previews at once in this process: each keeps a guest thread busy for as long as it runs.
static PREVIEWS: Semaphore = Semaphore::const_new(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DryRunRequest {
    processor: ProcessorName,
    revision: Option<u32>,
    entity: Option<Value>,
    entity_ref: Option<EntityRef>,
    config: Option<Value>,
}

#[derive(Deserialize)]
struct PreviewRequest {
    processor: ProcessorName,
    revision: u32,
    /// All, if none is said.
    entities: Option<u64>,
}

/// Why there is no result, for the one who asked.
pub(super) fn refused(name: &str, message: impl Into<String>) -> Value {
    json!({"refused": {"name": name, "message": message.into()}})
}

/// The result, unless it is too large to be kept.
pub(super) fn bounded(result: Value) -> Value {
    let bytes = result.to_string().len();
    if bytes <= MAX_RESULT_BYTES {
        return result;
    }
    refused(
        "InputError",
        format!(
            "the result has {bytes} bytes; at most {MAX_RESULT_BYTES} are kept, ask for less at a time"
        ),
    )
}

impl RunLoop {
    pub(super) fn ports(&self) -> Ports<'_> {
        Ports {
            orchestrate: &*self.orchestrate,
            reads: &*self.reads,
            clock: &*self.clock,
        }
    }

    /// Processes one entity with a revision in place of the current one.
    pub(super) async fn dry_run_revision(&self, run: &Run) -> Result<Value, String> {
        let request: DryRunRequest =
            serde_json::from_str(&run.request).map_err(|error| error.to_string())?;
        let entity = match (request.entity, request.entity_ref) {
            (Some(entity), _) => match Entity::from_value(entity) {
                Ok(entity) => entity.to_json(),
                Err(error) => return Ok(refused(error.name(), error.to_string())),
            },
            (None, Some(entity_ref)) => {
                let stored = self.storage.find_unprocessed(run.tenant, &entity_ref).await;
                match stored.map_err(|error| chain(&error))? {
                    Some(stored) => stored.unprocessed,
                    None => {
                        let gone = format!("Entity {entity_ref} not found");
                        return Ok(refused("NotFoundError", gone));
                    }
                }
            }
            (None, None) => return Err("a dry run names no entity".to_owned()),
        };
        let instead = Instead::Revision {
            number: request.revision,
            config: request.config,
        };
        let name = request.processor;
        let pipeline = self.pipelines.with(run.tenant, &name, instead).await;
        let Some(pipeline) = pipeline.map_err(|error| chain(&error))? else {
            return Ok(gone());
        };
        let running = dry_run(&entity, &pipeline, &name, self.ports());
        match tokio::time::timeout(DRY_RUN_PATIENCE, running).await {
            Ok(Ok(report)) => Ok(bounded(json!(report))),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Ok(refused(
                "InputError",
                format!(
                    "the run took more than {} s: try an entity with fewer targets",
                    DRY_RUN_PATIENCE.as_secs()
                ),
            )),
        }
    }

    /// Compares a revision with the current one over live entities.
    pub(super) async fn preview_revision(&self, run: &Run) -> Result<Value, String> {
        let request: PreviewRequest =
            serde_json::from_str(&run.request).map_err(|error| error.to_string())?;
        let _one = PREVIEWS
            .acquire()
            .await
            .map_err(|error| error.to_string())?;
        let (tenant, name) = (run.tenant, request.processor);
        let processor = self.storage.find_processor(tenant, &name).await;
        let Some(processor) = processor.map_err(|error| chain(&error))? else {
            return Ok(gone());
        };
        // A processor that is off or has no revision is compared with nothing, which is what runs now.
        let against = processor.current.filter(|_| processor.settings.enabled);
        let current = match against {
            None => Instead::Nothing,
            number => Instead::Revision {
                number,
                config: None,
            },
        };
        let previewed = Instead::Revision {
            number: Some(request.revision),
            config: None,
        };
        let current = self.pipelines.with(tenant, &name, current).await;
        let previewed = self.pipelines.with(tenant, &name, previewed).await;
        let pipelines = current
            .and_then(|current| Ok((current, previewed?)))
            .map_err(|error| chain(&error))?;
        let (Some(current), Some(previewed)) = pipelines else {
            return Ok(gone());
        };
        let mut preview = Preview::new(name, current, previewed, request.entities);
        let until = tokio::time::Instant::now() + PREVIEW_PATIENCE;
        while self.is_wanted(run).await {
            let step = preview.step(&*self.storage, self.ports());
            match tokio::time::timeout_at(until, step).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    let mut result = json!(preview.into_report());
                    result["revision"] = json!(request.revision);
                    result["against"] = json!(against);
                    return Ok(bounded(result));
                }
                Ok(Err(error)) => return Err(chain(&error)),
                Err(_) => {
                    let limit = PREVIEW_PATIENCE.as_secs() / 60;
                    let late = format!(
                        "the preview took more than {limit} minutes: name a number of entities"
                    );
                    return Ok(refused("InputError", late));
                }
            }
        }
        Ok(refused("ConflictError", "the preview was cancelled"))
    }

    /// Whether somebody still wants the run. Storage that does not answer is no reason to stop.
    pub(super) async fn is_wanted(&self, run: &Run) -> bool {
        match self.storage.find_run(run.tenant, &run.id).await {
            Ok(found) => found.is_some_and(|run| run.state == RunState::Running),
            Err(_) => true,
        }
    }
}

fn gone() -> Value {
    refused(
        "ConflictError",
        "the processor or the revision is not there any more, or not ready",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h16_a_result_that_is_too_large_to_keep_is_refused_with_the_figures() {
        let fits = json!({"a": "x".repeat(1_000)});
        assert_eq!(bounded(fits.clone()), fits);
        let large = bounded(json!({"a": "x".repeat(MAX_RESULT_BYTES)}));
        let said = large["refused"]["message"].as_str().unwrap();
        assert!(said.contains("16777216 are kept"), "{said}");
    }
}
