//! What was seen that must not be, and what was done, from many tasks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More than these are counted and not kept.
const KEPT: usize = 60;

/// Offences and deeds so far.
#[derive(Debug, Default)]
pub(crate) struct Offences {
    texts: Mutex<Vec<String>>,
    deeds: Mutex<BTreeMap<String, u64>>,
}

impl Offences {
    /// Something that must not be.
    pub(crate) fn add(&self, text: impl Into<String>) {
        let mut texts = lock(&self.texts);
        if texts.len() < KEPT {
            texts.push(text.into());
        }
    }

    /// Something that was done.
    pub(crate) fn count(&self, deed: &str) {
        *lock(&self.deeds).entry(deed.to_owned()).or_default() += 1;
    }

    /// All offences.
    pub(crate) fn texts(&self) -> Vec<String> {
        lock(&self.texts).clone()
    }

    /// How often each deed was done.
    pub(crate) fn deeds(&self) -> BTreeMap<String, u64> {
        lock(&self.deeds).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
