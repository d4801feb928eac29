//! Recurring work of the host: one row a task, run by one worker of the cluster at a time (DESIGN §8; ref §8).
//!
//! A run is held under a ticket, for no longer than the task's timeout and its worker's lease; what a dead worker ran is due
//! again at once. Tasks belong to no tenant.
use crate::{StorageError, WorkerId};
use async_trait::async_trait;
use greenroom_model::Timestamp;
use serde::{Deserialize, Serialize};

/// When a task runs, and for how long at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskSettings {
    /// Time between the beginnings of two runs.
    pub cadence_ms: u64,
    /// Time before the first run.
    pub initial_delay_ms: u64,
    /// Time a run may take.
    pub timeout_ms: u64,
}

/// A task and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledTask {
    /// Its name.
    pub id: String,
    /// Its settings.
    pub settings: TaskSettings,
    /// When it is due.
    pub next_run: Timestamp,
    /// The run under way.
    pub running: Option<RunningTask>,
    /// When its last run ended.
    pub last_ended: Option<Timestamp>,
    /// Why its last run ended badly, if it did.
    pub last_error: Option<String>,
}

/// A run of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunningTask {
    /// When it began.
    pub started_at: Timestamp,
    /// When its time is over.
    pub times_out_at: Timestamp,
}

/// What became of a request to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskAnswer {
    /// It was done.
    Done,
    /// The task runs, or does not run, and should not.
    WrongState,
    /// There is no such task.
    Unknown,
}

/// Recurring tasks, across tenants.
#[async_trait]
pub trait TaskRepository {
    /// Says that a task exists and what its settings are. A new one is due after its initial delay; one that was there keeps
    /// its time, but waits no longer than its cadence says now.
    async fn keep_task(&self, id: &str, settings: TaskSettings) -> Result<(), StorageError>;
    /// All tasks by name.
    async fn list_tasks(&self) -> Result<Vec<ScheduledTask>, StorageError>;
    /// Takes a task that is due and does not run, under a ticket nobody had; `false` if it is neither.
    async fn claim_task(
        &self,
        id: &str,
        worker: &WorkerId,
        ticket: &str,
    ) -> Result<bool, StorageError>;
    /// Whether a run may go on: its ticket was not taken from it.
    async fn holds_task(&self, id: &str, ticket: &str) -> Result<bool, StorageError>;
    /// Ends a run; the next begins a cadence after this one was due, or now if that has passed. `false` if the run was no
    /// longer that ticket's, and nothing is changed.
    async fn finish_task(
        &self,
        id: &str,
        ticket: &str,
        error: Option<&str>,
    ) -> Result<bool, StorageError>;
    /// Makes a task due now, unless it runs.
    async fn trigger_task(&self, id: &str) -> Result<TaskAnswer, StorageError>;
    /// Takes the ticket from a run, if there is one; its worker ends it.
    async fn cancel_task(&self, id: &str) -> Result<TaskAnswer, StorageError>;
}
