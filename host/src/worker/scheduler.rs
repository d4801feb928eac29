//! Recurring work: each task is run by one worker of the cluster at a time, when it is due or somebody triggered it
//! (DESIGN §8; ref §8).
//!
//! Storage holds the times and the tickets, so a schedule outlives restarts and a dead worker's run is taken over. A run
//! whose ticket was taken away (it was cancelled, or the lease ran out) is dropped where it is; what tasks do is made of
//! short transactions and can be repeated.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_model::Clock;
use greenroom_storage::{Storage, StorageError, TaskSettings, WorkerId};
use tracing::{info, warn};

use super::audit::Auditor;
use crate::lifecycle::{Essential, Stopping};
use crate::metrics::Metric;
use crate::supervisor::Pulse;

/// How often due tasks are looked for, and whether a run may go on.
const LOOK: Duration = Duration::from_secs(1);
const DAY_MS: u64 = 86_400_000;
/// Backstage's word for a task that one worker of the cluster runs.
const SCOPE: &str = "global";

/// What a run of a task comes to.
type Run = Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send>>;

/// Something to be done again and again.
pub(crate) struct Task {
    id: &'static str,
    settings: TaskSettings,
    run: Box<dyn Fn() -> Run + Send + Sync>,
}

impl Task {
    /// Removes rows past their retention.
    pub(crate) fn retention(storage: &Arc<dyn Storage>) -> Self {
        let storage = Arc::clone(storage);
        Self {
            id: "catalog_retention",
            settings: TaskSettings {
                cadence_ms: 600_000,
                initial_delay_ms: 600_000,
                timeout_ms: 300_000,
            },
            run: Box::new(move || {
                let storage = Arc::clone(&storage);
                Box::pin(async move { storage.sweep().await.map(|_| ()) })
            }),
        }
    }

    /// Completes mutations whose process died while it applied them.
    pub(crate) fn mutations(storage: &Arc<dyn Storage>) -> Self {
        let storage = Arc::clone(storage);
        Self {
            id: "catalog_mutations",
            settings: TaskSettings {
                cadence_ms: 60_000,
                initial_delay_ms: 60_000,
                timeout_ms: 3_600_000,
            },
            run: Box::new(move || {
                let storage = Arc::clone(&storage);
                Box::pin(async move {
                    let completed = storage.resume_mutations().await?;
                    if completed > 0 {
                        info!(completed, "mutations of a process that died");
                    }
                    Ok(())
                })
            }),
        }
    }

    /// Computes everything again from what is stored, and mends what differs. It may take most of a day, because it rests
    /// longer than it works.
    pub(crate) fn audit(auditor: Auditor) -> Self {
        let auditor = Arc::new(auditor);
        Self {
            id: "catalog_audit",
            settings: TaskSettings {
                cadence_ms: DAY_MS,
                initial_delay_ms: 3_600_000,
                timeout_ms: DAY_MS,
            },
            run: Box::new(move || {
                let auditor = Arc::clone(&auditor);
                Box::pin(async move { auditor.run().await })
            }),
        }
    }
}

/// Runs tasks when they are due.
pub(crate) struct Scheduler {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) worker: WorkerId,
    pub(crate) tasks: Vec<Task>,
    pub(crate) pulse: Pulse,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Scheduler {
    /// Runs its tasks in turn until the process stops.
    pub(crate) async fn schedule(self, essential: Essential, mut stopping: Stopping) {
        let mut kept = false;
        loop {
            let turn = async {
                // Storage, and tasks with a time limit.
                let work = async {
                    kept = kept || self.keep().await;
                    self.run_due().await;
                };
                essential.waiting(work).await;
                tokio::time::sleep(LOOK).await;
            };
            // A run that is cut off here is taken over by another worker, or repeated after the next start.
            tokio::select! {
                () = stopping.wait() => return,
                () = turn => {}
            }
        }
    }

    /// Says which tasks there are; `false` if that is to be said again.
    async fn keep(&self) -> bool {
        for task in &self.tasks {
            if let Err(error) = self.storage.keep_task(task.id, task.settings).await {
                warn!(%error, task.id, "could not schedule a task");
                return false;
            }
        }
        true
    }

    async fn run_due(&self) {
        for task in &self.tasks {
            let ticket = uuid::Uuid::new_v4().to_string();
            match self.claim(task, &ticket).await {
                Ok(true) => self.run(task, &ticket).await,
                Ok(false) => {}
                Err(error) => warn!(%error, task.id, "could not look at a task"),
            }
        }
    }

    /// A look first: mostly nothing is due, and then no write lock is taken.
    async fn claim(&self, task: &Task, ticket: &str) -> Result<bool, StorageError> {
        let known = self.storage.list_tasks().await?;
        let known = known.iter().find(|known| known.id == task.id);
        if known.is_none_or(|known| known.running.is_some()) {
            return Ok(false);
        }
        self.storage.claim_task(task.id, &self.worker, ticket).await
    }

    async fn run(&self, task: &Task, ticket: &str) {
        let began = Instant::now();
        self.count(task, "started");
        self.note_time(Metric::TaskStarted, &[task.id]);
        let running = tokio::time::timeout(
            Duration::from_millis(task.settings.timeout_ms),
            (task.run)(),
        );
        let ended = tokio::select! {
            ended = running => ended,
            () = self.ticket_is_taken(task, ticket) => {
                info!(task.id, "a run of a task was cancelled");
                self.count(task, "failed");
                self.note_time(Metric::TaskCompleted, &[task.id, SCOPE, "failed"]);
                return;
            }
        };
        let error = match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("Task timed out".to_owned()),
        };
        let result = match error {
            None => "completed",
            Some(_) => "failed",
        };
        self.count(task, result);
        let labels = [task.id, SCOPE, result];
        self.note_time(Metric::TaskCompleted, &labels);
        let seconds = began.elapsed().as_secs_f64();
        self.pulse
            .sheet()
            .observe(Metric::TaskDuration, &labels, seconds);
        if let Some(error) = &error {
            warn!(error, task.id, "a task failed");
        }
        let finished = self
            .storage
            .finish_task(task.id, ticket, error.as_deref())
            .await;
        if let Err(error) = finished {
            warn!(%error, task.id, "could not finish a task; it is due again when its time is over");
        }
    }

    fn count(&self, task: &Task, result: &str) {
        let labels = [task.id, SCOPE, result];
        self.pulse.sheet().add(Metric::TaskRuns, &labels, 1.0);
    }

    fn note_time(&self, metric: Metric, labels: &[&str]) {
        let now = self.clock.now().0 as f64 / 1_000.0;
        self.pulse.sheet().raise(metric, labels, now);
    }

    async fn ticket_is_taken(&self, task: &Task, ticket: &str) {
        loop {
            tokio::time::sleep(LOOK).await;
            match self.storage.holds_task(task.id, ticket).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => warn!(%error, task.id, "could not look at a task"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use greenroom_model::Timestamp;
    use greenroom_storage::{ScheduledTask, TaskAnswer};
    use greenroom_storage_sqlite::SqliteStorage;
    use tempfile::TempDir;

    use super::*;
    use crate::lifecycle::{Lifecycle, TURN_BOUND};

    struct StandingClock;

    impl Clock for StandingClock {
        fn now(&self) -> Timestamp {
            Timestamp(1_800_000_000_000)
        }
    }

    struct World {
        storage: Arc<dyn Storage>,
        lifecycle: Arc<Lifecycle>,
        _directory: TempDir,
    }

    /// A storage with one task that is due, and a worker that runs it as told.
    async fn world(timeout_ms: u64, run: impl Fn() -> Run + Send + Sync + 'static) -> World {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("db");
        let storage: Arc<dyn Storage> =
            Arc::new(SqliteStorage::open(&path, Arc::new(StandingClock)).unwrap());
        let worker = WorkerId("w".into());
        storage.renew_lease(&worker).await.unwrap();
        let task = Task {
            id: "t",
            settings: TaskSettings {
                cadence_ms: 60_000,
                initial_delay_ms: 0,
                timeout_ms,
            },
            run: Box::new(run),
        };
        let lifecycle = Lifecycle::new();
        let scheduler = Scheduler {
            storage: Arc::clone(&storage),
            worker,
            tasks: vec![task],
            pulse: Pulse::default(),
            clock: Arc::new(StandingClock),
        };
        let essential = lifecycle.essential("schedule", TURN_BOUND);
        lifecycle.spawn(scheduler.schedule(essential, lifecycle.stopping()));
        World {
            storage,
            lifecycle,
            _directory: directory,
        }
    }

    impl World {
        async fn until(&self, is: impl Fn(&ScheduledTask) -> bool) -> ScheduledTask {
            loop {
                let task = self.storage.list_tasks().await.unwrap().pop();
                if let Some(task) = task.filter(|task| is(task)) {
                    return task;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }

        async fn stop(self) {
            assert_eq!(self.lifecycle.drain(Duration::from_secs(5)).await, 0);
        }
    }

    #[tokio::test]
    async fn a_due_task_runs_once_and_again_when_triggered() {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let world = world(60_000, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(()) })
        })
        .await;
        let task = world.until(|task| task.last_ended.is_some()).await;
        assert_eq!((task.last_error, task.running), (None, None));
        assert_eq!(task.next_run, StandingClock.now().plus_ms(60_000));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        let asked = world.storage.trigger_task("t").await.unwrap();
        assert_eq!(asked, TaskAnswer::Done);
        world
            .until(|task| task.next_run > StandingClock.now())
            .await;
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        world.stop().await;
    }

    #[tokio::test]
    async fn a_run_that_takes_too_long_or_fails_says_so() {
        let world = world(50, || Box::pin(std::future::pending())).await;
        let task = world.until(|task| task.last_ended.is_some()).await;
        assert_eq!(task.last_error.as_deref(), Some("Task timed out"));
        world.stop().await;
        let world = self::world(60_000, || {
            let source = "the disk is full".into();
            let failed = StorageError::Failed {
                operation: "sweep",
                source,
            };
            Box::pin(std::future::ready(Err(failed)))
        })
        .await;
        let task = world.until(|task| task.last_ended.is_some()).await;
        assert!(task.last_error.is_some_and(|error| error.contains("sweep")));
        world.stop().await;
    }

    /// Says that it was dropped.
    struct Dropped(Arc<AtomicU32>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_cancelled_run_is_dropped_where_it_is() {
        let dropped = Arc::new(AtomicU32::new(0));
        let told = Arc::clone(&dropped);
        let world = world(60_000, move || {
            let told = Dropped(Arc::clone(&told));
            Box::pin(async move {
                let _told = told;
                std::future::pending().await
            })
        })
        .await;
        world.until(|task| task.running.is_some()).await;
        assert_eq!(
            world.storage.cancel_task("t").await.unwrap(),
            TaskAnswer::Done
        );
        while dropped.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let task = world.until(|task| task.running.is_none()).await;
        assert_eq!(task.last_error.as_deref(), Some("Task was cancelled"));
        world.stop().await;
    }

    /// The only task of two schedulers, and who began it.
    fn forever(name: &'static str, begun: &Arc<std::sync::Mutex<Vec<&'static str>>>) -> Task {
        let begun = Arc::clone(begun);
        Task {
            id: "t",
            settings: TaskSettings {
                cadence_ms: 60_000,
                initial_delay_ms: 0,
                timeout_ms: 60_000,
            },
            run: Box::new(move || {
                begun.lock().unwrap().push(name);
                Box::pin(std::future::pending())
            }),
        }
    }

    #[tokio::test]
    async fn a_task_has_one_runner_in_the_cluster_and_another_when_that_is_killed() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("db");
        let begun = Arc::default();
        let lifecycle = Lifecycle::new();
        let mut running = tokio::task::JoinSet::new();
        let mut workers = Vec::new();
        for name in ["one", "two"] {
            // Each with its own handle, as processes have.
            let storage = SqliteStorage::open(&path, Arc::new(StandingClock)).unwrap();
            let storage: Arc<dyn Storage> = Arc::new(storage);
            let worker = WorkerId(name.into());
            storage.renew_lease(&worker).await.unwrap();
            let scheduler = Scheduler {
                storage,
                worker,
                tasks: vec![forever(name, &begun)],
                pulse: Pulse::default(),
                clock: Arc::new(StandingClock),
            };
            let essential = lifecycle.essential("schedule", TURN_BOUND);
            let stopping = lifecycle.stopping();
            let handle = running.spawn(scheduler.schedule(essential, stopping));
            workers.push((name, handle));
        }
        let runners = || begun.lock().unwrap().clone();
        while runners().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Longer than it takes both to look for what is due.
        tokio::time::sleep(LOOK * 2).await;
        let first = runners();
        assert_eq!(first.len(), 1, "{first:?}");
        let (killed, others): (Vec<_>, Vec<_>) =
            workers.into_iter().partition(|(name, _)| *name == first[0]);
        for (name, scheduler) in killed {
            // As `kill -9`: it says nothing. Its `serve` tells storage, or its lease runs out.
            scheduler.abort();
            let storage = SqliteStorage::open(&path, Arc::new(StandingClock)).unwrap();
            let storage: Arc<dyn Storage> = Arc::new(storage);
            storage.expire_worker(&WorkerId(name.into())).await.unwrap();
        }
        while runners().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(runners()[1], others[0].0, "the other one took it over");
        lifecycle.stop();
        while running.join_next().await.is_some() {}
    }
}
