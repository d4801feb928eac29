//! `POST /refresh`: the reads of an entity are due now. Exactly 200 and no body (ref §7.10).
//!
//! A client may send a token in the body; then its bearer asks, and the one of the header only brought the request.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_model::EntityRef;
use greenroom_storage::RefreshScope;
use http::StatusCode;

use crate::api::audit::Deed;
use crate::api::auth::{Access, Write};
use crate::api::body::{JsonBody, Properties as _};
use crate::api::error::ApiError;
use crate::api::extract::Params;
use crate::api::state::ApiState;

/// `POST /refresh`
pub(super) async fn refresh_entity(
    access: Access<Write>,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let body = body.unwrap_or_default();
    let text = body.required_text("entityRef")?;
    if body
        .keys()
        .any(|key| !matches!(key.as_str(), "entityRef" | "authorizationToken"))
    {
        return Err(ApiError::input(
            "request/body must NOT have additional properties",
        ));
    }
    let access = match body
        .text("authorizationToken")?
        .filter(|token| !token.is_empty())
    {
        Some(token) => access.of_bearer(&state, token).await?,
        None => access,
    };
    let refreshed = match EntityRef::parse(text) {
        Ok(entity_ref) => {
            let tenant = Some(access.tenant);
            Deed::new(&access.actor, tenant, "refresh_entity", text)
                .on(&state)
                .refresh_entity(access.tenant, &entity_ref, RefreshScope::Reads)
                .await?
        }
        Err(_) => false,
    };
    if !refreshed {
        let shown: String = text.chars().take(200).collect();
        return Err(ApiError::not_found(format!("Entity {shown} not found")));
    }
    state.wakes.outgoing.notify_one();
    Ok(StatusCode::OK.into_response())
}
