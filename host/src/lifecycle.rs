//! Signals, and a shutdown that is soft and then hard.
//!
//! The only place that spawns tasks: everything that runs beside a request or a claim belongs to the tracked set that
//! [`Lifecycle::drain`] waits for. A task watches [`Stopping`] and ends by itself; what is still running when the time is
//! over is aborted.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

/// The tasks of one process, and whether it is stopping.
#[derive(Debug)]
pub struct Lifecycle {
    stopping: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

/// Tells a task that the process is stopping.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Resolves when the process begins to stop; at once if it has.
    pub async fn wait(&mut self) {
        // An error means that the lifecycle is gone, which is past stopping.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }

    /// Whether the process is stopping.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }
}

impl Lifecycle {
    /// A running process without tasks.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            stopping: watch::Sender::new(false),
            tasks: Mutex::default(),
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

    /// A handle that tells when the process stops.
    pub fn stopping(&self) -> Stopping {
        Stopping(self.stopping.subscribe())
    }

    /// Begins to stop.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits for all tasks; aborts those still running after `patience`. Answers how many were aborted.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.stop();
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_ok() {
            return 0;
        }
        let left = tasks.len();
        tasks.shutdown().await;
        left
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
}
