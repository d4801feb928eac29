//! The clocks, made here and handed down: the machine's for a storage that has none of its own, and the storage's for all else.

use std::sync::Arc;

use greenroom_model::{Clock, Timestamp, Uptime};
use greenroom_storage::Storage;
use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// The time of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SystemClock {
    boot: Option<[u8; 16]>,
}

impl SystemClock {
    /// Knows which boot this is, where the system says so.
    pub(super) fn new() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the system says it in a file that is none of the data's"
        )]
        let said = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let boot = said.ok().and_then(|id| Uuid::parse_str(id.trim()).ok());
        Self {
            boot: boot.map(Uuid::into_bytes),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the system clock"
        )]
        let now = std::time::SystemTime::now();
        let since = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn uptime(&self) -> Option<Uptime> {
        let since = clock_gettime(ClockId::Boottime);
        Some(Uptime {
            boot: self.boot?,
            ms: since.tv_sec * 1_000 + since.tv_nsec / 1_000_000,
        })
    }
}

/// The time of the storage, which all processes share: due times are told to it, and are due by it (s09).
pub(super) struct StorageClock(pub(super) Arc<dyn Storage>);

impl Clock for StorageClock {
    fn now(&self) -> Timestamp {
        self.0.time()
    }
}
