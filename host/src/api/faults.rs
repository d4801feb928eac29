//! Faults of a processor: the list, and one with its whole request, which needs scope `admin` (l04).

use axum::extract::State;
use axum::response::Response;
use greenroom_model::ProcessorName;
use greenroom_storage::FaultRecord;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Access, Admin, Read};
use super::error::ApiError;
use super::extract::{self, Params, Segments};
use super::processors::{ProcessorPath, named};
use super::state::ApiState;

/// As many as are kept.
const MAX_LIMIT: u64 = 100;

#[derive(Deserialize)]
pub(super) struct FaultPath {
    name: String,
    id: String,
}

fn body_of(fault: &FaultRecord) -> Value {
    let mut body = json!(fault);
    let stored =
        |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::from(text));
    body["backtrace"] = stored(&fault.backtrace);
    body["log"] = stored(&fault.log);
    if let Some(request) = &fault.request {
        body["request"] = match stored(request) {
            Value::Object(mut recorded) => recorded.remove("call").unwrap_or_default(),
            other => other,
        };
    }
    body
}

/// `GET …/processors/{name}/faults?limit`, newest first. Faults of bundled processors are under their names.
pub(super) async fn list_faults(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.only(&["limit"])?;
    let limit = params
        .integer("limit", 1)?
        .unwrap_or(MAX_LIMIT)
        .min(MAX_LIMIT);
    let name = named(&path.name)?;
    let faults = state
        .storage
        .list_faults(
            access.tenant,
            &name,
            u32::try_from(limit).unwrap_or(u32::MAX),
        )
        .await?;
    let items: Vec<Value> = faults.iter().map(body_of).collect();
    Ok(extract::json(StatusCode::OK, &json!({"items": items})))
}

/// `GET …/processors/{name}/faults/{id}`
pub(super) async fn find_fault(
    access: Access<Admin>,
    State(state): State<ApiState>,
    Segments(path): Segments<FaultPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let (_, fault) = find(&state, &access, &path).await?;
    Ok(extract::json(StatusCode::OK, &body_of(&fault)))
}

/// `GET …/processors/{name}/faults/{id}/request`: the recorded call as a file, which `greenroom processor replay` takes.
pub(super) async fn download_fault_request(
    access: Access<Admin>,
    State(state): State<ApiState>,
    Segments(path): Segments<FaultPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let (name, fault) = find(&state, &access, &path).await?;
    let recorded = fault.request.ok_or_else(|| {
        ApiError::not_found(
            "The request of this fault is no longer kept: newer faults of the processor needed its room",
        )
    })?;
    let mut response = extract::json_text(StatusCode::OK, recorded);
    let file = format!("attachment; filename=\"{name}-{}.json\"", fault.id);
    let file = HeaderValue::from_str(&file)
        .map_err(|error| ApiError::internal(format!("name a download: {error}")))?;
    response
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, file);
    Ok(response)
}

async fn find(
    state: &ApiState,
    access: &Access<Admin>,
    path: &FaultPath,
) -> Result<(ProcessorName, FaultRecord), ApiError> {
    let name = named(&path.name)?;
    let fault = state
        .storage
        .find_fault(access.tenant, &name, &path.id)
        .await?;
    match fault {
        Some(fault) => Ok((name, fault)),
        None => Err(ApiError::not_found(
            "No fault of that id; the last 100 of a processor are kept, for 30 days",
        )),
    }
}
