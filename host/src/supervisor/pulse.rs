//! Whether the claim loop turns: what a heartbeat vouches for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that the claim loop raises each turn. A heartbeat is sent only when it has moved.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// The loop has turned.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
