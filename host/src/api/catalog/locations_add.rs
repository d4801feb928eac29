//! `POST /locations`: registering a location, or trying what that would bring (ref §7.8).
//!
//! Only type `url` is taken here; `file` comes from the operator's configuration alone (y15). Targets need not be URLs.

use axum::extract::State;
use axum::response::Response;
use greenroom_model::{LocationRef, location};
use greenroom_storage::{AddedLocation, NewLocation, ProvidedEntity, RefreshScope, RunKind};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::locations::body_of;
use crate::api::audit::Deed;
use crate::api::auth::{Access, Write};
use crate::api::body::{JsonBody, Properties as _};
use crate::api::error::ApiError;
use crate::api::extract::{self, Params};
use crate::api::runs;
use crate::api::state::ApiState;

/// `POST /locations?dryRun&onConflict`
pub(super) async fn add_location(
    access: Access<Write>,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let params = params.only(&["dryRun", "onConflict"])?;
    let dry_run = params.flag("dryRun")?;
    let refresh = match params.one("onConflict")? {
        None | Some("reject") => false,
        Some("refresh") => true,
        Some(_) => {
            let problem = "must be equal to one of the allowed values: reject, refresh";
            return Err(ApiError::input(format!(
                "request/query/onConflict {problem}"
            )));
        }
    };
    let body = body.unwrap_or_default();
    let location = location_of(&body)?;
    if dry_run {
        return try_location(&access, &state, &location, &body).await;
    }
    let entity = location::generated(&location, None, None)
        .map_err(|error| ApiError::input(error.to_string()))?;
    let new = NewLocation {
        id: uuid::Uuid::new_v4().to_string(),
        entity: ProvidedEntity {
            entity_ref: entity.entity_ref(),
            unprocessed: entity.to_json(),
            location_key: Some(location.to_string()),
        },
        location: location.clone(),
    };
    let added = match state.storage.add_location(access.tenant, new).await? {
        AddedLocation::Added(added) => added,
        AddedLocation::Exists(existing) if refresh => {
            state
                .storage
                .refresh_entity(access.tenant, &existing.entity_ref, RefreshScope::Forced)
                .await?;
            existing
        }
        AddedLocation::Exists(_) => {
            return Err(ApiError::conflict(format!(
                "Location {location} already exists"
            )));
        }
    };
    state.wakes.outgoing.notify_one();
    Deed::new(
        &access.actor,
        Some(access.tenant),
        "add_location",
        location.to_string(),
    )
    .record(&state)
    .await?;
    Ok(extract::json(
        StatusCode::CREATED,
        &json!({"location": body_of(&added), "entities": []}),
    ))
}

fn location_of(body: &Map<String, Value>) -> Result<LocationRef, ApiError> {
    let target = body.required_text("target")?;
    let r#type = body.required_text("type")?;
    match body.text("presence")? {
        None | Some("required" | "optional") => {}
        Some(_) => {
            let problem = "must be equal to one of the allowed values: required, optional";
            return Err(ApiError::input(format!("request/body/presence {problem}")));
        }
    }
    if let Some(key) = body
        .keys()
        .find(|key| !matches!(key.as_str(), "type" | "target" | "presence"))
    {
        let shown: String = key.chars().take(80).collect();
        return Err(ApiError::input(format!(
            "request/body must NOT have additional property '{shown}'"
        )));
    }
    if r#type != "url" {
        return Err(ApiError::input(
            "Registered locations must be of an allowed type [\"url\"]",
        ));
    }
    let location = LocationRef::new(r#type, target);
    LocationRef::parse(&location.to_string())
        .map_err(|error| ApiError::input(error.to_string()))?;
    Ok(location)
}

async fn try_location(
    access: &Access<Write>,
    state: &ApiState,
    location: &LocationRef,
    body: &Map<String, Value>,
) -> Result<Response, ApiError> {
    let exists = state
        .storage
        .find_location_by_target(access.tenant, location)
        .await?
        .is_some();
    let request = Value::Object(body.clone());
    let result = runs::ask(state, access.tenant, RunKind::DryRunLocation, &request).await?;
    if let Some(errors) = result.get("errors").and_then(Value::as_array) {
        let messages: Vec<&str> = errors
            .iter()
            .filter_map(|error| error["message"].as_str())
            .collect();
        return Err(ApiError::input(messages.join(", ")));
    }
    let body = json!({
        "exists": exists,
        "location": {
            "id": location.to_string(),
            "type": location.r#type,
            "target": location.target,
            "entityRef": location::generated_ref(location),
        },
        "entities": result.get("entities").cloned().unwrap_or_else(|| json!([])),
    });
    Ok(extract::json(StatusCode::CREATED, &body))
}
