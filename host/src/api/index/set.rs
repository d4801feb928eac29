//! Indexes by tenant: built on demand by one flight, bounded in bytes, evicted least recently used. Small ones have a room of
//! their own, so that a large tenant takes nobody's index but that of another large one (q06).
//!
//! The build is a task of its own, so that a client that leaves does not end it for the others who wait. Whoever waits
//! does so for 5 s and is then told to come back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use greenroom_model::{EntityUid, TenantId};
use greenroom_query::{Index, IndexEntry};
use greenroom_storage::{FinalEntity, Storage, StorageError};
use tokio::sync::{Notify, Semaphore, watch};
use tracing::warn;

use super::follow::{self, CaughtUp};
use crate::api::error::ApiError;
use crate::lifecycle::Lifecycle;
use crate::metrics::{Metric, Sheet};

/// How long a request waits for a build.
const BUILD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a request that removed something waits until lists show it.
const READ_YOUR_WRITES: Duration = Duration::from_secs(1);
/// Rows read by one statement of a build.
const SCAN_ROWS: u32 = 500;
/// Builds at a time.
const BUILDS: usize = 2;
/// Bytes that all large indexes may hold together,
const MAX_BYTES: usize = 512 * 1024 * 1024;
/// and all small ones,
const MAX_SMALL_BYTES: usize = 64 * 1024 * 1024;
/// and what is a small one.
const SMALL_BYTES: usize = 8 * 1024 * 1024;

/// The index of one tenant, and how far it has come.
pub(crate) struct TenantIndex {
    index: RwLock<Index>,
    seq: watch::Sender<u64>,
    used: AtomicU64,
    bytes: AtomicUsize,
}

impl TenantIndex {
    /// Asks a question on a thread that may take its time.
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Index) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let this = Arc::clone(self);
        let answer = move || question(&this.index.read().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(answer).await.map_err(|error| {
            ApiError::internal(format!("a question to the index did not end: {error}"))
        })
    }

    /// Where the index stands: epoch and last change.
    pub(super) fn position(&self) -> (String, u64) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        (index.epoch().to_owned(), index.seq())
    }

    /// Changes the index; afterwards whoever waits for its new seq is told.
    pub(super) async fn change(self: &Arc<Self>, change: impl FnOnce(&mut Index) + Send + 'static) {
        let this = Arc::clone(self);
        let apply = move || {
            let mut index = this.index.write().unwrap_or_else(PoisonError::into_inner);
            change(&mut index);
            let seq = index.seq();
            drop(index);
            this.seq.send_replace(seq);
        };
        if let Err(error) = tokio::task::spawn_blocking(apply).await {
            warn!(%error, "a change of the index did not end");
        }
    }
}

#[derive(Clone)]
enum Phase {
    Building,
    Ready(Arc<TenantIndex>),
    Failed,
}

/// All indexes of the process.
pub(crate) struct IndexSet {
    pub(super) storage: Arc<dyn Storage>,
    lifecycle: Arc<Lifecycle>,
    sheet: Arc<Sheet>,
    phases: Mutex<HashMap<TenantId, watch::Receiver<Phase>>>,
    builds: Semaphore,
    uses: AtomicU64,
    /// Told when this process has committed something that an index must show soon.
    pub(super) kicked: Notify,
}

impl IndexSet {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        lifecycle: Arc<Lifecycle>,
        sheet: Arc<Sheet>,
    ) -> Arc<Self> {
        Arc::new(Self {
            storage,
            lifecycle,
            sheet,
            phases: Mutex::default(),
            builds: Semaphore::new(BUILDS),
            uses: AtomicU64::new(0),
            kicked: Notify::new(),
        })
    }

    /// The index of a tenant, built now if it is not there.
    pub(crate) async fn get(
        self: &Arc<Self>,
        tenant: TenantId,
    ) -> Result<Arc<TenantIndex>, ApiError> {
        let mut phase = self.phase(tenant);
        let built = phase.wait_for(|phase| !matches!(phase, Phase::Building));
        match tokio::time::timeout(BUILD_PATIENCE, built).await {
            Ok(Ok(phase)) => match &*phase {
                Phase::Ready(index) => {
                    index
                        .used
                        .store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
                    Ok(Arc::clone(index))
                }
                Phase::Building | Phase::Failed => Err(ApiError::unavailable(
                    "the catalog's index could not be built; try again",
                )),
            },
            Ok(Err(_)) => Err(ApiError::unavailable(
                "the catalog's index could not be built; try again",
            )),
            Err(_) => Err(ApiError::unavailable(
                "the catalog's index is being built; try again",
            )),
        }
    }

    /// Waits until the index of a tenant, if it is active, shows a change.
    pub(crate) async fn wait_for(&self, tenant: TenantId, seq: u64) {
        if let Some((_, index)) = self.ready().into_iter().find(|(of, _)| *of == tenant) {
            let mut shown = index.seq.subscribe();
            self.kicked.notify_one();
            // Too late is not an error: the change is committed and the list follows.
            let _ =
                tokio::time::timeout(READ_YOUR_WRITES, shown.wait_for(|shown| *shown >= seq)).await;
        }
    }

    /// Drops the index of a tenant.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.phases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&tenant);
    }

    /// The indexes that are built.
    pub(super) fn ready(&self) -> Vec<(TenantId, Arc<TenantIndex>)> {
        let phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = |phase: &watch::Receiver<Phase>| match &*phase.borrow() {
            Phase::Ready(index) => Some(Arc::clone(index)),
            Phase::Building | Phase::Failed => None,
        };
        phases
            .iter()
            .filter_map(|(tenant, phase)| Some((*tenant, ready(phase)?)))
            .collect()
    }

    /// Measures the indexes and drops the least recently used until the rest fit; the last large one stays.
    pub(super) async fn fit(&self) {
        let mut indexes = self.ready();
        let mut entities = 0;
        for (_, index) in &indexes {
            if let Ok((bytes, count)) = index.ask(|index| (index.bytes(), index.len())).await {
                index.bytes.store(bytes, Ordering::Relaxed);
                entities += count;
            }
        }
        indexes.sort_by_key(|(_, index)| index.used.load(Ordering::Relaxed));
        let sizes: Vec<(TenantId, usize)> = indexes
            .iter()
            .map(|(tenant, index)| (*tenant, index.bytes.load(Ordering::Relaxed)))
            .collect();
        let (dropped, bytes) = beyond(&sizes);
        for tenant in dropped {
            self.forget(tenant);
        }
        self.sheet.set(Metric::Indexes, &[], indexes.len() as f64);
        self.sheet.set(Metric::IndexBytes, &[], bytes as f64);
        self.sheet.set(Metric::IndexEntities, &[], entities as f64);
    }

    fn phase(self: &Arc<Self>, tenant: TenantId) -> watch::Receiver<Phase> {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(phase) = phases.get(&tenant)
            && is_alive(phase)
        {
            return phase.clone();
        }
        let (sender, receiver) = watch::channel(Phase::Building);
        phases.insert(tenant, receiver.clone());
        drop(phases);
        let set = Arc::clone(self);
        self.lifecycle.spawn(async move {
            let phase = match set.build(tenant).await {
                Ok(index) => {
                    set.sheet.add(Metric::IndexBuilds, &["built"], 1.0);
                    Phase::Ready(index)
                }
                Err(error) => {
                    set.sheet.add(Metric::IndexBuilds, &["failed"], 1.0);
                    warn!(%error, tenant.id = tenant.0, "an index could not be built");
                    Phase::Failed
                }
            };
            sender.send_replace(phase);
        });
        receiver
    }

    /// Position first, then the rows in short statements, then the changes since (design note I4).
    async fn build(&self, tenant: TenantId) -> Result<Arc<TenantIndex>, StorageError> {
        let _turn = self.builds.acquire().await;
        loop {
            let start = self.storage.log_position(tenant).await?;
            let mut index = Index::new();
            index.set_epoch(start.epoch);
            index.set_seq(start.seq);
            let mut after: Option<EntityUid> = None;
            loop {
                let rows = self
                    .storage
                    .scan_entities(tenant, after.as_ref(), SCAN_ROWS)
                    .await?;
                let Some(last) = rows.last() else {
                    break;
                };
                after = Some(last.uid.clone());
                index = fill(index, rows).await?;
            }
            let index = Arc::new(TenantIndex {
                seq: watch::Sender::new(index.seq()),
                index: RwLock::new(index),
                used: AtomicU64::new(self.uses.fetch_add(1, Ordering::Relaxed)),
                bytes: AtomicUsize::new(0),
            });
            if matches!(
                follow::catch_up(&*self.storage, tenant, &index).await?,
                CaughtUp::Yes
            ) {
                return Ok(index);
            }
        }
    }
}

/// What has to go of indexes of these sizes, which are by last use, and the bytes that stay.
fn beyond(sizes: &[(TenantId, usize)]) -> (Vec<TenantId>, usize) {
    let (small, large): (Vec<_>, Vec<_>) =
        sizes.iter().partition(|(_, bytes)| *bytes <= SMALL_BYTES);
    let mut dropped = Vec::new();
    let mut stay = 0;
    for (indexes, most) in [(small, MAX_SMALL_BYTES), (large, MAX_BYTES)] {
        let mut bytes: usize = indexes.iter().map(|(_, bytes)| bytes).sum();
        for (tenant, of_one) in indexes.iter().take(indexes.len().saturating_sub(1)) {
            if bytes <= most {
                break;
            }
            dropped.push(*tenant);
            bytes -= of_one;
        }
        stay += bytes;
    }
    (dropped, stay)
}

/// Whether the index is there or still to come: a builder that is gone before it answered never will.
fn is_alive(phase: &watch::Receiver<Phase>) -> bool {
    match &*phase.borrow() {
        Phase::Ready(_) => true,
        Phase::Building => phase.has_changed().is_ok(),
        Phase::Failed => false,
    }
}

async fn fill(mut index: Index, rows: Vec<FinalEntity>) -> Result<Index, StorageError> {
    let fill = move || {
        for row in rows {
            put(&mut index, row);
        }
        index
    };
    tokio::task::spawn_blocking(fill)
        .await
        .map_err(|error| StorageError::Failed {
            operation: "build the index",
            source: Box::new(error),
        })
}

/// Puts a row into an index. One that cannot be indexed is left out: it was checked when it was stitched.
pub(super) fn put(index: &mut Index, row: FinalEntity) {
    let entity_ref = row.entity_ref.clone();
    let body: serde_json::Map<String, serde_json::Value> = match serde_json::from_str(&row.body) {
        Ok(body) => body,
        Err(error) => {
            warn!(%error, entity.r#ref = %entity_ref, "a stored body does not parse");
            index.remove(&entity_ref);
            return;
        }
    };
    let result = match IndexEntry::new(row.entity_ref, row.uid, &body) {
        Ok(entry) => index.upsert(entry).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = result {
        warn!(error, entity.r#ref = %entity_ref, "an entity cannot be indexed");
        index.remove(&entity_ref);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = MAX_BYTES / 2 + 1;

    fn dropped(sizes: &[usize]) -> Vec<i64> {
        let sizes: Vec<(TenantId, usize)> =
            (0_i64..).map(TenantId).zip(sizes.iter().copied()).collect();
        beyond(&sizes)
            .0
            .into_iter()
            .map(|tenant| tenant.0)
            .collect()
    }

    #[test]
    fn q06_a_large_index_takes_no_small_ones_room() {
        assert!(dropped(&[1, SMALL_BYTES, 2 * MAX_BYTES]).is_empty());
        assert!(
            dropped(&[2 * MAX_BYTES, 1]).is_empty(),
            "the last large one stays"
        );
        assert_eq!(dropped(&[LARGE, 1, LARGE, LARGE]), [0, 2]);
        assert!(dropped(&[MAX_BYTES / 2, MAX_BYTES / 2]).is_empty());
    }

    #[test]
    fn q06_many_small_indexes_are_bounded_by_last_use() {
        let fit = MAX_SMALL_BYTES / SMALL_BYTES;
        assert!(dropped(&vec![SMALL_BYTES; fit]).is_empty());
        assert_eq!(dropped(&vec![SMALL_BYTES; fit + 2]), [0, 1]);
        let (_, stay) = beyond(&[(TenantId(0), 2 * MAX_BYTES), (TenantId(1), 5)]);
        assert_eq!(stay, 2 * MAX_BYTES + 5);
    }
}
