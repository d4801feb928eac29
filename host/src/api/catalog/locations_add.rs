//! `POST /locations`: registering a location, or trying what that would bring (ref §7.8).

use axum::extract::State;
use axum::response::Response;
use greenroom_model::{LocationRef, location};
use greenroom_storage::{AddedLocation, NewLocation, ProvidedEntity, RefreshScope, RunKind};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::location_settings::{LocationSettings, OnConflict};
use super::location_spec::location_of;
use super::locations::body_of;
use crate::api::audit::Deed;
use crate::api::auth::{Access, Write};
use crate::api::body::JsonBody;
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
    let dry_run = params.one("dryRun")?.is_some_and(is_yes);
    let on_conflict = match params.one("onConflict")? {
        None => None,
        Some("reject") => Some(OnConflict::Reject),
        Some("refresh") => Some(OnConflict::Refresh),
        Some(_) => {
            let problem = "must be equal to one of the allowed values: reject, refresh";
            return Err(ApiError::input(format!(
                "request/query/onConflict {problem}"
            )));
        }
    };
    let body = body.unwrap_or_default();
    let location = location_of(&body, "request/body")?;
    if dry_run {
        return try_location(&access, &state, &location, &body).await;
    }
    let settings = LocationSettings::of(&state, access.tenant).await?;
    settings.may_change()?;
    let on_conflict = on_conflict.unwrap_or(settings.on_conflict());
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
    let (tenant, subject) = (Some(access.tenant), location.to_string());
    let storage = Deed::new(&access.actor, tenant, "add_location", subject).on(&state);
    let added = match storage.add_location(access.tenant, new).await? {
        AddedLocation::Added(added) => added,
        AddedLocation::Exists(existing) if on_conflict == OnConflict::Refresh => {
            storage
                .refresh_entity(access.tenant, &existing.entity_ref, RefreshScope::Forced)
                .await?;
            existing
        }
        AddedLocation::OverQuota(over) => return Err(ApiError::conflict(over.to_string())),
        AddedLocation::Exists(_) => {
            return Err(ApiError::conflict(format!(
                "Location {location} already exists"
            )));
        }
    };
    state.wakes.outgoing.notify_one();
    Ok(extract::json(
        StatusCode::CREATED,
        &json!({"location": body_of(&added), "entities": []}),
    ))
}

/// `yn`, by which the original reads `dryRun`: what is no yes is a no.
fn is_yes(text: &str) -> bool {
    let yes = ["y", "yes", "true", "1", "on"];
    yes.iter().any(|yes| text.trim().eq_ignore_ascii_case(yes))
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
    if let Some(error) = runs::rejected(&result) {
        return Err(error);
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
