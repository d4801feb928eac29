//! Liveness, readiness and startup (DESIGN §8; ref §8), without a token and without a name in them (l07).
//!
//! Liveness says that this process turns: its watch task has gone round within a minute. The watch asks storage with a
//! patience of its own, so a slow database never restarts a pod. Readiness says that storage answered within 30 s; trouble
//! of workers is in the body only.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::extract;
use super::state::ApiState;
use crate::lifecycle::Stopping;

/// Time between two looks at storage.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long one look may take.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer of storage counts.
const ANSWER_COUNTS: Duration = Duration::from_secs(30);
/// How long the watch may take for a round.
const ROUND_BOUND: Duration = Duration::from_secs(60);

/// When storage last answered, and when the watch last looked.
#[derive(Debug, Default)]
pub(crate) struct StorageWatch {
    answered: Mutex<Option<Instant>>,
    looked: Mutex<Option<Instant>>,
}

impl StorageWatch {
    fn note(at: &Mutex<Option<Instant>>) {
        *at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn age(at: &Mutex<Option<Instant>>) -> Option<Duration> {
        at.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .map(|at| at.elapsed())
    }
}

/// Looks at storage until the process stops, and sweeps the caches of the edge on the way.
pub(crate) async fn watch(state: ApiState, mut stopping: Stopping) {
    loop {
        StorageWatch::note(&state.storage_watch.looked);
        if let Ok(Ok(())) = tokio::time::timeout(LOOK_PATIENCE, state.storage.ping()).await {
            StorageWatch::note(&state.storage_watch.answered);
        }
        state.directory.sweep();
        tokio::select! {
            () = stopping.wait() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// `GET /.backstage/health/v1/liveness`
pub(crate) async fn show_liveness(State(state): State<ApiState>) -> Response {
    let turning =
        StorageWatch::age(&state.storage_watch.looked).is_none_or(|age| age < ROUND_BOUND);
    if turning || state.lifecycle.stopping().is_stopping() {
        extract::json(StatusCode::OK, &json!({"status": "ok"}))
    } else {
        error("a task of the backend does not turn", "watch")
    }
}

/// `GET /.backstage/health/v1/startup`
pub(crate) async fn show_startup(State(state): State<ApiState>) -> Response {
    if StorageWatch::age(&state.storage_watch.answered).is_some() {
        extract::json(StatusCode::OK, &json!({"status": "ok"}))
    } else {
        error("Backend has not started yet", "storage")
    }
}

/// `GET /.backstage/health/v1/readiness`
pub(crate) async fn show_readiness(State(state): State<ApiState>) -> Response {
    if state.lifecycle.stopping().is_stopping() {
        return error("Backend is shutting down", "lifecycle");
    }
    match StorageWatch::age(&state.storage_watch.answered) {
        None => error("Backend has not started yet", "storage"),
        Some(age) if age >= ANSWER_COUNTS => error("storage does not answer", "storage"),
        Some(_) => extract::json(
            StatusCode::OK,
            &json!({"status": "ok", "workers": workers(&state)}),
        ),
    }
}

fn workers(state: &ApiState) -> Value {
    state.workers.as_ref().map_or(Value::Null, |workers| {
        let status = workers.status();
        json!({"running": status.running.len(), "restarts": status.restarts})
    })
}

fn error(message: &str, check: &str) -> Response {
    let body = json!({"status": "error", "message": message, "check": check});
    extract::json(StatusCode::SERVICE_UNAVAILABLE, &body)
}
