//! Records finished runs in batches: what is there when a transaction ends goes into the next one.
//!
//! What could not be recorded is given back, and while storage is away that is tried again: this worker goes on renewing its
//! lease, so nobody else would free it.

use std::sync::Arc;
use std::time::Duration;

use greenroom_storage::{Recorded, RunRecord, Storage};
use tokio::sync::{Notify, mpsc};
use tracing::{error, info, warn};

use crate::lifecycle::Essential;
use crate::supervisor::Wakes;

/// The pause before storage that did not answer is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// Most runs recorded together.
const BATCH: usize = 128;

/// Records what comes until every sender is gone, so that a stopping worker loses nothing that is finished.
pub(crate) async fn record(
    storage: Arc<dyn Storage>,
    essential: Essential,
    mut finished: mpsc::Receiver<RunRecord>,
    recorded: Arc<Notify>,
    wakes: Wakes,
) {
    let mut batch = Vec::with_capacity(BATCH);
    // While nothing is finished it waits for the runs, whose loops turn by themselves.
    while essential
        .waiting(finished.recv_many(&mut batch, BATCH))
        .await
        > 0
    {
        let claims: Vec<_> = batch.iter().map(|record| record.claim.clone()).collect();
        let written = storage.record(std::mem::take(&mut batch));
        match essential.waiting(written).await {
            Ok(results) => {
                let lost = results
                    .iter()
                    .filter(|result| **result == Recorded::LostClaim)
                    .count();
                if lost > 0 {
                    info!(lost, "results of lost claims were dropped");
                }
            }
            Err(error) => {
                error!(%error, runs = claims.len(), "could not record runs; they are given back");
                while let Err(error) = essential.waiting(storage.release(&claims)).await {
                    if !error.retryable() {
                        error!(%error, runs = claims.len(), "could not give back runs; they wait for this worker's end");
                        break;
                    }
                    warn!(%error, runs = claims.len(), "could not give back runs; it is tried again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        recorded.notify_waiters();
        wakes.outgoing.notify_one();
    }
}
