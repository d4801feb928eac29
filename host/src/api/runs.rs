//! Asking a worker: a row in `runs`, and waiting for its result (DESIGN §1).
//!
//! A request that leaves before it is answered cancels its run; a run that outlives its request on purpose (an accepted
//! upload) is made with [`start`] alone. At most 8 requests of a tenant wait at a time (h16).

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_model::TenantId;
use greenroom_storage::{NewRun, Run, RunId, RunKind, RunState};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Access, Deploy, Read};
use super::error::ApiError;
use super::extract::{self, Params, Segments};
use super::state::ApiState;

/// How long Backstage's routes wait for a worker.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Longest `wait` of our routes.
const MAX_WAIT_S: u64 = 60;
/// When to try again while a tenant's uploads wait, in seconds: about one compilation that goes well.
const BUSY_COMPILER_S: u32 = 5;
/// How long a request waits on when the process stops.
pub(super) const LAST_PATIENCE: Duration = Duration::from_secs(6);
/// Requests of one tenant that may wait at a time.
const MAX_WAITING: usize = 8;
/// Runs of one kind of one tenant that may be unfinished, those that are waited for and those that live by themselves.
const MAX_UNFINISHED: u32 = 8;
/// First and longest pause between two looks at a run; a wake-up ends a pause.
const LOOK_LEAST: Duration = Duration::from_millis(10);
const LOOK_MOST: Duration = Duration::from_millis(100);

/// The `wait` parameter of our routes.
pub(crate) fn wait_of(params: &Params) -> Result<Duration, ApiError> {
    let seconds = params
        .integer("wait", 0)?
        .map_or(PATIENCE.as_secs(), |wait| wait.min(MAX_WAIT_S));
    Ok(Duration::from_secs(seconds))
}

/// Queues a run.
pub(crate) async fn start(
    state: &ApiState,
    tenant: TenantId,
    kind: RunKind,
    request: &Value,
) -> Result<RunId, ApiError> {
    let id = RunId(uuid::Uuid::new_v4().to_string());
    let run = NewRun {
        id: id.clone(),
        kind,
        request: request.to_string(),
    };
    state.storage.create_run(tenant, run).await?;
    state.wakes.outgoing.notify_one();
    Ok(id)
}

/// Whether one more upload may wait to be inspected.
pub(crate) async fn room_to_inspect(state: &ApiState, tenant: TenantId) -> Result<(), ApiError> {
    let most = state.storage.quotas(tenant).await?.waiting_uploads;
    let open = state
        .storage
        .open_runs(tenant, RunKind::InspectRevision)
        .await?;
    if open < most {
        return Ok(());
    }
    let message = format!(
        "{open} uploads of this tenant wait to be compiled, one at a time, and at most {most} may; try again later"
    );
    Err(ApiError::too_many(message).after(BUSY_COMPILER_S))
}

/// Waits for a run; its result, or `None` if that takes longer than `patience`.
pub(crate) async fn wait(
    state: &ApiState,
    tenant: TenantId,
    id: &RunId,
    patience: Duration,
) -> Result<Option<Value>, ApiError> {
    let mut until = Instant::now() + patience;
    let mut pause = LOOK_LEAST;
    let (mut stopping, mut stops) = (state.lifecycle.stopping(), false);
    loop {
        let woken = state.wakes.incoming.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        match state.storage.find_run(tenant, id).await? {
            Some(Run {
                state: RunState::Done,
                result: Some(result),
                ..
            }) => {
                return serde_json::from_str(&result).map(Some).map_err(|error| {
                    ApiError::internal(format!("the result of a run does not parse: {error}"))
                });
            }
            Some(Run {
                state: RunState::Queued | RunState::Running,
                ..
            }) => {}
            _ => return Err(ApiError::unavailable("the run was cancelled; try again")),
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        tokio::select! {
            () = stopping.wait(), if !stops => {
                // Answered in time rather than cut off.
                stops = true;
                until = until.min(Instant::now() + LAST_PATIENCE);
            }
            () = &mut woken => {}
            () = tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))) => {}
        }
        pause = (pause * 2).min(LOOK_MOST);
    }
}

/// Runs something for a Backstage route: never 202, but 503 after 20 s, with the run cancelled.
pub(crate) async fn ask(
    state: &ApiState,
    tenant: TenantId,
    kind: RunKind,
    request: &Value,
) -> Result<Value, ApiError> {
    let _place = Place::take(state, tenant)?;
    let id = start(state, tenant, kind, request).await?;
    let mut leaving = CancelOnDrop {
        state: state.clone(),
        tenant,
        id: Some(id.clone()),
    };
    let result = wait(state, tenant, &id, PATIENCE).await?;
    let Some(result) = result else {
        return Err(ApiError::unavailable(
            "no worker answered within 20 s; try again",
        ));
    };
    leaving.id = None;
    match result.get("unavailable").and_then(Value::as_str) {
        Some(reason) => Err(ApiError::unavailable(format!("{reason}; try again"))),
        None => Ok(result),
    }
}

/// The errors of entities that a run found, joined as Backstage joins them.
pub(crate) fn rejected(result: &Value) -> Option<ApiError> {
    let errors = result.get("errors")?.as_array()?;
    let messages: Vec<&str> = errors
        .iter()
        .filter_map(|error| error["message"].as_str())
        .collect();
    Some(ApiError::input(messages.join(", ")))
}

/// Runs something for a route of ours: its result within `patience`, else 202 with its address. A client that leaves
/// before it is answered cancels the run; one that was accepted lives without its client.
pub(crate) async fn answer_or_accept(
    state: &ApiState,
    tenant: TenantId,
    kind: RunKind,
    request: &Value,
    patience: Duration,
) -> Result<Response, ApiError> {
    let _place = Place::take(state, tenant)?;
    let id = RunId(uuid::Uuid::new_v4().to_string());
    let run = NewRun {
        id: id.clone(),
        kind,
        request: request.to_string(),
    };
    if !state
        .storage
        .create_bounded_run(tenant, run, MAX_UNFINISHED)
        .await?
    {
        return Err(ApiError::too_many(format!(
            "{MAX_UNFINISHED} runs of this kind are unfinished in this tenant; wait for one of them"
        )));
    }
    state.wakes.outgoing.notify_one();
    let mut leaving = CancelOnDrop {
        state: state.clone(),
        tenant,
        id: Some(id.clone()),
    };
    let result = wait(state, tenant, &id, patience).await?;
    leaving.id = None;
    match result {
        Some(result) => answered(&result),
        None => accepted(state, tenant, &id, json!({"run": id})).await,
    }
}

/// 202 with the address of a run.
pub(crate) async fn accepted(
    state: &ApiState,
    tenant: TenantId,
    id: &RunId,
    body: Value,
) -> Result<Response, ApiError> {
    let mut response = extract::json(StatusCode::ACCEPTED, &body);
    if let Some(tenant) = state.storage.find_tenant_by_id(tenant).await?
        && let Ok(address) =
            HeaderValue::from_str(&format!("/tenants/{}/runs/{}", tenant.name, id.0))
    {
        response.headers_mut().insert(header::LOCATION, address);
    }
    Ok(response)
}

/// The result of a run as its own answer: a worker may have refused the run, or could not carry it out.
fn answered(result: &Value) -> Result<Response, ApiError> {
    if let Some(reason) = result.get("unavailable").and_then(Value::as_str) {
        return Err(ApiError::unavailable(format!("{reason}; try again")));
    }
    let Some(refused) = result.get("refused") else {
        return Ok(extract::json(StatusCode::OK, result));
    };
    let message = refused["message"].as_str().unwrap_or_default();
    Err(match refused["name"].as_str() {
        Some("NotFoundError") => ApiError::not_found(message),
        Some("ConflictError") => ApiError::conflict(message),
        _ => ApiError::input(message),
    })
}

/// One of a tenant's places to wait in.
struct Place {
    state: ApiState,
    tenant: TenantId,
}

impl Place {
    fn take(state: &ApiState, tenant: TenantId) -> Result<Self, ApiError> {
        let mut waiting = state
            .waiting_runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(tenant).or_default();
        if *count >= MAX_WAITING {
            return Err(ApiError::too_many(format!(
                "{MAX_WAITING} requests of this tenant wait for a worker already; try again"
            )));
        }
        *count += 1;
        drop(waiting);
        Ok(Self {
            state: state.clone(),
            tenant,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self
            .state
            .waiting_runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.tenant);
            }
        }
    }
}

/// Cancels a run that nobody waits for any more.
struct CancelOnDrop {
    state: ApiState,
    tenant: TenantId,
    id: Option<RunId>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Outside a runtime the process is ending, and nobody claims runs for it.
        if let Some(id) = self.id.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            let (state, tenant) = (self.state.clone(), self.tenant);
            self.state.lifecycle.spawn(async move {
                if let Err(error) = state.storage.cancel_run(tenant, &id).await {
                    tracing::warn!(%error, "a run could not be cancelled; it ends by itself");
                }
            });
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct RunPath {
    id: String,
}

/// `GET /tenants/{tenant}/runs/{id}`
pub(crate) async fn find_run(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<RunPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let run = state
        .storage
        .find_run(access.tenant, &RunId(path.id))
        .await?;
    let run = run.ok_or_else(no_run)?;
    let result = run
        .result
        .as_deref()
        .and_then(|result| serde_json::from_str::<Value>(result).ok());
    let body = json!({
        "id": run.id, "kind": run.kind, "state": run.state, "createdAt": run.created_at, "result": result,
    });
    Ok(extract::json(StatusCode::OK, &body))
}

/// `DELETE /tenants/{tenant}/runs/{id}`: a run that is not done is not carried out, or given up at its next step.
pub(crate) async fn cancel_run(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<RunPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let id = RunId(path.id);
    if state.storage.find_run(access.tenant, &id).await?.is_none() {
        return Err(no_run());
    }
    state.storage.cancel_run(access.tenant, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn no_run() -> ApiError {
    ApiError::not_found("No run of that id; runs are kept for 24 h")
}
