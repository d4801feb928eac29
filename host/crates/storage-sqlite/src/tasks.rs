//! Recurring tasks: a run holds its ticket until it ends, its time is over, or its worker's lease is.

use async_trait::async_trait;
use greenroom_storage::{
    RunningTask, ScheduledTask, StorageError, TaskAnswer, TaskRepository, TaskSettings, WorkerId,
};
use rusqlite::{Connection, Row, params};

use crate::SqliteStorage;
use crate::damage::{json, optional_timestamp, timestamp, to_json, value};
use crate::statement;
use crate::writer::WriteTx;

/// The columns of [`read_task`]; `?1` is now. A run counts while its time is not over and its worker's lease holds.
macro_rules! select_tasks {
    ($rest:literal) => {
        concat!(
            "SELECT task_id, settings, next_run, started_at, expires_at, ended_at, error,
                 ticket IS NOT NULL AND expires_at > ?1
                     AND EXISTS (SELECT 1 FROM workers w WHERE w.worker_id = t.worker_id AND w.expires_at > ?1),
                 ticket
             FROM scheduled_tasks t ",
            $rest
        )
    };
}

/// A task, whether it runs, and its ticket, which may be of a run that is over.
struct Found {
    task: ScheduledTask,
    ticket: Option<String>,
}

fn read_task(row: &Row<'_>) -> rusqlite::Result<Found> {
    let running = match value(row, 7, "scheduled_tasks.ticket")? {
        true => Some(RunningTask {
            started_at: timestamp(row, 3, "scheduled_tasks.started_at")?,
            times_out_at: timestamp(row, 4, "scheduled_tasks.expires_at")?,
        }),
        false => None,
    };
    Ok(Found {
        task: ScheduledTask {
            id: value(row, 0, "scheduled_tasks.task_id")?,
            settings: json(row, 1, "scheduled_tasks.settings")?,
            next_run: timestamp(row, 2, "scheduled_tasks.next_run")?,
            running,
            last_ended: optional_timestamp(row, 5, "scheduled_tasks.ended_at")?,
            last_error: value(row, 6, "scheduled_tasks.error")?,
        },
        ticket: value(row, 8, "scheduled_tasks.ticket")?,
    })
}

fn find(conn: &Connection, now_ms: i64, id: &str) -> rusqlite::Result<Option<Found>> {
    statement::one(
        conn,
        select_tasks!("WHERE task_id = ?2"),
        params![now_ms, id],
        read_task,
    )
}

/// As milliseconds that can be added to a time.
fn ms(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

#[async_trait]
impl TaskRepository for SqliteStorage {
    async fn keep_task(&self, id: &str, settings: TaskSettings) -> Result<(), StorageError> {
        let id = id.to_owned();
        self.write("keep a task", move |tx| {
            let now = tx.now();
            tx.run(
                "INSERT INTO scheduled_tasks (task_id, settings, next_run) VALUES (?1, ?2, ?3)
                 ON CONFLICT (task_id) DO UPDATE
                 SET settings = excluded.settings, next_run = min(next_run, ?4)",
                params![
                    id,
                    to_json(&settings)?,
                    now.plus_ms(ms(settings.initial_delay_ms)).0,
                    now.plus_ms(ms(settings.cadence_ms)).0
                ],
            )?;
            Ok(())
        })
        .await
    }

    async fn list_tasks(&self) -> Result<Vec<ScheduledTask>, StorageError> {
        let now = self.now();
        let found = self
            .read("list tasks", move |conn| {
                statement::all(
                    conn,
                    select_tasks!("ORDER BY task_id"),
                    params![now.0],
                    read_task,
                )
            })
            .await?;
        Ok(found.into_iter().map(|found| found.task).collect())
    }

    async fn claim_task(
        &self,
        id: &str,
        worker: &WorkerId,
        ticket: &str,
    ) -> Result<bool, StorageError> {
        let (id, worker, ticket) = (id.to_owned(), worker.clone(), ticket.to_owned());
        self.write("claim a task", move |tx| claim(tx, &id, &worker, &ticket))
            .await
    }

    async fn holds_task(&self, id: &str, ticket: &str) -> Result<bool, StorageError> {
        let (id, ticket, now) = (id.to_owned(), ticket.to_owned(), self.now());
        self.read("look at a task", move |conn| {
            let found = find(conn, now.0, &id)?;
            Ok(found.is_some_and(|found| {
                found.task.running.is_some() && found.ticket.as_deref() == Some(ticket.as_str())
            }))
        })
        .await
    }

    async fn finish_task(
        &self,
        id: &str,
        ticket: &str,
        error: Option<&str>,
    ) -> Result<bool, StorageError> {
        let (id, ticket) = (id.to_owned(), ticket.to_owned());
        let error = error.map(str::to_owned);
        self.write("finish a task", move |tx| {
            match find(tx, tx.now_ms(), &id)? {
                Some(found) if found.ticket.as_deref() == Some(ticket.as_str()) => {
                    end(tx, &found.task, error.as_deref())?;
                    Ok(true)
                }
                _ => Ok(false),
            }
        })
        .await
    }

    async fn trigger_task(&self, id: &str) -> Result<TaskAnswer, StorageError> {
        let id = id.to_owned();
        self.write("trigger a task", move |tx| {
            let now = tx.now_ms();
            match find(tx, now, &id)? {
                None => Ok(TaskAnswer::Unknown),
                Some(found) if found.task.running.is_some() => Ok(TaskAnswer::WrongState),
                Some(_) => {
                    tx.run(
                        "UPDATE scheduled_tasks SET next_run = ?2 WHERE task_id = ?1",
                        params![id, now],
                    )?;
                    Ok(TaskAnswer::Done)
                }
            }
        })
        .await
    }

    async fn cancel_task(&self, id: &str) -> Result<TaskAnswer, StorageError> {
        let id = id.to_owned();
        self.write("cancel a task", move |tx| {
            match find(tx, tx.now_ms(), &id)? {
                None => Ok(TaskAnswer::Unknown),
                Some(found) if found.task.running.is_none() => Ok(TaskAnswer::WrongState),
                Some(found) => {
                    end(tx, &found.task, Some("Task was cancelled"))?;
                    Ok(TaskAnswer::Done)
                }
            }
        })
        .await
    }
}

fn claim(
    tx: &mut WriteTx<'_>,
    id: &str,
    worker: &WorkerId,
    ticket: &str,
) -> rusqlite::Result<bool> {
    let now = tx.now();
    let Some(Found {
        task,
        ticket: former,
    }) = find(tx, now.0, id)?
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
         SET worker_id = ?2, ticket = ?3, started_at = ?4, expires_at = ?5, error = ?6 WHERE task_id = ?1",
        params![
            id,
            worker.0,
            ticket,
            now.0,
            now.plus_ms(ms(task.settings.timeout_ms)).0,
            error
        ],
    )?;
    Ok(true)
}

/// Ends the run under way and sets the time of the next.
fn end(tx: &mut WriteTx<'_>, task: &ScheduledTask, error: Option<&str>) -> rusqlite::Result<()> {
    let now = tx.now();
    let next = task.next_run.plus_ms(ms(task.settings.cadence_ms)).max(now);
    tx.run(
        "UPDATE scheduled_tasks SET worker_id = NULL, ticket = NULL, started_at = NULL, expires_at = NULL,
             ended_at = ?2, error = ?3, next_run = ?4 WHERE task_id = ?1",
        params![task.id, now.0, error, next.0],
    )?;
    Ok(())
}
