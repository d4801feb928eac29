//! `GET …/by-name/:kind/:namespace/:name/ancestry`: the entity first, then its ancestors (ref §7.2).

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::by_name::NamePath;
use crate::api::auth::{Access, Read};
use crate::api::error::ApiError;
use crate::api::extract::{Params, Segments, json_text};
use crate::api::state::ApiState;

/// `GET …/ancestry`
pub(super) async fn find_entity_ancestry(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<NamePath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let root = path.entity_ref();
    let Some(items) = state.storage.ancestry(access.tenant, &root).await? else {
        return Err(path.not_found());
    };
    let items: Vec<String> = items
        .iter()
        .map(|item| {
            format!(
                "{{\"entity\":{},\"parentEntityRefs\":{}}}",
                item.entity.body,
                json!(item.parent_refs)
            )
        })
        .collect();
    let text = format!(
        "{{\"rootEntityRef\":{},\"items\":[{}]}}",
        json!(root),
        items.join(",")
    );
    Ok(json_text(StatusCode::OK, text))
}
