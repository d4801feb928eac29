//! Registered locations: list, find, delete, and which one an entity came from (ref §7.8).

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_model::LocationRef;
use greenroom_model::annotations::MANAGED_BY_ORIGIN_LOCATION;
use greenroom_storage::Location;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::by_name::NamePath;
use super::location_settings::LocationSettings;
use crate::api::audit::Deed;
use crate::api::auth::{Access, Read, Write};
use crate::api::error::ApiError;
use crate::api::extract::{Params, Segments, json};
use crate::api::pagination;
use crate::api::state::ApiState;

#[derive(Deserialize)]
pub(super) struct IdPath {
    pub(super) id: String,
}

/// The JSON of a location.
pub(super) fn body_of(location: &Location) -> Value {
    json!({
        "id": location.id,
        "type": location.location.r#type,
        "target": location.location.target,
        "entityRef": location.entity_ref,
    })
}

/// `GET /locations`: each wrapped in `data`, as nowhere else.
pub(super) async fn list_locations(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let locations = state.storage.list_locations(access.tenant).await?;
    let body: Vec<Value> = locations
        .iter()
        .map(|location| json!({"data": body_of(location)}))
        .collect();
    Ok(json(StatusCode::OK, &body))
}

/// `GET /locations/:id`
pub(super) async fn find_location(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<IdPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    match state.storage.find_location(access.tenant, &path.id).await? {
        Some(location) => Ok(json(StatusCode::OK, &body_of(&location))),
        None => Err(no_location(&path.id)),
    }
}

/// `DELETE /locations/:id`: 404 the second time.
pub(super) async fn delete_location(
    access: Access<Write>,
    State(state): State<ApiState>,
    Segments(path): Segments<IdPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    LocationSettings::of(&state, access.tenant)
        .await?
        .may_change()?;
    let deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "delete_location",
        path.id.as_str(),
    );
    let Some(deleted) = deed
        .on(&state)
        .delete_location(access.tenant, &path.id)
        .await?
    else {
        return Err(no_location(&path.id));
    };
    state.wakes.outgoing.notify_one();
    state.indexes.wait_for(access.tenant, deleted.seq).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /locations/by-entity/:kind/:namespace/:name`
pub(super) async fn find_location_by_entity(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<NamePath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let entity_ref = path.entity_ref();
    let Some(entity) = state
        .storage
        .find_entity(access.tenant, &entity_ref)
        .await?
    else {
        return Err(ApiError::not_found(format!(
            "found no entity for ref {entity_ref}"
        )));
    };
    let body = pagination::parse(&entity)?;
    let origin = body["metadata"]["annotations"][MANAGED_BY_ORIGIN_LOCATION].as_str();
    let Some(origin) = origin.and_then(|origin| LocationRef::parse(origin).ok()) else {
        return Err(ApiError::not_found(format!(
            "found no origin annotation for ref {entity_ref}"
        )));
    };
    match state
        .storage
        .find_location_by_target(access.tenant, &origin)
        .await?
    {
        Some(location) => Ok(json(StatusCode::OK, &body_of(&location))),
        None => Err(ApiError::not_found(format!(
            "Found no location with type {} and target {}",
            origin.r#type, origin.target
        ))),
    }
}

pub(super) fn no_location(id: &str) -> ApiError {
    let shown: String = id.chars().take(80).collect();
    ApiError::not_found(format!("Found no location with ID {shown}"))
}
