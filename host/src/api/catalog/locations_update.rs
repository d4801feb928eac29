//! `PUT /locations/:id`: what a location points at changes, its id and its entity stay (ref §6.3, §7.8).

use axum::extract::State;
use axum::response::Response;
use greenroom_model::location;
use greenroom_storage::{ProvidedEntity, UpdatedLocation};
use http::StatusCode;
use serde_json::json;

use super::location_settings::LocationSettings;
use super::location_spec::location_of;
use super::locations::{IdPath, body_of, no_location};
use crate::api::audit::Deed;
use crate::api::auth::{Access, Write};
use crate::api::body::JsonBody;
use crate::api::error::ApiError;
use crate::api::extract::{self, Params, Segments};
use crate::api::state::ApiState;

/// `PUT /locations/:id`
pub(super) async fn update_location(
    access: Access<Write>,
    State(state): State<ApiState>,
    Segments(path): Segments<IdPath>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let location = location_of(&body.unwrap_or_default(), "request/body")?;
    LocationSettings::of(&state, access.tenant)
        .await?
        .may_change()?;
    let Some(before) = state.storage.find_location(access.tenant, &path.id).await? else {
        return Err(no_location(&path.id));
    };
    let entity = location::registered(&location, &before.entity_ref)
        .map_err(|error| ApiError::input(error.to_string()))?;
    let entity = ProvidedEntity {
        entity_ref: before.entity_ref,
        unprocessed: entity.to_json(),
        location_key: Some(location.to_string()),
    };
    let mut deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "update_location",
        path.id.as_str(),
    );
    deed.before = Some(json!(before.location).to_string());
    deed.after = Some(json!(location).to_string());
    let updated = deed
        .on(&state)
        .update_location(access.tenant, &path.id, location.clone(), entity)
        .await?;
    let updated = match updated {
        UpdatedLocation::Updated(updated) => updated,
        UpdatedLocation::Taken => {
            return Err(ApiError::conflict(format!(
                "Location {location} already exists"
            )));
        }
        UpdatedLocation::Missing => return Err(no_location(&path.id)),
        UpdatedLocation::OverQuota(over) => return Err(ApiError::conflict(over.to_string())),
    };
    state.wakes.outgoing.notify_one();
    Ok(extract::json(StatusCode::OK, &body_of(&updated)))
}
