//! Waiting between two looks at storage: a wake-up, or a change that its version number shows, or the time.
//!
//! Wake-ups are hints. A loop that misses one sees the changed version within 100 ms; a loop that misses that looks
//! anyway within a second.

use std::time::Duration;

use greenroom_storage::Storage;
use tokio::sync::futures::Notified;

use crate::lifecycle::Stopping;

/// How often the version is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How many such looks make a loop turn even though nothing changed; due times pass without a commit.
const POLLS_PER_TURN: u32 = 10;

/// Waits until there may be something to do; `false` when the process stops.
///
/// `woken` was made before the caller looked at storage, so that a wake-up between its look and this wait is not lost.
pub(crate) async fn wait_for_work(
    woken: Notified<'_>,
    storage: &dyn Storage,
    seen: &mut u64,
    stopping: &mut Stopping,
    mut idle: impl FnMut(),
) -> bool {
    tokio::pin!(woken);
    for _ in 0..POLLS_PER_TURN {
        idle();
        tokio::select! {
            () = stopping.wait() => return false,
            () = &mut woken => return true,
            () = tokio::time::sleep(POLL) => {}
        }
        match storage.data_version().await {
            Ok(version) if version != *seen => {
                *seen = version;
                return true;
            }
            // An error is met and reported by the look that follows.
            Ok(_) | Err(_) => {}
        }
    }
    true
}
