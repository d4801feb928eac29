//! The semaphore in front of the pool. The pool itself answers "full" with an error; here a call
//! waits, because waiting for room is never the guest's fault.

use std::sync::{Condvar, Mutex, PoisonError};

/// Counts free slots.
#[derive(Debug)]
pub(crate) struct Slots {
    count: u32,
    free: Mutex<u32>,
    freed: Condvar,
}

/// A slot that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(crate) fn new(count: u32) -> Slots {
        Slots {
            count,
            free: Mutex::new(count),
            freed: Condvar::new(),
        }
    }

    /// Slots that are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.count - *self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot, waiting for one.
    pub(crate) fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self
                .freed
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
