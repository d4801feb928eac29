//! What a worker says of itself: what it counts, and that it claims.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::SandboxEnd;
use crate::metrics::{Metric, Sheet};

/// Shared by the parts of a worker; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Shown>);

#[derive(Debug, Default)]
struct Shown {
    sheet: Arc<Sheet>,
    claimed: Mutex<Option<Instant>>,
}

impl Pulse {
    /// What is counted and measured.
    pub fn sheet(&self) -> &Arc<Sheet> {
        &self.0.sheet
    }

    /// The claim loop has asked for work and was answered.
    pub fn claimed(&self) {
        self.claimed_at(Instant::now());
    }

    pub(crate) fn claimed_at(&self, at: Instant) {
        *self
            .0
            .claimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Time since it was; `None` before the first time.
    pub fn since_claim(&self) -> Option<Duration> {
        let claimed = self
            .0
            .claimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        claimed.map(|at| at.elapsed())
    }

    /// A sandbox child that was still needed is gone.
    pub fn sandbox_ended(&self, end: SandboxEnd) {
        self.0.sheet.add(Metric::SandboxEnds, &[end.as_str()], 1.0);
    }

    /// How many ended like this.
    pub fn sandbox_ends(&self, end: SandboxEnd) -> u64 {
        self.0.sheet.count(Metric::SandboxEnds, &[end.as_str()])
    }
}
