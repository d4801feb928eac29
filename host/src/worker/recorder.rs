//! Records finished runs in batches: what is there when a transaction ends goes into the next one.

use std::sync::Arc;

use greenroom_storage::{Recorded, RunRecord, Storage};
use tokio::sync::{Notify, mpsc};
use tracing::{error, info};

use crate::supervisor::Wakes;

/// Most runs recorded together.
const BATCH: usize = 128;

/// Records what comes until every sender is gone, so that a stopping worker loses nothing that is finished.
pub(crate) async fn record(
    storage: Arc<dyn Storage>,
    mut finished: mpsc::Receiver<RunRecord>,
    recorded: Arc<Notify>,
    wakes: Wakes,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while finished.recv_many(&mut batch, BATCH).await > 0 {
        let claims: Vec<_> = batch.iter().map(|record| record.claim.clone()).collect();
        match storage.record(std::mem::take(&mut batch)).await {
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
                if let Err(error) = storage.release(&claims).await {
                    error!(%error, "could not give back claims; the lease will");
                }
            }
        }
        recorded.notify_waiters();
        wakes.outgoing.notify_one();
    }
}
