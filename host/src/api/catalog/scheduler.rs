//! `/.backstage/scheduler/v1/tasks`: recurring work of the host, where Backstage's plugins show theirs (ref §8).
//!
//! Tasks belong to the host and name no tenant, so whoever may read a catalog may list them; starting and ending their runs
//! needs the scope `admin`.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_storage::{ScheduledTask, TaskAnswer};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::audit::Deed;
use crate::api::auth::{Access, Admin, Read};
use crate::api::error::ApiError;
use crate::api::extract::{self, Params, Segments};
use crate::api::state::ApiState;

/// `GET …/tasks`
pub(super) async fn list_tasks(
    _access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let tasks = state.storage.list_tasks().await?;
    let tasks: Vec<Value> = tasks.iter().map(body_of).collect();
    Ok(extract::json(StatusCode::OK, &json!({"tasks": tasks})))
}

fn body_of(task: &ScheduledTask) -> Value {
    let settings = task.settings;
    let mut state = match &task.running {
        Some(running) => json!({
            "status": "running",
            "startedAt": running.started_at,
            "timesOutAt": running.times_out_at,
        }),
        None => json!({"status": "idle", "startsAt": task.next_run}),
    };
    if let Some(ended) = task.last_ended {
        state["lastRunEndedAt"] = json!(ended);
    }
    if let Some(error) = &task.last_error {
        // Text that holds JSON, as Backstage keeps it.
        let error = json!({"name": "Error", "message": error});
        state["lastRunError"] = error.to_string().into();
    }
    json!({
        "taskId": task.id,
        "pluginId": "catalog",
        "scope": "global",
        "settings": {
            "version": 2,
            "cadence": iso_duration(settings.cadence_ms),
            "initialDelayDuration": iso_duration(settings.initial_delay_ms),
            "timeoutAfterDuration": iso_duration(settings.timeout_ms),
        },
        "taskState": state,
        // Tasks run in workers, and this process is none.
        "workerState": null,
    })
}

/// An ISO 8601 duration in hours, minutes and seconds.
fn iso_duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    let parts = [(seconds / 3_600, 'H'), (seconds / 60 % 60, 'M')];
    let mut text = String::from("PT");
    for (count, unit) in parts.iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!("{count}{unit}"));
    }
    if !seconds.is_multiple_of(60) || text.len() == 2 {
        text.push_str(&format!("{}S", seconds % 60));
    }
    text
}

#[derive(Deserialize)]
pub(super) struct TaskPath {
    id: String,
}

/// `POST …/tasks/:id/trigger`
pub(super) async fn trigger_task(
    access: Access<Admin>,
    State(state): State<ApiState>,
    Segments(path): Segments<TaskPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let deed = deed(&access, "trigger_task", &path.id);
    let answer = deed.on(&state).trigger_task(&path.id).await?;
    done(&path.id, answer, "is currently running")
}

/// `POST …/tasks/:id/cancel`
pub(super) async fn cancel_task(
    access: Access<Admin>,
    State(state): State<ApiState>,
    Segments(path): Segments<TaskPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let deed = deed(&access, "cancel_task", &path.id);
    let answer = deed.on(&state).cancel_task(&path.id).await?;
    done(&path.id, answer, "is not running")
}

fn deed<'a>(access: &'a Access<Admin>, action: &'static str, id: &str) -> Deed<'a> {
    Deed::new(&access.actor, Some(access.tenant), action, id)
}

fn done(id: &str, answer: TaskAnswer, wrong_state: &str) -> Result<Response, ApiError> {
    let shown: String = id.chars().take(80).collect();
    match answer {
        TaskAnswer::Done => Ok(StatusCode::OK.into_response()),
        TaskAnswer::Unknown => Err(ApiError::not_found(format!("Task {shown} does not exist"))),
        TaskAnswer::WrongState => Err(ApiError::conflict(format!("Task {shown} {wrong_state}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_backstage_writes_them() {
        for (seconds, text) in [
            (0, "PT0S"),
            (24, "PT24S"),
            (600, "PT10M"),
            (3_600, "PT1H"),
            (3_725, "PT1H2M5S"),
        ] {
            assert_eq!(iso_duration(seconds * 1_000), text);
        }
    }
}
