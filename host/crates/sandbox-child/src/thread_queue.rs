//! The queue in front of the guest threads: whose work is next.
//!
//! Lane *on request* goes first and has a thread that does nothing else. One tenant holds at most half of the threads
//! while another has work queued (DESIGN §2), so that slow calls of one tenant cannot hold everybody's.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};

use greenroom_model::TenantId;

/// Work of a tenant.
pub(crate) struct Queued<T> {
    pub(crate) tenant: TenantId,
    pub(crate) on_request: bool,
    pub(crate) work: T,
}

/// The queue. It has no end: threads that wait here go with their process.
pub(crate) struct ThreadQueue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    threads: usize,
}

struct State<T> {
    on_request: VecDeque<Queued<T>>,
    others: VecDeque<Queued<T>>,
    running: HashMap<TenantId, usize>,
}

impl<T> ThreadQueue<T> {
    pub(crate) fn new(threads: usize) -> Self {
        let state = State {
            on_request: VecDeque::new(),
            others: VecDeque::new(),
            running: HashMap::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            threads,
        }
    }

    /// Queues work.
    pub(crate) fn push(&self, queued: Queued<T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if queued.on_request {
            state.on_request.push_back(queued);
        } else {
            state.others.push_back(queued);
        }
        // All, because the thread that is kept for requests may be the one that one notification would wake.
        self.changed.notify_all();
    }

    /// Takes the next work, waiting for it. The tenant counts as running until [`ThreadQueue::done`].
    pub(crate) fn pop(&self, only_on_request: bool) -> (TenantId, T) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let next = match state.on_request.pop_front() {
                Some(next) => Some(next),
                None if only_on_request => None,
                None => state.next_of_others(self.threads),
            };
            if let Some(next) = next {
                *state.running.entry(next.tenant).or_default() += 1;
                return (next.tenant, next.work);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A tenant's work is done.
    pub(crate) fn done(&self, tenant: TenantId) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = state.running.get_mut(&tenant) {
            *running -= 1;
            if *running == 0 {
                state.running.remove(&tenant);
            }
        }
        self.changed.notify_all();
    }
}

impl<T> State<T> {
    fn next_of_others(&mut self, threads: usize) -> Option<Queued<T>> {
        let most = (threads / 2).max(1);
        let first = self.others.front()?.tenant;
        let alone = self.others.iter().all(|queued| queued.tenant == first);
        let place = if alone {
            0
        } else {
            let held = |tenant| self.running.get(&tenant).copied().unwrap_or(0);
            self.others
                .iter()
                .position(|queued| held(queued.tenant) < most)?
        };
        self.others.remove(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(tenant: i64, on_request: bool, work: u32) -> Queued<u32> {
        Queued {
            tenant: TenantId(tenant),
            on_request,
            work,
        }
    }

    #[test]
    fn requests_go_first() {
        let queue = ThreadQueue::new(4);
        queue.push(queued(1, false, 1));
        queue.push(queued(1, true, 2));
        assert_eq!(queue.pop(false), (TenantId(1), 2));
        assert_eq!(queue.pop(false), (TenantId(1), 1));
    }

    #[test]
    fn a_tenant_holds_half_of_the_threads_while_another_waits() {
        let queue = ThreadQueue::new(4);
        for work in 0..5 {
            queue.push(queued(1, false, work));
        }
        queue.push(queued(2, false, 100));
        let taken: Vec<u32> = (0..3).map(|_| queue.pop(false).1).collect();
        assert_eq!(taken, [0, 1, 100]);
        assert_eq!(
            queue.pop(false),
            (TenantId(1), 2),
            "alone again, it may have all"
        );
    }
}
