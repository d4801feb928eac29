//! What a worker says of itself with each heartbeat: that its claim loop turns, how its sandbox children ended, and what it
//! counted of its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::figures::{self, Figure, Figures};
use super::sandbox_ends::{Counters, SandboxEnd, SandboxEnds};

/// Counters that are raised by the parts of a worker; cheap to clone. A heartbeat is sent only when the claim loop has
/// turned.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    turns: AtomicU64,
    sandboxes: Counters,
    figures: figures::Counters,
}

impl Pulse {
    /// The loop has turned.
    pub fn beat(&self) {
        self.0.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has.
    pub fn count(&self) -> u64 {
        self.0.turns.load(Ordering::Relaxed)
    }

    /// A sandbox child that was still needed is gone.
    pub fn sandbox_ended(&self, end: SandboxEnd) {
        self.0.sandboxes.count(end);
    }

    /// So much more of a figure.
    pub fn add(&self, figure: Figure, more: u64) {
        self.0.figures.add(figure, more);
    }

    /// What was counted so far.
    pub fn figures(&self) -> Figures {
        self.0.figures.figures()
    }

    /// How many are, and why.
    pub fn sandbox_ends(&self) -> SandboxEnds {
        self.0.sandboxes.ends()
    }
}
