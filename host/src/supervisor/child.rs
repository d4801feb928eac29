//! One worker process after another in one place of the set.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use greenroom_storage::{Storage, WorkerId};
use tokio::io::BufReader;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tracing::{info, warn};

use super::{Figures, Message, SandboxEnds, Wakes, read_message, write_message};
use crate::lifecycle::{Lifecycle, Stopping};

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
    /// How the sandbox children of all workers so far ended.
    pub sandboxes: SandboxEnds,
    /// What all workers so far counted of their work.
    pub figures: Figures,
}

/// Keeps a number of workers running.
pub struct Supervisor {
    program: OsString,
    arguments: Vec<OsString>,
    storage: Arc<dyn Storage>,
    wakes: Wakes,
    status: Arc<Mutex<WorkerStatus>>,
}

impl Supervisor {
    /// A supervisor of `program arguments…` processes. `wakes.outgoing` wakes them; they notify `wakes.incoming`.
    pub fn new(
        program: OsString,
        arguments: Vec<OsString>,
        storage: Arc<dyn Storage>,
        wakes: Wakes,
    ) -> Arc<Self> {
        Arc::new(Self {
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
            match self.spawn() {
                Ok((child, input, output)) => self.watch(child, input, output, &mut stopping).await,
                Err(error) => warn!(%error, "could not start a worker"),
            }
            if stopping.is_stopping() {
                return;
            }
            wait = if started.elapsed() >= LIVED_WELL {
                RESTART_LEAST
            } else {
                wait
            };
            self.with_status(|status| status.restarts += 1);
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
    ) {
        let pid = child.id().unwrap_or_default();
        self.with_status(|status| status.running.push(pid));
        let mut output = BufReader::new(output);
        let mut worker = None;
        let mut said = (SandboxEnds::default(), Figures::default());
        let reason = loop {
            tokio::select! {
                () = stopping.wait() => {
                    let _ = write_message(&mut input, &Message::Stop).await;
                    break "the host stops";
                }
                () = self.wakes.outgoing.notified() => {
                    if write_message(&mut input, &Message::Wake).await.is_err() {
                        break "its pipe is closed";
                    }
                }
                message = tokio::time::timeout(SILENCE, read_message(&mut output)) => match message {
                    Ok(Some(Message::Started { worker: id })) => {
                        info!(worker.pid = pid, worker.id = id, "worker started");
                        worker = Some(WorkerId(id));
                    }
                    Ok(Some(Message::Wake)) => self.wakes.incoming.notify_waiters(),
                    Ok(Some(Message::Heartbeat { sandboxes, figures })) => {
                        let before = std::mem::replace(&mut said, (sandboxes, figures));
                        self.with_status(|status| {
                            status.sandboxes.add(before.0, sandboxes);
                            status.figures.add(before.1, figures);
                        });
                    }
                    Ok(Some(Message::Stop)) => {}
                    Ok(None) => break "it ended",
                    Err(_) => break "it was silent for 10 s",
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
    }

    fn with_status(&self, change: impl FnOnce(&mut WorkerStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
