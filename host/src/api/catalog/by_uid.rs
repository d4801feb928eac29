//! `/entities/by-uid/:uid`: one entity, and its deletion, which succeeds also for an unknown uid (ref §7.2).

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_model::EntityUid;
use http::StatusCode;
use serde::Deserialize;

use crate::api::audit::Deed;
use crate::api::auth::{Access, Read, Write};
use crate::api::error::ApiError;
use crate::api::extract::{Params, Segments, json_text};
use crate::api::state::ApiState;
use crate::api::validators::streamed;

#[derive(Deserialize)]
pub(super) struct UidPath {
    pub(super) uid: String,
}

/// `GET /entities/by-uid/:uid`
pub(super) async fn find_entity_by_uid(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<UidPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let uid = EntityUid::new(path.uid);
    match state
        .storage
        .find_entity_by_uid(access.tenant, &uid)
        .await?
    {
        Some(entity) => Ok(streamed(json_text(StatusCode::OK, entity.body.to_string()))),
        None => Err(ApiError::not_found(format!("No entity with uid {uid}"))),
    }
}

/// `DELETE /entities/by-uid/:uid`
pub(super) async fn delete_entity_by_uid(
    access: Access<Write>,
    State(state): State<ApiState>,
    Segments(path): Segments<UidPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let uid = EntityUid::new(path.uid);
    delete(&access, &state, &uid, "delete_entity_by_uid").await
}

/// Deletes an entity, served or not; 204 also if there is none.
pub(super) async fn delete(
    access: &Access<Write>,
    state: &ApiState,
    uid: &EntityUid,
    action: &'static str,
) -> Result<Response, ApiError> {
    let tenant = Some(access.tenant);
    let deleted = Deed::new(&access.actor, tenant, action, uid.as_str())
        .on(state)
        .delete_entity(access.tenant, uid)
        .await?;
    if deleted.entities > 0 {
        state.wakes.outgoing.notify_one();
        state.indexes.wait_for(access.tenant, deleted.seq).await;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
