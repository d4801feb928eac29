//! Liveness, readiness and startup (DESIGN §8; ref §8), without a token and without a name in them (l07).
//!
//! **Liveness** says that the process makes progress: its runtime answers this, and every task it cannot do without lives and
//! turns. A slow database never restarts a pod: a task that waits for it is not suspected. **Startup** turns ok once.
//! **Readiness** of the API says that storage answered within 30 s, and that of a worker that it claims. Trouble of workers is
//! in the body of the API's readiness only: a catalog that is not kept current is still better served than not.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::extract;
use super::operations::{self, Operations, Role};

/// How long an answer of storage, or a claim, counts.
pub(super) const ANSWER_COUNTS: Duration = Duration::from_secs(30);

/// Why a probe answers no.
pub(super) struct Failing {
    message: String,
    check: &'static str,
}

impl Failing {
    pub(super) fn new(message: impl Into<String>, check: &'static str) -> Self {
        Self {
            message: message.into(),
            check,
        }
    }
}

/// `GET /.backstage/health/v1/liveness`
pub(crate) async fn show_liveness(State(operations): State<Operations>) -> Response {
    match operations.parts.lifecycle.stuck() {
        None => ok(),
        Some(stuck) => {
            let how = match stuck.ended {
                true => "has ended",
                false => "does not turn",
            };
            failing(&Failing::new(
                format!("a task of the backend {how}"),
                stuck.task,
            ))
        }
    }
}

/// `GET /.backstage/health/v1/startup`
pub(crate) async fn show_startup(State(operations): State<Operations>) -> Response {
    let (started, check) = match &operations.parts.role {
        Role::Api(_) => (operations.since_answer().is_some(), "storage"),
        Role::Worker(pulse) => (pulse.since_claim().is_some(), "claims"),
    };
    match started {
        true => ok(),
        false => failing(&Failing::new("Backend has not started yet", check)),
    }
}

/// `GET /.backstage/health/v1/readiness`
pub(crate) async fn show_readiness(State(operations): State<Operations>) -> Response {
    if let Some(why) = operations::not_ready(&operations) {
        return failing(&why);
    }
    match &operations.parts.role {
        Role::Api(_) => extract::json(
            StatusCode::OK,
            &json!({"status": "ok", "workers": workers(&operations)}),
        ),
        Role::Worker(_) => ok(),
    }
}

/// How the workers of this `serve` are: `restarts` rising and a `backoff` say that they crash.
fn workers(operations: &Operations) -> Value {
    let Role::Api(Some(workers)) = &operations.parts.role else {
        return Value::Null;
    };
    let status = workers.status();
    let mut body = json!({"running": status.running.len(), "restarts": status.restarts});
    if let (Some(end), Some(body)) = (status.last_end, body.as_object_mut()) {
        body.insert("lastEnd".to_owned(), end.as_str().into());
    }
    if let (Some(backoff), Some(body)) = (status.backoff, body.as_object_mut()) {
        body.insert("backoffSeconds".to_owned(), backoff.as_secs_f64().into());
    }
    body
}

fn ok() -> Response {
    extract::json(StatusCode::OK, &json!({"status": "ok"}))
}

fn failing(why: &Failing) -> Response {
    let body = json!({"status": "error", "message": why.message, "check": why.check});
    extract::json(StatusCode::SERVICE_UNAVAILABLE, &body)
}
