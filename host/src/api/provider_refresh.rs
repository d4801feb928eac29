//! `POST /tenants/{tenant}/providers/{name}/refresh`: what a provider knows to have changed is looked at now (ref §5.5, §6.1).
//!
//! A provider that hears of a push or a deletion names the refresh keys of what changed, such as `url:` and the URL. The
//! entities that emitted such a key have their documents looked at, and run if one is another; that is routine work, so it
//! waits behind what people asked for.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::audit::Deed;
use super::auth::{Access, Write};
use super::body::{JsonBody, typed};
use super::error::ApiError;
use super::extract::{self, Params, Segments};
use super::mutations::ProviderPath;
use super::state::ApiState;

/// Most keys of one request.
const MAX_KEYS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    keys: Vec<String>,
}

/// See the module's head.
pub(super) async fn refresh_entities(
    access: Access<Write>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProviderPath>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let source_key = path.source_key()?;
    let Refresh { keys } = typed(body)?;
    if keys.len() > MAX_KEYS {
        return Err(ApiError::input(format!(
            "request/body/keys has {} keys; {MAX_KEYS} fit into one request",
            keys.len()
        )));
    }
    let mut deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "refresh_entities",
        source_key,
    );
    deed.after = Some(json!({"keys": keys}).to_string());
    let entities = deed.on(&state).refresh_by_keys(access.tenant, keys).await?;
    state.wakes.outgoing.notify_one();
    Ok(extract::json(
        StatusCode::OK,
        &json!({"entities": entities}),
    ))
}
