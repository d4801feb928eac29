//! Validation of a batch: what its row in `runs` asks for, and what is answered (DESIGN §5).
//!
//! It has the threads kept for requests, and a bound in time. It is looked at between its calls, so that one whose client has
//! left ends (h16).

use std::time::Duration;

use greenroom_model::GivenFiles;
use greenroom_processing::validate_documents;
use greenroom_storage::Run;
use serde_json::{Value, json};

use super::claims::chain;
use super::revision_runs::{bounded, refused};
use super::runs::RunLoop;

/// Longest time of a batch, reads included.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked whether somebody still wants it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl RunLoop {
    /// Validates a batch of catalog files.
    pub(super) async fn validate_documents(&self, run: &Run) -> Result<Value, String> {
        let given: GivenFiles =
            serde_json::from_str(&run.request).map_err(|error| error.to_string())?;
        let pipeline = self.pipelines.of(run.tenant).await;
        let pipeline = pipeline.map_err(|error| chain(&error))?;
        let catalog = Some(&*self.storage);
        let running = Box::pin(validate_documents(&given, &pipeline, catalog, self.ports()));
        tokio::select! {
            validated = tokio::time::timeout(PATIENCE, running) => match validated {
                Ok(Ok(report)) => Ok(bounded(json!(report))),
                Ok(Err(error)) => Err(chain(&error)),
                Err(_) => {
                    let limit = PATIENCE.as_secs();
                    let late = format!("the batch took more than {limit} s: validate fewer files at a time");
                    Ok(refused("InputError", late))
                }
            },
            () = self.unwanted(run) => Ok(refused("ConflictError", "the validation was cancelled")),
        }
    }

    /// Resolves when nobody wants the run any more.
    async fn unwanted(&self, run: &Run) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if !self.is_wanted(run).await {
                return;
            }
        }
    }
}
