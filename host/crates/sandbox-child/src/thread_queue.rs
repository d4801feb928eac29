//! The queue in front of the guest threads: whose work is next, and which thread is woken for it.
//!
//! Lane *on request* goes first. One tenant holds at most half of the threads while another has work queued, and never the
//! last one, which is kept for that lane and, when all others are busy, for tenants that run nowhere (DESIGN §2). So slow calls
//! of one tenant cannot hold everybody's.
//!
//! A turn can be shorter than it takes to wake a thread. So nobody is woken while nobody waits, and one thread at a time
//! otherwise: whoever takes work and leaves some wakes the next.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

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
    /// Where threads wait that take anything.
    any: Condvar,
    /// Where the last thread waits.
    kept: Condvar,
    threads: usize,
}

struct State<T> {
    on_request: VecDeque<Queued<T>>,
    others: VecDeque<Queued<T>>,
    /// How many of `others` are of each tenant that has some.
    queued: HashMap<TenantId, usize>,
    running: HashMap<TenantId, usize>,
    /// Threads that wait at `any`.
    idle: usize,
    /// Whether a thread waits at `kept`.
    kept_idle: bool,
}

impl<T> ThreadQueue<T> {
    pub(crate) fn new(threads: usize) -> Self {
        let state = State {
            on_request: VecDeque::new(),
            others: VecDeque::new(),
            queued: HashMap::new(),
            running: HashMap::new(),
            idle: 0,
            kept_idle: false,
        };
        Self {
            state: Mutex::new(state),
            any: Condvar::new(),
            kept: Condvar::new(),
            threads,
        }
    }

    /// Queues work.
    pub(crate) fn push(&self, queued: Queued<T>) {
        let mut state = self.lock();
        if queued.on_request {
            state.on_request.push_back(queued);
        } else {
            *state.queued.entry(queued.tenant).or_default() += 1;
            state.others.push_back(queued);
        }
        self.wake(&state);
    }

    /// Takes the next work, waiting for it. The tenant counts as running until [`ThreadQueue::done`].
    pub(crate) fn pop(&self, kept: bool) -> (TenantId, T) {
        let mut state = self.lock();
        loop {
            if let Some(next) = self.take(&mut state, kept) {
                return next;
            }
            state = self.wait(state, kept);
        }
    }

    /// As [`ThreadQueue::pop`], but none where that would wait.
    pub(crate) fn try_pop(&self, kept: bool) -> Option<(TenantId, T)> {
        self.take(&mut self.lock(), kept)
    }

    fn take(&self, state: &mut State<T>, kept: bool) -> Option<(TenantId, T)> {
        let next = match state.on_request.pop_front() {
            Some(next) => next,
            None if kept => state.next_of_newcomers(self.threads)?,
            None => state.next_of_others(self.threads)?,
        };
        *state.running.entry(next.tenant).or_default() += 1;
        self.wake(state);
        Some((next.tenant, next.work))
    }

    /// A tenant's work is done.
    pub(crate) fn done(&self, tenant: TenantId) {
        let mut state = self.lock();
        if let Some(running) = state.running.get_mut(&tenant) {
            *running -= 1;
            if *running == 0 {
                state.running.remove(&tenant);
            }
        }
        self.wake(&state);
    }

    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
        kept: bool,
    ) -> MutexGuard<'a, State<T>> {
        if kept {
            state.kept_idle = true;
            state = self
                .kept
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.kept_idle = false;
        } else {
            state.idle += 1;
            state = self.any.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        state
    }

    /// Wakes a thread that there may be work for. Called with every change that could make some.
    fn wake(&self, state: &State<T>) {
        if state.idle > 0 && !(state.on_request.is_empty() && state.others.is_empty()) {
            self.any.notify_one();
        } else if state.kept_idle
            && (!state.on_request.is_empty() || state.has_newcomers(self.threads))
        {
            self.kept.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Whether all threads but the last are busy while a tenant that runs nowhere has work.
    fn has_newcomers(&self, threads: usize) -> bool {
        self.running.values().sum::<usize>() + 1 >= threads
            && self
                .queued
                .keys()
                .any(|tenant| !self.running.contains_key(tenant))
    }

    /// For the thread that is kept: when all others are busy, work of a tenant that runs nowhere.
    fn next_of_newcomers(&mut self, threads: usize) -> Option<Queued<T>> {
        if !self.has_newcomers(threads) {
            return None;
        }
        let running = &self.running;
        let place = self
            .others
            .iter()
            .position(|queued| !running.contains_key(&queued.tenant))?;
        self.remove(place)
    }

    fn next_of_others(&mut self, threads: usize) -> Option<Queued<T>> {
        let most = (threads / 2).max(1);
        let place = if self.queued.len() == 1 {
            0
        } else {
            let held = |tenant| self.running.get(&tenant).copied().unwrap_or(0);
            self.others
                .iter()
                .position(|queued| held(queued.tenant) < most)?
        };
        self.remove(place)
    }

    fn remove(&mut self, place: usize) -> Option<Queued<T>> {
        let queued = self.others.remove(place)?;
        if let Some(count) = self.queued.get_mut(&queued.tenant) {
            *count -= 1;
            if *count == 0 {
                self.queued.remove(&queued.tenant);
            }
        }
        Some(queued)
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
    fn the_last_thread_is_kept_for_requests_and_for_tenants_that_run_nowhere() {
        let queue = ThreadQueue::new(3);
        for work in 0..4 {
            queue.push(queued(1, false, work));
        }
        // The third thread takes nothing while others are free, and none of a tenant that runs.
        let mut state = queue.state.lock().unwrap();
        assert!(state.next_of_newcomers(3).is_none());
        drop(state);
        assert_eq!([queue.pop(false).1, queue.pop(false).1], [0, 1]);
        let mut state = queue.state.lock().unwrap();
        assert!(state.next_of_newcomers(3).is_none());
        drop(state);
        queue.push(queued(2, false, 100));
        assert_eq!(queue.pop(true), (TenantId(2), 100));
        queue.done(TenantId(2));
        queue.push(queued(1, true, 200));
        assert_eq!(queue.pop(true), (TenantId(1), 200));
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

    /// Every piece of work is taken, whoever waits where when it comes.
    #[test]
    fn no_work_is_left_while_a_thread_waits() {
        use std::sync::Arc;
        use std::sync::mpsc;
        use std::time::Duration;

        const EACH: u32 = 2_000;
        let queue = Arc::new(ThreadQueue::new(3));
        let (say, said) = mpsc::channel();
        for thread in 0..3 {
            let (queue, say) = (Arc::clone(&queue), say.clone());
            std::thread::spawn(move || {
                loop {
                    let (tenant, work) = queue.pop(thread == 0);
                    queue.done(tenant);
                    if say.send(work).is_err() {
                        return;
                    }
                }
            });
        }
        for round in 0..EACH {
            for (tenant, on_request) in [(1, false), (1, true), (2, false), (1, false)] {
                queue.push(queued(tenant, on_request, round));
            }
            if round % 7 == 0 {
                std::thread::yield_now();
            }
        }
        for _ in 0..EACH * 4 {
            said.recv_timeout(Duration::from_secs(10))
                .expect("it is taken");
        }
    }
}
