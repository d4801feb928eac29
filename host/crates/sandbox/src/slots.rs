//! The semaphore in front of the pool. The pool itself answers "full" with an error; here a call
//! waits, because waiting for room is never the guest's fault.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Counts free slots.
#[derive(Debug)]
pub(crate) struct Slots {
    count: u32,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: u32,
    /// Calls that wait. Nobody is woken while there is none: that would be a system call for every call.
    waiting: u32,
}

/// A slot that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(crate) fn new(count: u32) -> Slots {
        Slots {
            count,
            state: Mutex::new(State {
                free: count,
                waiting: 0,
            }),
            freed: Condvar::new(),
        }
    }

    /// Slots that are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.count - self.lock().free
    }

    /// Takes a slot, waiting for one.
    pub(crate) fn take(&self) -> Slot<'_> {
        let mut state = self.lock();
        while state.free == 0 {
            state.waiting += 1;
            state = self
                .freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.free -= 1;
        Slot(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.free += 1;
        if state.waiting > 0 {
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn no_more_calls_at_once_than_slots_and_none_is_left_waiting() {
        let (slots, now, most) = (Slots::new(2), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let _slot = slots.take();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(slots.taken(), 0);
        assert!(most.into_inner() <= 2);
    }
}
