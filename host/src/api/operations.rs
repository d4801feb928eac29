//! What a process says of itself: probes and metrics, on the operations listener of the API and of a worker that runs alone.
//!
//! Two tasks keep it: one asks storage every few seconds whether it answers, one takes figures of the database when somebody
//! scrapes. Neither is in the way of a request: a probe or a scrape answers from what is known.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use greenroom_model::Clock;
use greenroom_storage::Storage;
use tokio::time::Instant;

use super::database_figures::DatabaseFigures;
use super::probes;
use super::router;
use crate::lifecycle::{Essential, Lifecycle, Stopping, TURN_BOUND};
use crate::metrics::{Metric, Sheet};
use crate::supervisor::{Pulse, Supervisor};

/// Time between two looks at storage.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long one look may take.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// What the composition root hands over.
#[derive(Clone)]
pub struct OperationsParts {
    /// The database.
    pub storage: Arc<dyn Storage>,
    /// The time, for what is overdue.
    pub clock: Arc<dyn Clock>,
    /// Owner of the tasks, which knows whether those of the process turn.
    pub lifecycle: Arc<Lifecycle>,
    /// What is shown at `/metrics`.
    pub sheet: Arc<Sheet>,
    /// What the process is for.
    pub role: Role,
}

/// What a process is for: it is ready when it can do that.
#[derive(Clone)]
pub enum Role {
    /// It answers. Its workers are in the body of readiness.
    Api(Option<Arc<Supervisor>>),
    /// It claims.
    Worker(Pulse),
}

impl Role {
    fn process(&self) -> &'static str {
        match self {
            Self::Api(_) => "api",
            Self::Worker(_) => "worker",
        }
    }
}

/// The operations of a process; a clone is one reference count.
#[derive(Clone)]
pub struct Operations(Arc<Kept>);

/// What is behind an [`Operations`].
pub struct Kept {
    pub(super) parts: OperationsParts,
    /// When storage last answered.
    answered: Mutex<Option<Instant>>,
    pub(super) figures: DatabaseFigures,
}

impl Deref for Operations {
    type Target = Kept;

    fn deref(&self) -> &Kept {
        &self.0
    }
}

impl Operations {
    /// Starts what watches; must be called within a tokio runtime.
    pub fn start(parts: OperationsParts) -> Self {
        let kept = Arc::new(Kept {
            figures: DatabaseFigures::default(),
            answered: Mutex::default(),
            parts,
        });
        let operations = Self(Arc::clone(&kept));
        let parts = &kept.parts;
        let watched = Arc::downgrade(&kept);
        parts.sheet.measure(move |sheet| {
            if let Some(kept) = watched.upgrade() {
                kept.measure(sheet);
            }
        });
        let essential = parts.lifecycle.essential("watch", TURN_BOUND);
        let stopping = parts.lifecycle.stopping();
        parts
            .lifecycle
            .spawn(watch(operations.clone(), essential, stopping));
        let stopping = parts.lifecycle.stopping();
        parts
            .lifecycle
            .spawn(super::database_figures::take(operations.clone(), stopping));
        operations
    }

    /// Probes and `/metrics`, for a listener of its own.
    pub fn router(&self) -> Router {
        router::operations_router(self)
    }
}

impl Kept {
    /// Time since storage answered; `None` if it never has.
    pub(super) fn since_answer(&self) -> Option<Duration> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.map(|at| at.elapsed())
    }

    /// Storage has answered.
    pub(super) fn note_answer(&self) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn measure(&self, sheet: &Sheet) {
        let parts = &self.parts;
        let process = [parts.role.process()];
        let age = self.since_answer();
        sheet.replace(
            Metric::StorageAnsweredAge,
            age.iter()
                .map(|age| (process.as_slice(), age.as_secs_f64())),
        );
        let age = self.figures.age();
        sheet.replace(
            Metric::FiguresAge,
            age.iter()
                .map(|age| (process.as_slice(), age.as_secs_f64())),
        );
        if let Role::Api(_) = parts.role {
            sheet.set(Metric::Tasks, &process, parts.lifecycle.tasks() as f64);
            let failures = parts.storage.failures() as f64;
            sheet.set(Metric::StorageErrors, &process, failures);
        }
    }
}

/// Looks at storage until the process stops. A look has a patience of its own, so a slow database never makes this hang.
async fn watch(operations: Operations, essential: Essential, mut stopping: Stopping) {
    loop {
        essential.turn();
        let look = operations.parts.storage.ping();
        if let Ok(Ok(())) = tokio::time::timeout(LOOK_PATIENCE, look).await {
            operations.note_answer();
        }
        tokio::select! {
            () = stopping.wait() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Whether it can do what it is for; else why not.
pub(super) fn not_ready(operations: &Operations) -> Option<probes::Failing> {
    let parts = &operations.parts;
    if parts.lifecycle.stopping().is_stopping() {
        return Some(probes::Failing::new(
            "Backend is shutting down",
            "lifecycle",
        ));
    }
    let (since, never, late, check) = match &parts.role {
        Role::Api(_) => (
            operations.since_answer(),
            "Backend has not started yet",
            "storage does not answer",
            "storage",
        ),
        Role::Worker(pulse) => (
            pulse.since_claim(),
            "the worker has not claimed yet",
            "the worker does not claim",
            "claims",
        ),
    };
    match since {
        None => Some(probes::Failing::new(never, check)),
        Some(age) if age >= probes::ANSWER_COUNTS => Some(probes::Failing::new(late, check)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use axum::body::Body;
    use greenroom_model::Timestamp;
    use greenroom_storage_sqlite::SqliteStorage;
    use http::Request;
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tempfile::TempDir;
    use tower::ServiceExt as _;

    use super::*;

    struct StandingClock(AtomicI64);

    impl Clock for StandingClock {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }
    }

    /// The operations of a process, over a database that answers.
    struct World {
        operations: Operations,
        lifecycle: Arc<Lifecycle>,
        _directory: TempDir,
    }

    async fn world(role: Role, sheet: Arc<Sheet>) -> World {
        let directory = TempDir::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(StandingClock(AtomicI64::new(1_800_000_000_000)));
        let storage = SqliteStorage::open(&directory.path().join("db"), Arc::clone(&clock));
        let lifecycle = Lifecycle::new();
        let operations = Operations::start(OperationsParts {
            storage: Arc::new(storage.unwrap()),
            clock,
            lifecycle: Arc::clone(&lifecycle),
            sheet,
            role,
        });
        while operations.since_answer().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        World {
            operations,
            lifecycle,
            _directory: directory,
        }
    }

    impl World {
        async fn get(&self, path: &str) -> (u16, String) {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let reply = self.operations.router().oneshot(request).await.unwrap();
            let status = reply.status().as_u16();
            let bytes = reply.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(bytes.to_vec()).unwrap())
        }

        /// What each probe answers: `ok`, or the check that failed.
        async fn probes(&self) -> [String; 3] {
            let mut answers = Vec::new();
            for probe in ["liveness", "readiness", "startup"] {
                let path = format!("/.backstage/health/v1/{probe}");
                let (status, body) = self.get(&path).await;
                let body: Value = serde_json::from_str(&body).unwrap();
                answers.push(match status {
                    200 => "ok".to_owned(),
                    503 => body["check"].as_str().unwrap().to_owned(),
                    other => panic!("{probe}: {other}"),
                });
            }
            answers.try_into().unwrap()
        }

        fn storage_answered(&self, ago: Duration) {
            let at = Instant::now().checked_sub(ago);
            *self.operations.answered.lock().unwrap() = at;
        }
    }

    /// Older than what counts.
    const LONG_AGO: Duration = Duration::from_secs(31);

    #[tokio::test]
    async fn readiness_of_the_api_fails_when_storage_does_not_answer_and_nothing_else_does() {
        let world = world(Role::Api(None), Arc::default()).await;
        assert_eq!(world.probes().await, ["ok", "ok", "ok"]);
        world.storage_answered(LONG_AGO);
        assert_eq!(world.probes().await, ["ok", "storage", "ok"]);
        world.storage_answered(LONG_AGO - Duration::from_secs(5));
        assert_eq!(world.probes().await, ["ok", "ok", "ok"]);
    }

    #[tokio::test]
    async fn startup_turns_ok_with_the_first_answer_of_storage() {
        let world = world(Role::Api(None), Arc::default()).await;
        *world.operations.answered.lock().unwrap() = None;
        assert_eq!(world.probes().await, ["ok", "storage", "storage"]);
        world.storage_answered(LONG_AGO);
        assert_eq!(world.probes().await, ["ok", "storage", "ok"], "once");
    }

    #[tokio::test]
    async fn liveness_fails_when_an_essential_task_ends_or_hangs_and_nothing_else_does() {
        let world = world(Role::Api(None), Arc::default()).await;
        let waits = world.lifecycle.essential("waits", Duration::ZERO);
        world
            .lifecycle
            .spawn(async move { waits.waiting(std::future::pending()).await });
        tokio::time::sleep(Duration::from_millis(2)).await;
        // However slow the database is, nobody restarts a process for it.
        world.storage_answered(LONG_AGO);
        assert_eq!(world.probes().await, ["ok", "storage", "ok"]);
        world.storage_answered(Duration::ZERO);
        let hangs = world.lifecycle.essential("hangs", Duration::from_millis(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(world.probes().await, ["hangs", "ok", "ok"]);
        hangs.turn();
        drop(hangs);
        assert_eq!(world.probes().await, ["hangs", "ok", "ok"], "it has ended");
    }

    #[tokio::test]
    async fn a_process_that_stops_is_alive_and_not_ready() {
        let world = world(Role::Api(None), Arc::default()).await;
        drop(world.lifecycle.essential("ends", Duration::from_secs(1)));
        world.lifecycle.stop();
        assert_eq!(world.probes().await, ["ok", "lifecycle", "ok"]);
    }

    #[tokio::test]
    async fn readiness_of_a_worker_fails_when_it_does_not_claim_and_nothing_else_does() {
        let pulse = Pulse::default();
        let world = world(Role::Worker(pulse.clone()), Arc::clone(pulse.sheet())).await;
        assert_eq!(world.probes().await, ["ok", "claims", "claims"]);
        pulse.claimed();
        assert_eq!(world.probes().await, ["ok", "ok", "ok"]);
        // It claims: whether storage answers a probe is no question of its readiness.
        world.storage_answered(LONG_AGO);
        assert_eq!(world.probes().await, ["ok", "ok", "ok"]);
        pulse.claimed_at(Instant::now().checked_sub(LONG_AGO).unwrap());
        assert_eq!(world.probes().await, ["ok", "claims", "ok"]);
    }

    #[tokio::test]
    async fn metrics_show_the_process_and_its_database() {
        let pulse = Pulse::default();
        pulse
            .sheet()
            .add(Metric::Calls, &["a", "p", "answered"], 2.0);
        let world = world(Role::Worker(pulse.clone()), Arc::clone(pulse.sheet())).await;
        let (status, text) = world.get("/metrics").await;
        assert_eq!(status, 200);
        for line in [
            "greenroom_processor_calls_total{tenant=\"a\",processor=\"p\",outcome=\"answered\"} 2",
            "greenroom_queue_oldest_age_seconds{lane=\"on-request\"} 0",
            "greenroom_retention_age_limit_seconds{table=\"tokens\"} 2592000",
            "greenroom_retention_largest_limit{table=\"reads\"} 268435456",
            "greenroom_live_workers 0",
            "# EOF",
        ] {
            assert!(
                text.lines().any(|one| one == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(text.contains("greenroom_storage_answered_age_seconds{process=\"worker\"} "));
        assert_eq!(world.get("/nothing").await.0, 404);
    }
}
