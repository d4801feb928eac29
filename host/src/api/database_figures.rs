//! Figures of the database for `/metrics`: taken when somebody scrapes, shared by all who do, and never more than one part in
//! fifty of the database's time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use greenroom_storage::{Lane, ScheduledTask, StorageError, StorageFigures};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::warn;

use super::operations::Operations;
use crate::lifecycle::Stopping;
use crate::metrics::{Metric, Sheet};

/// Least time between two looks.
const LEAST: Duration = Duration::from_secs(30);
/// The same, as a multiple of the time that the last look took.
const REST: u32 = 50;
/// How long the first scrape waits for a look.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// How long a look may take.
const LOOK_PATIENCE: Duration = Duration::from_secs(60);

/// When figures were taken, and who waits for them.
#[derive(Debug)]
pub(super) struct DatabaseFigures {
    taken: Mutex<Option<Instant>>,
    asked: Notify,
    first: watch::Sender<bool>,
}

impl Default for DatabaseFigures {
    fn default() -> Self {
        Self {
            taken: Mutex::default(),
            asked: Notify::new(),
            first: watch::Sender::new(false),
        }
    }
}

impl DatabaseFigures {
    /// Somebody scrapes: he sees the last figures, and the next one newer ones. The first waits a little.
    pub(super) async fn ask(&self) {
        self.asked.notify_one();
        let mut first = self.first.subscribe();
        // Without figures a scrape has the rest.
        let _ = tokio::time::timeout(FIRST_PATIENCE, first.wait_for(|taken| *taken)).await;
    }

    /// Their age, if there are any.
    pub(super) fn age(&self) -> Option<Duration> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.map(|at| at.elapsed())
    }
}

/// Takes figures when they are asked for, until the process stops.
pub(super) async fn take(operations: Operations, mut stopping: Stopping) {
    let figures = &operations.figures;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            () = stopping.wait() => return,
            () = figures.asked.notified() => {}
        }
        let began = Instant::now();
        if began < next {
            continue;
        }
        let storage = &operations.parts.storage;
        let look = async {
            let figures = storage.figures().await?;
            Ok::<_, StorageError>((figures, storage.list_tasks().await?))
        };
        let looked = tokio::select! {
            () = stopping.wait() => return,
            looked = tokio::time::timeout(LOOK_PATIENCE, look) => looked,
        };
        match looked {
            Ok(Ok((of_storage, tasks))) => {
                let sheet = &operations.parts.sheet;
                show(sheet, &of_storage);
                show_tasks(sheet, &tasks, operations.parts.clock.now().0);
                let now = Instant::now();
                *figures.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
                figures.first.send_replace(true);
            }
            Ok(Err(error)) => {
                warn!(%error, "could not take figures of the database");
            }
            Err(_) => warn!("taking figures of the database took too long"),
        }
        next = Instant::now() + LEAST.max(began.elapsed() * REST);
    }
}

fn show(sheet: &Sheet, figures: &StorageFigures) {
    let kinds: Vec<([&str; 1], f64)> = figures
        .kinds
        .iter()
        .map(|(kind, count)| ([kind.as_str()], *count as f64))
        .collect();
    sheet.replace(
        Metric::Entities,
        kinds.iter().map(|(kind, count)| (kind.as_slice(), *count)),
    );
    for (metric, value) in [
        (Metric::Locations, figures.locations),
        (Metric::Relations, figures.relations),
        (Metric::StitchingQueueLength, figures.stitches),
        (Metric::QueueHeld, figures.held),
        (Metric::WaitingRuns, figures.waiting_runs),
        (Metric::DeadLetters, figures.dead_letters),
        (Metric::Conflicts, figures.conflicts),
        (Metric::LiveWorkers, figures.live_workers),
        (Metric::Quarantined, figures.quarantined),
        (Metric::DatabaseBytes, figures.bytes),
    ] {
        sheet.set(metric, &[], value as f64);
    }
    for (lane, name) in [
        (Lane::OnRequest, "on-request"),
        (Lane::New, "new"),
        (Lane::Changed, "changed"),
        (Lane::Bulk, "bulk"),
    ] {
        let found = figures.lanes.iter().find(|one| one.lane == lane);
        let (due, age_ms, drain_us) = found.map_or((0, 0, 0), |lane| {
            (lane.due, lane.oldest_age_ms, lane.drain_us)
        });
        sheet.set(Metric::QueueDepth, &[name], due as f64);
        sheet.set(Metric::QueueOldestAge, &[name], age_ms as f64 / 1e3);
        sheet.set(Metric::QueueDrain, &[name], drain_us as f64 / 1e6);
    }
    for table in &figures.tables {
        let name = [table.table];
        sheet.set(Metric::TableRows, &name, table.rows as f64);
        if let Some(limit_ms) = table.age_limit_ms {
            let age_ms = table.age_ms.unwrap_or_default();
            sheet.set(Metric::RetentionAge, &name, age_ms as f64 / 1e3);
            sheet.set(Metric::RetentionAgeLimit, &name, limit_ms as f64 / 1e3);
        }
        if let Some((largest, limit)) = table.largest {
            sheet.set(Metric::RetentionLargest, &name, largest as f64);
            sheet.set(Metric::RetentionLargestLimit, &name, limit as f64);
        }
    }
}

fn show_tasks(sheet: &Sheet, tasks: &[ScheduledTask], now_ms: i64) {
    for task in tasks {
        let id = [task.id.as_str()];
        let failed = f64::from(u8::from(task.last_error.is_some()));
        sheet.set(Metric::TaskFailed, &id, failed);
        let late_ms = match task.running {
            Some(_) => 0,
            None => now_ms.saturating_sub(task.next_run.0).max(0),
        };
        sheet.set(Metric::TaskOverdue, &id, late_ms as f64 / 1e3);
    }
}
