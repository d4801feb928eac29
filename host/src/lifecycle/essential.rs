//! Tasks that a process cannot do without, and whether they turn (DESIGN §8).
//!
//! A handle is in the task's own hands: it is marked each time the task goes round, and dropping it, by a return or a panic,
//! says that the task has ended. While the task waits for the database or for another process it says so, and is not
//! suspected however long that takes: a slow database never restarts a process, and what waits there has limits of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// All of a process.
#[derive(Debug, Default)]
pub(super) struct Essentials(Mutex<Vec<Watched>>);

#[derive(Debug)]
struct Watched {
    name: &'static str,
    bound: Duration,
    turning: Weak<Turning>,
}

#[derive(Debug)]
struct Turning {
    turned: Mutex<Instant>,
    /// How often it waits at present; a task may wait for several things at once.
    waiting: AtomicUsize,
}

/// Held by an essential task for as long as it runs.
#[derive(Debug)]
pub struct Essential(Arc<Turning>);

/// An essential task that does not do its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck {
    /// The task.
    pub task: &'static str,
    /// Whether it has ended; else it does not turn.
    pub ended: bool,
}

impl Essentials {
    pub(super) fn add(&self, name: &'static str, bound: Duration) -> Essential {
        let essential = Essential(Arc::new(Turning {
            turned: Mutex::new(Instant::now()),
            waiting: AtomicUsize::new(0),
        }));
        let watched = Watched {
            name,
            bound,
            turning: Arc::downgrade(&essential.0),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(watched);
        essential
    }

    pub(super) fn stuck(&self) -> Option<Stuck> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find_map(|watched| {
            let stuck = |ended| Stuck {
                task: watched.name,
                ended,
            };
            let Some(turning) = watched.turning.upgrade() else {
                return Some(stuck(true));
            };
            (turning.age() > watched.bound).then(|| stuck(false))
        })
    }
}

impl Turning {
    /// Time since it turned; nothing while it waits.
    fn age(&self) -> Duration {
        if self.waiting.load(Ordering::Acquire) > 0 {
            return Duration::ZERO;
        }
        let turned = self.turned.lock().unwrap_or_else(PoisonError::into_inner);
        turned.elapsed()
    }

    fn turn(&self) {
        *self.turned.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Essential {
    /// The task has gone round.
    pub fn turn(&self) {
        self.0.turn();
    }

    /// Waits for what is not this process's to do: storage, a child with a time limit.
    pub async fn waiting<T>(&self, on: impl Future<Output = T>) -> T {
        let _waits = Waits::new(&self.0);
        on.await
    }
}

/// Counts a wait, also one that is given up.
struct Waits<'a>(&'a Turning);

impl<'a> Waits<'a> {
    fn new(turning: &'a Turning) -> Self {
        turning.waiting.fetch_add(1, Ordering::AcqRel);
        Self(turning)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        // Turned first, so that nobody sees a task that neither waits nor has turned.
        self.0.turn();
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Lifecycle;
    use super::*;

    const BOUND: Duration = Duration::from_millis(200);

    fn stuck(task: &'static str, ended: bool) -> Option<Stuck> {
        Some(Stuck { task, ended })
    }

    async fn until_stuck(lifecycle: &Lifecycle) -> Option<Stuck> {
        loop {
            let stuck = lifecycle.stuck();
            if stuck.is_some() {
                return stuck;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_task_that_hangs_is_told_and_one_that_waits_is_not() {
        let (hanging, waiting) = (Lifecycle::new(), Lifecycle::new());
        let hangs = hanging.essential("hangs", BOUND);
        hanging.spawn(async move {
            hangs.turn();
            std::future::pending::<()>().await;
            hangs.turn();
        });
        let waits = waiting.essential("waits", BOUND);
        waiting.spawn(async move { waits.waiting(std::future::pending()).await });
        assert_eq!(until_stuck(&hanging).await, stuck("hangs", false));
        tokio::time::sleep(BOUND).await;
        assert_eq!(waiting.stuck(), None, "for as long as it waits");
        hanging.stop();
        assert_eq!(hanging.stuck(), None, "whoever stops may end his tasks");
    }

    #[tokio::test]
    async fn a_task_that_ended_or_panicked_is_told() {
        for panics in [false, true] {
            let lifecycle = Lifecycle::new();
            let ends = lifecycle.essential("ends", Duration::from_secs(600));
            lifecycle.spawn(async move {
                ends.turn();
                assert!(!panics, "on purpose");
            });
            assert_eq!(until_stuck(&lifecycle).await, stuck("ends", true));
        }
    }

    #[tokio::test]
    async fn a_wait_that_was_long_is_followed_by_a_whole_bound() {
        let lifecycle = Lifecycle::new();
        let slow = lifecycle.essential("slow", BOUND);
        slow.waiting(tokio::time::sleep(2 * BOUND)).await;
        assert_eq!(lifecycle.stuck(), None);
        assert_eq!(until_stuck(&lifecycle).await, stuck("slow", false));
    }
}
