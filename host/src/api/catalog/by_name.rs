//! `GET /entities/by-name/:kind/:namespace/:name`: case does not matter, the 404 shows the caller's casing (ref §7.2).

use axum::extract::State;
use axum::response::Response;
use greenroom_model::EntityRef;
use http::StatusCode;
use serde::Deserialize;

use crate::api::auth::{Access, Read};
use crate::api::error::ApiError;
use crate::api::extract::{Params, Segments, json_text};
use crate::api::state::ApiState;
use crate::api::validators::streamed;

/// The pieces of a ref in a path.
#[derive(Deserialize)]
pub(super) struct NamePath {
    kind: String,
    namespace: String,
    name: String,
}

impl NamePath {
    /// The ref they make.
    pub(super) fn entity_ref(&self) -> EntityRef {
        EntityRef::new(&self.kind, &self.namespace, &self.name)
    }

    /// What is answered when nothing is served under it.
    pub(super) fn not_found(&self) -> ApiError {
        ApiError::not_found(format!(
            "No entity named '{}' found, with kind '{}' in namespace '{}'",
            self.name, self.kind, self.namespace
        ))
    }
}

/// `GET /entities/by-name/:kind/:namespace/:name`
pub(super) async fn find_entity_by_name(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<NamePath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    match state
        .storage
        .find_entity(access.tenant, &path.entity_ref())
        .await?
    {
        Some(entity) => Ok(streamed(json_text(StatusCode::OK, entity.body.to_string()))),
        None => Err(path.not_found()),
    }
}
