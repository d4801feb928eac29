//! Looking at reads again, each at its own time, once for all entities that used it (DESIGN §2). Changed bytes queue those
//! users, which storage does in the same transaction.

use std::sync::Arc;
use std::time::Duration;

use greenroom_model::Clock;
use greenroom_processing::jittered_interval_ms;
use greenroom_storage::{DueRead, Storage};
use tracing::warn;

use super::StoredReads;
use super::read_source::Looked;
use crate::lifecycle::{Essential, Stopping};

/// Reads taken at once.
const BATCH: u32 = 64;
/// Pause when nothing was due.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at due reads until the process stops.
pub(crate) async fn revalidate(
    storage: Arc<dyn Storage>,
    essential: Essential,
    reads: Arc<StoredReads>,
    clock: Arc<dyn Clock>,
    mut stopping: Stopping,
) {
    while !stopping.is_stopping() {
        // Reads have limits of their own.
        let looked = essential
            .waiting(look_at_due(&*storage, &reads, &*clock))
            .await;
        if looked == 0 {
            tokio::select! {
                () = stopping.wait() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

/// Looks at reads that are due, at most [`BATCH`] of them; how many.
pub(super) async fn look_at_due(
    storage: &dyn Storage,
    reads: &StoredReads,
    clock: &dyn Clock,
) -> usize {
    let due = match storage.claim_due_reads(BATCH).await {
        Ok(due) => due,
        Err(error) => {
            warn!(%error, "could not claim due reads");
            Vec::new()
        }
    };
    let count = due.len();
    let looks = due.into_iter().map(|due| look(storage, reads, clock, due));
    futures_util::future::join_all(looks).await;
    count
}

async fn look(storage: &dyn Storage, reads: &StoredReads, clock: &dyn Clock, due: DueRead) {
    let DueRead { tenant, read } = due;
    let now = clock.now();
    let next_due = now.plus_ms(jittered_interval_ms(&read.key.want, now));
    let written = match reads.look_again(tenant, &read).await {
        Some(Looked::Read(fresh, _)) if fresh.digest != read.digest => {
            storage.put_read(tenant, *fresh).await
        }
        Some(Looked::Unavailable { retry_at, .. }) => {
            storage.reschedule_read(tenant, &read.key, retry_at).await
        }
        Some(Looked::Read(..) | Looked::Unchanged) | None => {
            storage.reschedule_read(tenant, &read.key, next_due).await
        }
    };
    if let Err(error) = written {
        warn!(%error, "could not record a read; it is looked at again in a minute");
    }
}
