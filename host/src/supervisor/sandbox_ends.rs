//! How sandbox children ended, counted by a worker and told with its heartbeat, so that `serve` can show it.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Why a sandbox child is gone. Few, so that the series of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SandboxEnd {
    /// Its process ended: a defect, a signal, the system out of memory.
    Died,
    /// It was silent, or a call in it did not end in its time.
    Hung,
    /// It made a forbidden system call, or said what no child says: something tried to get out.
    Hostile,
    /// It could not be started, or not be locked down.
    NotStarted,
}

impl SandboxEnd {
    /// Every reason.
    pub const ALL: [SandboxEnd; 4] = [
        SandboxEnd::Died,
        SandboxEnd::Hung,
        SandboxEnd::Hostile,
        SandboxEnd::NotStarted,
    ];

    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            SandboxEnd::Died => "died",
            SandboxEnd::Hung => "hung",
            SandboxEnd::Hostile => "hostile",
            SandboxEnd::NotStarted => "not-started",
        }
    }
}

/// Numbers of children by how they ended, since their worker started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SandboxEnds([u64; 4]);

impl SandboxEnds {
    /// How many ended like this.
    pub fn of(&self, end: SandboxEnd) -> u64 {
        self.0[end as usize]
    }

    /// Adds what a worker counted since it said `before`.
    pub(super) fn add(&mut self, before: SandboxEnds, now: SandboxEnds) {
        for ((total, before), now) in self.0.iter_mut().zip(before.0).zip(now.0) {
            *total = total.saturating_add(now.saturating_sub(before));
        }
    }
}

/// The counters of a worker.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; 4]);

impl Counters {
    pub(super) fn count(&self, end: SandboxEnd) {
        self.0[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ends(&self) -> SandboxEnds {
        SandboxEnds(std::array::from_fn(|index| {
            self.0[index].load(Ordering::Relaxed)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_say_adds_up() {
        let counters = Counters::default();
        counters.count(SandboxEnd::Died);
        let first = counters.ends();
        counters.count(SandboxEnd::Died);
        counters.count(SandboxEnd::NotStarted);
        let mut total = SandboxEnds::default();
        total.add(SandboxEnds::default(), first);
        total.add(first, counters.ends());
        // Another worker, which begins anew.
        total.add(SandboxEnds::default(), first);
        let counted = SandboxEnd::ALL.map(|end| total.of(end));
        assert_eq!(counted, [3, 0, 0, 1]);
    }
}
