//! Keeps the indexes current: follows each tenant's change log and re-reads the current rows, never a stored body
//! (design note I4). Correct without a snapshot, because commits are ordered by the log's numbers.
//!
//! It is woken by the worker's pipe, by this process's own commits, and every 100 ms looks at the storage's data version,
//! so that a lost wake-up costs 100 ms.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{LogPosition, Storage, StorageError};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::set::{IndexSet, TenantIndex, put};
use crate::lifecycle::{Essential, Stopping};

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
pub(crate) async fn follow(
    set: Arc<IndexSet>,
    essential: Essential,
    incoming: Arc<Notify>,
    mut stopping: Stopping,
) {
    let mut seen = Seen::default();
    let mut measured = Instant::now();
    let mut failing = false;
    loop {
        // Registered before the look, so that a wake-up during it is not lost.
        let woken = incoming.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        match essential.waiting(look(&set, &mut seen)).await {
            Ok(()) if std::mem::take(&mut failing) => info!("the indexes follow again"),
            Ok(()) => {}
            // Said once: it is tried ten times a second.
            Err(_) if failing => {}
            Err(error) => {
                warn!(%error, "the indexes could not follow; they try again");
                failing = true;
            }
        }
        if measured.elapsed() >= MEASURE {
            set.fit().await;
            measured = Instant::now();
        }
        tokio::select! {
            () = stopping.grace_is_over() => return,
            () = &mut woken => {}
            () = set.kicked.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// What was there at the last look: without a commit since, the same indexes need no other.
#[derive(Default)]
struct Seen {
    version: Option<u64>,
    indexes: Vec<Weak<TenantIndex>>,
}

async fn look(set: &Arc<IndexSet>, seen: &mut Seen) -> Result<(), StorageError> {
    let indexes = set.ready();
    // Read before the logs are: a commit in between is seen next time.
    let version = Some(set.storage.data_version().await?);
    let known = |index: &Arc<TenantIndex>| {
        seen.indexes
            .iter()
            .any(|seen| seen.as_ptr() == Arc::as_ptr(index))
    };
    if seen.version == version && indexes.iter().all(|(_, index)| known(index)) {
        return Ok(());
    }
    let tenants: Vec<TenantId> = indexes.iter().map(|(tenant, _)| *tenant).collect();
    let positions = set.storage.log_positions(&tenants).await?;
    for ((tenant, index), position) in indexes.iter().zip(positions) {
        let current = match position {
            Some(position) => advance(set, *tenant, index, &position).await?,
            None => CaughtUp::Lost,
        };
        if matches!(current, CaughtUp::Lost) {
            set.forget(*tenant);
        }
    }
    seen.version = version;
    seen.indexes = indexes
        .iter()
        .map(|(_, index)| Arc::downgrade(index))
        .collect();
    Ok(())
}

async fn advance(
    set: &IndexSet,
    tenant: TenantId,
    index: &Arc<TenantIndex>,
    position: &LogPosition,
) -> Result<CaughtUp, StorageError> {
    let (epoch, seq) = index.position();
    if epoch != position.epoch || position.seq < seq {
        Ok(CaughtUp::Lost)
    } else if position.seq > seq {
        catch_up(&*set.storage, tenant, index).await
    } else {
        Ok(CaughtUp::Yes)
    }
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
        let rows = storage
            .find_entities_by_refs(tenant, &texts, usize::MAX)
            .await?;
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
