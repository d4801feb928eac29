//! Recurring tasks: a run holds its ticket until it ends, its time is over, or its worker's lease is.
//!
//! Whoever decides about a task holds its row, so of two that claim it the second sees the first's ticket.

use async_trait::async_trait;
use greenroom_storage::{
    RunningTask, ScheduledTask, StorageError, TaskAnswer, TaskRepository, TaskSettings, WorkerId,
};
use tokio_postgres::Row;

use crate::damage::{json, optional_text, optional_timestamp, text, timestamp, to_json, value};
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;
use crate::transaction::Transaction;

/// A task, whether it runs, and its ticket, which may be of a run that is over.
struct Found {
    task: ScheduledTask,
    ticket: Option<String>,
}

#[async_trait]
impl TaskRepository for PostgresStorage {
    async fn keep_task(&self, id: &str, settings: TaskSettings) -> Result<(), StorageError> {
        let tx = self.begin("keep a task").await?;
        let now = tx.now();
        let json = to_json(tx.operation(), &settings)?;
        tx.run(
            "INSERT INTO scheduled_tasks AS t (task_id, settings, next_run) VALUES ($1, $2, $3)
             ON CONFLICT (task_id) DO UPDATE
             SET settings = excluded.settings, next_run = least(t.next_run, $4)",
            &[
                &Text(id),
                &Text(&json),
                &now.plus_ms(ms(settings.initial_delay_ms)).0,
                &now.plus_ms(ms(settings.cadence_ms)).0,
            ],
        )
        .await?;
        tx.commit().await
    }

    async fn list_tasks(&self) -> Result<Vec<ScheduledTask>, StorageError> {
        let tx = self.snapshot("list tasks").await?;
        let found = tx
            .all(
                "SELECT task_id, settings, next_run, started_at, expires_at, ended_at, error,
                     ticket IS NOT NULL AND expires_at > $1
                         AND EXISTS (SELECT 1 FROM workers w WHERE w.worker_id = t.worker_id AND w.expires_at > $1),
                     ticket
                 FROM scheduled_tasks t ORDER BY task_id",
                &[&tx.now_ms()],
                read_task,
            )
            .await?;
        tx.commit().await?;
        Ok(found.into_iter().map(|found| found.task).collect())
    }

    async fn claim_task(
        &self,
        id: &str,
        worker: &WorkerId,
        ticket: &str,
    ) -> Result<bool, StorageError> {
        let tx = self.begin("claim a task").await?;
        let claimed = claim(&tx, id, worker, ticket).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn holds_task(&self, id: &str, ticket: &str) -> Result<bool, StorageError> {
        let tx = self.begin("look at a task").await?;
        let found = find(&tx, id).await?;
        tx.roll_back().await?;
        Ok(found.is_some_and(|found| {
            found.task.running.is_some() && found.ticket.as_deref() == Some(ticket)
        }))
    }

    async fn finish_task(
        &self,
        id: &str,
        ticket: &str,
        error: Option<&str>,
    ) -> Result<bool, StorageError> {
        let tx = self.begin("finish a task").await?;
        let found = find(&tx, id).await?;
        let Some(found) = found.filter(|found| found.ticket.as_deref() == Some(ticket)) else {
            tx.roll_back().await?;
            return Ok(false);
        };
        end(&tx, &found.task, error).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn trigger_task(&self, id: &str) -> Result<TaskAnswer, StorageError> {
        let tx = self.begin("trigger a task").await?;
        let answer = match find(&tx, id).await? {
            None => TaskAnswer::Unknown,
            Some(found) if found.task.running.is_some() => TaskAnswer::WrongState,
            Some(_) => {
                tx.run(
                    "UPDATE scheduled_tasks SET next_run = $2 WHERE task_id = $1",
                    &[&Text(id), &tx.now_ms()],
                )
                .await?;
                TaskAnswer::Done
            }
        };
        tx.commit().await?;
        Ok(answer)
    }

    async fn cancel_task(&self, id: &str) -> Result<TaskAnswer, StorageError> {
        let tx = self.begin("cancel a task").await?;
        let answer = match find(&tx, id).await? {
            None => TaskAnswer::Unknown,
            Some(found) if found.task.running.is_none() => TaskAnswer::WrongState,
            Some(found) => {
                end(&tx, &found.task, Some("Task was cancelled")).await?;
                TaskAnswer::Done
            }
        };
        tx.commit().await?;
        Ok(answer)
    }
}

/// As milliseconds that can be added to a time.
fn ms(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

/// Finds a task and holds its row. A run counts while its time is not over and its worker's lease holds.
async fn find(tx: &Transaction, id: &str) -> Result<Option<Found>, StorageError> {
    tx.one(
        "SELECT task_id, settings, next_run, started_at, expires_at, ended_at, error,
             ticket IS NOT NULL AND expires_at > $1
                 AND EXISTS (SELECT 1 FROM workers w WHERE w.worker_id = t.worker_id AND w.expires_at > $1),
             ticket
         FROM scheduled_tasks t WHERE task_id = $2 FOR UPDATE OF t",
        &[&tx.now_ms(), &Text(id)],
        read_task,
    )
    .await
}

async fn claim(
    tx: &Transaction,
    id: &str,
    worker: &WorkerId,
    ticket: &str,
) -> Result<bool, StorageError> {
    let now = tx.now();
    let Some(Found {
        task,
        ticket: former,
    }) = find(tx, id).await?
    else {
        return Ok(false);
    };
    if task.running.is_some() || task.next_run > now {
        return Ok(false);
    }
    // A ticket that is still there is of a run that did not end by itself.
    let error = match former {
        Some(_) => Some("Task timed out".to_owned()),
        None => task.last_error,
    };
    tx.run(
        "UPDATE scheduled_tasks
         SET worker_id = $2, ticket = $3, started_at = $4, expires_at = $5, error = $6 WHERE task_id = $1",
        &[
            &Text(id),
            &Text(&worker.0),
            &Text(ticket),
            &now.0,
            &now.plus_ms(ms(task.settings.timeout_ms)).0,
            &error.as_deref().map(Text),
        ],
    )
    .await?;
    Ok(true)
}

/// Ends the run under way and sets the time of the next.
async fn end(
    tx: &Transaction,
    task: &ScheduledTask,
    error: Option<&str>,
) -> Result<(), StorageError> {
    let now = tx.now();
    let next = task.next_run.plus_ms(ms(task.settings.cadence_ms)).max(now);
    tx.run(
        "UPDATE scheduled_tasks SET worker_id = NULL, ticket = NULL, started_at = NULL, expires_at = NULL,
             ended_at = $2, error = $3, next_run = $4 WHERE task_id = $1",
        &[&Text(&task.id), &now.0, &error.map(Text), &next.0],
    )
    .await?;
    Ok(())
}

fn read_task(row: &Row) -> Result<Found, StorageError> {
    // Null where a column it is made of is.
    let running: Option<bool> = value(row, 7, "scheduled_tasks.ticket")?;
    let running = match running {
        Some(true) => Some(RunningTask {
            started_at: timestamp(row, 3, "scheduled_tasks.started_at")?,
            times_out_at: timestamp(row, 4, "scheduled_tasks.expires_at")?,
        }),
        Some(false) | None => None,
    };
    Ok(Found {
        task: ScheduledTask {
            id: text(row, 0, "scheduled_tasks.task_id")?,
            settings: json(row, 1, "scheduled_tasks.settings")?,
            next_run: timestamp(row, 2, "scheduled_tasks.next_run")?,
            running,
            last_ended: optional_timestamp(row, 5, "scheduled_tasks.ended_at")?,
            last_error: optional_text(row, 6, "scheduled_tasks.error")?,
        },
        ticket: optional_text(row, 8, "scheduled_tasks.ticket")?,
    })
}
