//! `/tenants/{tenant}/processors/{name}/activations`: what became of each activation, and the one shown with a processor.
//!
//! Read only: an activation is made by activating or rolling back (`revisions`), and decided by the workers that run it.

use axum::extract::State;
use axum::response::Response;
use greenroom_model::TenantId;
use greenroom_storage::{ACTIVATIONS_KEPT, Activation, ActivationState, Processor};
use http::StatusCode;
use serde_json::{Value, json};

use super::auth::{Access, Read};
use super::error::ApiError;
use super::extract::{self, Params, Segments};
use super::processors::{self, ProcessorPath, named, no_processor};
use super::state::ApiState;

fn body_of(activation: &Activation) -> Value {
    let alarm = activation.alarm.as_ref().map(|alarm| {
        json!({"at": alarm.at, "reason": alarm.reason, "returnedTo": activation.returned_to})
    });
    let quarantined = activation.state == ActivationState::Quarantined;
    let (quarantine, alarm) = if quarantined {
        (alarm, None)
    } else {
        (None, alarm)
    };
    json!({
        "number": activation.number,
        "revision": activation.revision,
        "digest": activation.digest,
        "state": activation.state,
        "automatic": activation.automatic,
        "startedAt": activation.started_at,
        "endsAt": activation.ends_at,
        "processed": activation.processed,
        "matching": activation.matching,
        "regressions": activation.regressions,
        "quarantine": quarantine,
        "alarm": alarm.map(|alarm| json!({"at": alarm["at"], "reason": alarm["reason"]})),
    })
}

/// A processor with the activation that tells how it is.
pub(super) async fn with_activation(
    state: &ApiState,
    tenant: TenantId,
    processor: &Processor,
) -> Result<Value, ApiError> {
    let activation = state
        .storage
        .find_activation(tenant, &processor.name)
        .await?;
    let mut body = processors::body_of(processor);
    body["activation"] = activation.as_ref().map_or(Value::Null, body_of);
    Ok(body)
}

/// `GET …/processors/{name}/activations`, newest first
pub(super) async fn list_activations(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.only(&["limit"])?;
    let name = named(&path.name)?;
    if state
        .storage
        .find_processor(access.tenant, &name)
        .await?
        .is_none()
    {
        return Err(no_processor(&name));
    }
    let limit = params
        .integer("limit", 1)?
        .map_or(20, |limit| limit.min(u64::from(ACTIVATIONS_KEPT)));
    let limit = u32::try_from(limit).unwrap_or(ACTIVATIONS_KEPT);
    let items: Vec<Value> = state
        .storage
        .list_activations(access.tenant, &name, limit)
        .await?
        .iter()
        .map(body_of)
        .collect();
    Ok(extract::json(StatusCode::OK, &json!({"items": items})))
}
