//! Keeps the indexes current: follows each tenant's change log and re-reads the current rows, never a stored body
//! (design note I4). Correct without a snapshot, because commits are ordered by the log's numbers.
//!
//! It is woken by the worker's pipe, by this process's own commits, and every 100 ms looks at the storage's data version,
//! so that a lost wake-up costs 100 ms.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{LogPosition, Storage, StorageError};
use tokio::sync::Notify;
use tracing::warn;

use super::set::{IndexSet, TenantIndex, put};
use crate::lifecycle::Stopping;

/// How often the data version is looked at.
const POLL: Duration = Duration::from_millis(100);
/// Changes taken at a time.
const CHANGES: u32 = 500;
/// How often the indexes are measured.
const MEASURE: Duration = Duration::from_secs(5);

/// Whether an index could follow.
pub(super) enum CaughtUp {
    /// It has every change that was there.
    Yes,
    /// The log begins after it, or is another: it must be built again.
    Lost,
}

/// Follows until the process stops.
pub(crate) async fn follow(set: Arc<IndexSet>, incoming: Arc<Notify>, mut stopping: Stopping) {
    let mut version = None;
    let mut measured = Instant::now();
    loop {
        // Registered before the look, so that a wake-up during it is not lost.
        let woken = incoming.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        match look(&set, &mut version).await {
            Ok(()) => {}
            Err(error) => warn!(%error, "the indexes could not follow; they try again"),
        }
        if measured.elapsed() >= MEASURE {
            set.fit().await;
            measured = Instant::now();
        }
        tokio::select! {
            () = stopping.wait() => return,
            () = &mut woken => {}
            () = set.kicked.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn look(set: &Arc<IndexSet>, version: &mut Option<u64>) -> Result<(), StorageError> {
    let indexes = set.ready();
    if indexes.is_empty() {
        return Ok(());
    }
    let now = set.storage.data_version().await?;
    let tenants: Vec<TenantId> = indexes.iter().map(|(tenant, _)| *tenant).collect();
    // Remembered before the logs are read: a commit in between is seen next time.
    if *version == Some(now) && indexes.len() == set.ready().len() {
        return Ok(());
    }
    let positions = set.storage.log_positions(&tenants).await?;
    for ((tenant, index), position) in indexes.iter().zip(positions) {
        match position {
            Some(position) => advance(set, *tenant, index, &position).await?,
            None => set.forget(*tenant),
        }
    }
    *version = Some(now);
    Ok(())
}

async fn advance(
    set: &IndexSet,
    tenant: TenantId,
    index: &Arc<TenantIndex>,
    position: &LogPosition,
) -> Result<(), StorageError> {
    let (epoch, seq) = index.position();
    if epoch != position.epoch || position.seq < seq {
        set.forget(tenant);
    } else if position.seq > seq
        && matches!(
            catch_up(&*set.storage, tenant, index).await?,
            CaughtUp::Lost
        )
    {
        set.forget(tenant);
    }
    Ok(())
}

/// Applies every change after where the index stands.
pub(super) async fn catch_up(
    storage: &dyn Storage,
    tenant: TenantId,
    index: &Arc<TenantIndex>,
) -> Result<CaughtUp, StorageError> {
    loop {
        let (epoch, seq) = index.position();
        let Some(changes) = storage.changes_after(tenant, seq, CHANGES).await? else {
            return Ok(CaughtUp::Lost);
        };
        let Some(last) = changes.last().map(|change| change.seq) else {
            let same = storage.log_position(tenant).await?.epoch == epoch;
            return Ok(if same { CaughtUp::Yes } else { CaughtUp::Lost });
        };
        let changed: HashSet<EntityRef> = changes
            .into_iter()
            .map(|change| change.entity_ref)
            .collect();
        let refs: Vec<EntityRef> = changed.into_iter().collect();
        let texts: Vec<String> = refs.iter().map(ToString::to_string).collect();
        let rows = storage.find_entities_by_refs(tenant, &texts).await?;
        index
            .change(move |index| {
                for (entity_ref, row) in refs.iter().zip(rows) {
                    match row {
                        Some(row) => put(index, row),
                        None => {
                            index.remove(entity_ref);
                        }
                    }
                }
                index.set_seq(last);
            })
            .await;
    }
}
