//! Signals, and a shutdown that is soft and then hard.
//!
//! The only place that spawns tasks: everything that runs beside a request or a claim belongs to the tracked set that
//! [`Lifecycle::drain`] waits for. A task watches [`Stopping`] and ends by itself; what is still running when the time is
//! over is aborted.
//!
//! Some tasks the process cannot do without. They show that they turn ([`Essential`]), and liveness asks whether all do.

mod essential;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use essential::Essentials;
pub use essential::{Essential, Stuck};

/// How long requests are still taken when readiness says no already.
const GRACE: Duration = Duration::from_secs(1);
/// How long an essential task may take to go round.
pub const TURN_BOUND: Duration = Duration::from_secs(30);

/// The tasks of one process, and whether it is stopping.
#[derive(Debug)]
pub struct Lifecycle {
    /// When it began to stop.
    stopping: watch::Sender<Option<Instant>>,
    tasks: Mutex<JoinSet<()>>,
    essentials: Essentials,
}

/// Tells a task that the process is stopping.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<Option<Instant>>);

impl Stopping {
    /// Resolves when the process begins to stop; at once if it has.
    pub async fn wait(&mut self) {
        // An error means that the lifecycle is gone, which is past stopping.
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// Resolves when what the process stops for has had time to be seen: whoever sends requests here has been told by
    /// readiness, and sends no more.
    pub async fn grace_is_over(&mut self) {
        self.wait().await;
        let since = *self.0.borrow();
        if let Some(since) = since {
            tokio::time::sleep_until(since + GRACE).await;
        }
    }

    /// Whether the process is stopping.
    pub fn is_stopping(&self) -> bool {
        self.0.borrow().is_some()
    }
}

impl Lifecycle {
    /// A running process without tasks.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            stopping: watch::Sender::new(None),
            tasks: Mutex::default(),
            essentials: Essentials::default(),
        })
    }

    /// Runs a task in the tracked set. Must be called within a tokio runtime.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Finished tasks are taken out here, so that the set holds what runs.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Number of tasks that run.
    pub fn tasks(&self) -> usize {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.len()
    }

    /// A handle for a task that the process cannot do without. It turns at least every `bound`, or waits for another process.
    pub fn essential(&self, name: &'static str, bound: Duration) -> Essential {
        self.essentials.add(name, bound)
    }

    /// An essential task that has ended or does not turn. A process that stops has none.
    pub fn stuck(&self) -> Option<Stuck> {
        match self.stopping.borrow().is_some() {
            true => None,
            false => self.essentials.stuck(),
        }
    }

    /// A handle that tells when the process stops.
    pub fn stopping(&self) -> Stopping {
        Stopping(self.stopping.subscribe())
    }

    /// Begins to stop.
    pub fn stop(&self) {
        self.stopping.send_if_modified(|since| {
            let first = since.is_none();
            *since = since.or_else(|| Some(Instant::now()));
            first
        });
    }

    /// Waits for all tasks; aborts those still running after `patience`. Answers how many were aborted.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.stop();
        let until = Instant::now() + patience;
        loop {
            // Those that are started meanwhile, such as connections in the time of grace, are waited for too.
            let mut tasks =
                std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
            if tasks.is_empty() {
                return 0;
            }
            let all = async { while tasks.join_next().await.is_some() {} };
            if tokio::time::timeout_at(until, all).await.is_err() {
                let left = tasks.len() + self.tasks();
                tasks.shutdown().await;
                return left;
            }
        }
    }
}

/// Resolves when the process is asked to stop: Ctrl-C or SIGTERM.
///
/// # Errors
/// If the handlers cannot be installed.
pub async fn stop_signal() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drains_tasks_that_watch_and_aborts_those_that_do_not() {
        let lifecycle = Lifecycle::new();
        let mut stopping = lifecycle.stopping();
        lifecycle.spawn(async move { stopping.wait().await });
        lifecycle.spawn(std::future::pending());
        assert_eq!(lifecycle.tasks(), 2);
        assert_eq!(lifecycle.drain(Duration::from_millis(50)).await, 1);
        assert_eq!(lifecycle.tasks(), 0);
    }

    #[tokio::test]
    async fn what_is_started_in_the_time_of_grace_is_waited_for() {
        let lifecycle = Lifecycle::new();
        let accepting = Arc::clone(&lifecycle);
        let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
        let mut stopping = lifecycle.stopping();
        lifecycle.spawn(async move {
            stopping.wait().await;
            tokio::time::sleep(GRACE / 2).await;
            let late = ended.clone();
            accepting.spawn(async move {
                tokio::time::sleep(GRACE).await;
                late.send("late").unwrap();
            });
            stopping.grace_is_over().await;
            ended.send("grace").unwrap();
        });
        assert_eq!(lifecycle.drain(Duration::from_secs(9)).await, 0);
        assert_eq!(
            [ends.recv().await, ends.recv().await],
            [Some("grace"), Some("late")]
        );
    }
}
