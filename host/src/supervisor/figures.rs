//! What a worker counts of its work and tells with its heartbeat, so that `serve` can show it (DESIGN §8).
//!
//! Sums of a process since its start, and few of them: what a tenant or a processor did is in storage and in the API.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Calls of guests in runs of entities.
    Calls,
    /// Runs of entities that called guests, or tried to.
    RunsMade,
    /// Runs that ended at once, because nothing they depend on had changed.
    RunsSkipped,
    /// Entities that the audit looked at.
    Audited,
    /// Memos it mended.
    HealedMemos,
    /// Edges it mended.
    HealedEdges,
    /// Stitches it mended.
    HealedStitches,
}

/// How many there are.
const COUNT: usize = 7;

/// The figures of a worker, or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Figures([u64; COUNT]);

impl Figures {
    /// One of them.
    pub fn of(&self, figure: Figure) -> u64 {
        self.0[figure as usize]
    }

    /// Adds what a worker counted since it said `before`.
    pub(super) fn add(&mut self, before: Figures, now: Figures) {
        for ((total, before), now) in self.0.iter_mut().zip(before.0).zip(now.0) {
            *total = total.saturating_add(now.saturating_sub(before));
        }
    }
}

/// The counters of a worker.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; COUNT]);

impl Counters {
    pub(super) fn add(&self, figure: Figure, more: u64) {
        self.0[figure as usize].fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn figures(&self) -> Figures {
        Figures(std::array::from_fn(|index| {
            self.0[index].load(Ordering::Relaxed)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_workers_add_up() {
        let counters = Counters::default();
        counters.add(Figure::Calls, 3);
        counters.add(Figure::HealedStitches, 1);
        let first = counters.figures();
        counters.add(Figure::Calls, 2);
        let mut total = Figures::default();
        total.add(Figures::default(), first);
        total.add(first, counters.figures());
        // Another worker, which begins anew.
        total.add(Figures::default(), first);
        assert_eq!(total.of(Figure::Calls), 8);
        assert_eq!(total.of(Figure::HealedStitches), 2);
        assert_eq!(total.of(Figure::RunsMade), 0);
    }
}
