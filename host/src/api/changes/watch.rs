//! Tells streams that there may be something in their tenant's log: one look for all of them, however many they are.
//!
//! Woken and paced like the follower of the indexes: by the worker's pipe, and every 100 ms by a look at the storage's data
//! version, which costs nothing where nothing was committed. Without streams there is no look at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use greenroom_model::TenantId;
use greenroom_storage::{LogPosition, Storage, StorageError};
use tokio::sync::{Notify, watch as channel};
use tracing::warn;

use crate::lifecycle::{Essential, Stopping};

/// How often the data version is looked at.
const POLL: Duration = Duration::from_millis(100);

/// How often this turns where nobody follows.
const IDLE: Duration = Duration::from_secs(10);

/// Where a log ended when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogEnd {
    /// Nobody has looked yet.
    Unseen,
    /// Here.
    At(LogPosition),
    /// The tenant is gone, and its log with it.
    Gone,
}

/// The logs that streams follow.
pub(crate) struct LogWatch {
    storage: Arc<dyn Storage>,
    followed: Mutex<HashMap<TenantId, channel::Sender<LogEnd>>>,
    subscribed: Notify,
}

impl LogWatch {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Arc<Self> {
        Arc::new(Self {
            storage,
            followed: Mutex::default(),
            subscribed: Notify::new(),
        })
    }

    /// Follows a tenant's log for as long as the value lives.
    pub(super) fn subscribe(&self, tenant: TenantId) -> channel::Receiver<LogEnd> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = followed
            .entry(tenant)
            .or_insert_with(|| channel::Sender::new(LogEnd::Unseen));
        let receiver = sender.subscribe();
        drop(followed);
        self.subscribed.notify_one();
        receiver
    }

    /// The tenants that somebody follows; the others are forgotten.
    fn tenants(&self) -> Vec<TenantId> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|_, sender| sender.receiver_count() > 0);
        let mut tenants: Vec<TenantId> = followed.keys().copied().collect();
        tenants.sort_unstable();
        tenants
    }

    async fn look(&self, seen: &mut Seen) -> Result<(), StorageError> {
        let tenants = self.tenants();
        if tenants.is_empty() {
            *seen = Seen::default();
            return Ok(());
        }
        // Read before the logs are: a commit in between is seen next time.
        let version = Some(self.storage.data_version().await?);
        if seen.version == version && seen.tenants == tenants {
            return Ok(());
        }
        let positions = self.storage.log_positions(&tenants).await?;
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        for (tenant, position) in tenants.iter().zip(positions) {
            let end = position.map_or(LogEnd::Gone, LogEnd::At);
            if let Some(sender) = followed.get(tenant) {
                sender.send_if_modified(|known| {
                    let moved = *known != end;
                    *known = end;
                    moved
                });
            }
        }
        drop(followed);
        *seen = Seen { version, tenants };
        Ok(())
    }
}

/// What was there at the last look: without a commit since, the same logs need no other.
#[derive(Default)]
struct Seen {
    version: Option<u64>,
    tenants: Vec<TenantId>,
}

/// Watches until the process stops.
pub(crate) async fn watch(
    logs: Arc<LogWatch>,
    essential: Essential,
    incoming: Arc<Notify>,
    mut stopping: Stopping,
) {
    let mut seen = Seen::default();
    let mut failing = false;
    loop {
        // Registered before the look, so that a wake-up during it is not lost.
        let woken = incoming.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        match essential.waiting(logs.look(&mut seen)).await {
            Ok(()) => failing = false,
            // Said once: it is tried ten times a second.
            Err(_) if failing => {}
            Err(error) => {
                warn!(%error, "the change logs could not be looked at; streams wait");
                failing = true;
            }
        }
        let followed = !seen.tenants.is_empty() || !logs.tenants().is_empty();
        tokio::select! {
            () = stopping.wait() => return,
            () = logs.subscribed.notified() => {}
            () = &mut woken, if followed => {}
            () = tokio::time::sleep(if followed { POLL } else { IDLE }) => {}
        }
    }
}
