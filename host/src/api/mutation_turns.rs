//! Whose mutation it is: of two of one provider that are on their way, the one that started later wins (h21), and they are
//! applied one at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_model::TenantId;
use tokio::sync::MutexGuard;

use super::error::ApiError;

type Key = (TenantId, String);

/// The providers that have a mutation on its way.
#[derive(Default)]
pub(crate) struct MutationTurns(Mutex<HashMap<Key, Arc<Provider>>>);

#[derive(Default)]
struct Provider {
    /// The number of the mutation that started last.
    newest: AtomicU64,
    applying: tokio::sync::Mutex<()>,
}

/// A mutation on its way. The provider is forgotten with its last one.
pub(crate) struct Turn {
    turns: Arc<MutationTurns>,
    key: Key,
    provider: Arc<Provider>,
    number: u64,
}

impl MutationTurns {
    /// A mutation starts: an earlier one of the same provider that is not being applied yet has lost.
    pub(crate) fn begin(self: &Arc<Self>, tenant: TenantId, provider: &str) -> Turn {
        let key = (tenant, provider.to_owned());
        let mut providers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let provider = Arc::clone(providers.entry(key.clone()).or_default());
        let number = provider.newest.fetch_add(1, Ordering::Relaxed) + 1;
        Turn {
            turns: Arc::clone(self),
            key,
            provider,
            number,
        }
    }
}

impl Turn {
    /// Waits until none of the provider is being applied. An error if a later one has started.
    pub(crate) async fn apply(&self) -> Result<MutexGuard<'_, ()>, ApiError> {
        let turn = self.provider.applying.lock().await;
        if self.provider.newest.load(Ordering::Relaxed) == self.number {
            Ok(turn)
        } else {
            Err(ApiError::conflict(
                "a later mutation of this provider has started; nothing was changed",
            ))
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut providers = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and this one's.
        if Arc::strong_count(&self.provider) <= 2 {
            providers.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn h21_the_later_start_wins_and_nothing_is_kept_of_either() {
        let turns = Arc::new(MutationTurns::default());
        let first = turns.begin(TenantId(1), "p");
        let second = turns.begin(TenantId(1), "p");
        let other = turns.begin(TenantId(2), "p");
        assert!(first.apply().await.is_err());
        let applying = second.apply().await.unwrap();
        assert!(other.apply().await.is_ok());
        let third = turns.begin(TenantId(1), "p");
        let waits = tokio::time::timeout(std::time::Duration::from_millis(5), third.apply());
        assert!(waits.await.is_err(), "one at a time");
        drop(applying);
        assert!(third.apply().await.is_ok());
        assert!(second.apply().await.is_err());
        drop((first, second, third, other));
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
