//! One worker process after another in one place of the set.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use greenroom_storage::{Storage, WorkerId};
use tokio::io::BufReader;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tracing::{info, warn};

use super::{Message, SandboxEnd, Wakes, read_message, write_message};
use crate::lifecycle::{Lifecycle, Stopping};
use crate::metrics::{Metric, Sheet};

/// Silence after which a worker is taken for dead.
const SILENCE: Duration = Duration::from_secs(10);
/// Wait before a worker is replaced; doubles while they die young.
const RESTART_LEAST: Duration = Duration::from_millis(100);
/// Longest such wait.
const RESTART_MOST: Duration = Duration::from_secs(30);
/// A worker that lived this long did not die young.
const LIVED_WELL: Duration = Duration::from_secs(30);
/// Time a worker has to stop softly.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// What `serve` knows of its workers; shown by readiness and metrics.
#[derive(Debug, Clone, Default)]
pub struct WorkerStatus {
    /// Process ids of those that run, with what they said last.
    pub running: Vec<u32>,
    /// How often one was replaced.
    pub restarts: u64,
    /// How long the next replacement waits, while workers die young.
    pub backoff: Option<Duration>,
    /// Why the last one was replaced.
    pub last_end: Option<WorkerEnd>,
}

/// Why a worker was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerEnd {
    /// Its process ended, or its pipe.
    Died,
    /// It said nothing for 10 s, or would not vouch for its tasks.
    Silent,
    /// It could not be started.
    NotStarted,
}

impl WorkerEnd {
    const ALL: [WorkerEnd; 3] = [WorkerEnd::Died, WorkerEnd::Silent, WorkerEnd::NotStarted];

    /// Its name in metrics, logs and probes.
    pub fn as_str(self) -> &'static str {
        match self {
            WorkerEnd::Died => "died",
            WorkerEnd::Silent => "silent",
            WorkerEnd::NotStarted => "not-started",
        }
    }
}

/// Keeps a number of workers running.
pub struct Supervisor {
    program: OsString,
    arguments: Vec<OsString>,
    storage: Arc<dyn Storage>,
    wakes: Wakes,
    sheet: Arc<Sheet>,
    status: Arc<Mutex<WorkerStatus>>,
}

impl Supervisor {
    /// A supervisor of `program arguments…` processes. `wakes.outgoing` wakes them; they notify `wakes.incoming`. What they
    /// count goes into `sheet`.
    pub fn new(
        program: OsString,
        arguments: Vec<OsString>,
        storage: Arc<dyn Storage>,
        wakes: Wakes,
        sheet: Arc<Sheet>,
    ) -> Arc<Self> {
        // There from the start, so that the first one is seen as a rise.
        for end in WorkerEnd::ALL {
            sheet.add(Metric::WorkerRestarts, &[end.as_str()], 0.0);
        }
        for end in SandboxEnd::ALL {
            sheet.add(Metric::SandboxEnds, &[end.as_str()], 0.0);
        }
        sheet.set(Metric::WorkersRunning, &[], 0.0);
        Arc::new(Self {
            sheet,
            program,
            arguments,
            storage,
            wakes,
            status: Arc::default(),
        })
    }

    /// What it knows of its workers.
    pub fn status(&self) -> WorkerStatus {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Starts `count` workers and keeps that many until the process stops.
    pub fn start(self: &Arc<Self>, lifecycle: &Lifecycle, count: u16) {
        for _ in 0..count {
            let supervisor = Arc::clone(self);
            let stopping = lifecycle.stopping();
            lifecycle.spawn(async move { supervisor.keep_one(stopping).await });
        }
    }

    async fn keep_one(&self, mut stopping: Stopping) {
        let mut wait = RESTART_LEAST;
        while !stopping.is_stopping() {
            let started = tokio::time::Instant::now();
            let end = match self.spawn() {
                Ok((child, input, output)) => self.watch(child, input, output, &mut stopping).await,
                Err(error) => {
                    warn!(%error, "could not start a worker");
                    WorkerEnd::NotStarted
                }
            };
            if stopping.is_stopping() {
                return;
            }
            wait = if started.elapsed() >= LIVED_WELL {
                RESTART_LEAST
            } else {
                wait
            };
            self.sheet.add(Metric::WorkerRestarts, &[end.as_str()], 1.0);
            self.with_status(|status| {
                status.restarts += 1;
                status.last_end = Some(end);
                status.backoff = Some(wait);
            });
            tokio::select! {
                () = stopping.wait() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(RESTART_MOST);
        }
    }

    fn spawn(&self) -> std::io::Result<(Child, ChildStdin, ChildStdout)> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || std::io::Error::other("the child has no pipe");
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        Ok((child, input, output))
    }

    /// Exchanges messages with a worker until it is gone, and frees what it held.
    async fn watch(
        &self,
        mut child: Child,
        mut input: ChildStdin,
        output: ChildStdout,
        stopping: &mut Stopping,
    ) -> WorkerEnd {
        let pid = child.id().unwrap_or_default();
        self.with_status(|status| {
            status.running.push(pid);
            status.backoff = None;
        });
        self.sheet.add(Metric::WorkersRunning, &[], 1.0);
        let mut output = BufReader::new(output);
        let mut worker = None;
        let told_so_far = Sheet::default();
        let mut heard = tokio::time::Instant::now();
        let (end, reason) = loop {
            tokio::select! {
                // Requests of the time of grace may need a worker.
                () = stopping.grace_is_over() => {
                    let _ = write_message(&mut input, &Message::Stop).await;
                    break (WorkerEnd::Died, "the host stops");
                }
                () = self.wakes.outgoing.notified() => {
                    if write_message(&mut input, &Message::Wake).await.is_err() {
                        break (WorkerEnd::Died, "its pipe is closed");
                    }
                }
                message = tokio::time::timeout_at(heard + SILENCE, read_message(&mut output)) => match message {
                    Ok(Some(Message::Started { worker: id })) => {
                        info!(worker.pid = pid, worker.id = id, "worker started");
                        worker = Some(WorkerId(id));
                    }
                    Ok(Some(Message::Wake)) => self.wakes.incoming.notify_waiters(),
                    // Nothing else vouches for its tasks: wake-ups come from any of them.
                    Ok(Some(Message::Heartbeat { told })) => {
                        heard = tokio::time::Instant::now();
                        self.sheet.merge(&told);
                        told_so_far.merge(&told);
                    }
                    Ok(Some(Message::Stop)) => {}
                    Ok(None) => break (WorkerEnd::Died, "it ended"),
                    Err(_) => break (WorkerEnd::Silent, "it was silent for 10 s"),
                },
            }
        };
        drop(input);
        let patience = if stopping.is_stopping() {
            STOP_PATIENCE
        } else {
            Duration::ZERO
        };
        if tokio::time::timeout(patience, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
        self.with_status(|status| status.running.retain(|running| *running != pid));
        self.sheet.add(Metric::WorkersRunning, &[], -1.0);
        self.sheet.take_back(&told_so_far);
        if !stopping.is_stopping() {
            warn!(worker.pid = pid, reason, "worker is replaced");
        }
        if let Some(worker) = worker {
            match self.storage.expire_worker(&worker).await {
                Ok(freed) if freed > 0 => {
                    info!(worker.pid = pid, freed, "items of the dead worker are free");
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(%error, "could not free the items of a dead worker; its lease will");
                }
            }
        }
        end
    }

    fn with_status(&self, change: impl FnOnce(&mut WorkerStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
