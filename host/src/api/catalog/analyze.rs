//! `POST /analyze-location`: a worker looks for the catalog file behind a URL, and answers with what it brings or with a
//! skeleton to begin with (ref §7.9). Exactly 200.

use axum::extract::State;
use axum::response::Response;
use greenroom_storage::RunKind;
use http::StatusCode;
use serde_json::json;

use super::location_spec::location_of;
use crate::api::auth::{Access, Read};
use crate::api::body::{JsonBody, Properties as _};
use crate::api::error::ApiError;
use crate::api::extract::{self, Params};
use crate::api::runs;
use crate::api::state::ApiState;

/// `POST /analyze-location`
pub(super) async fn analyze_location(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let body = body.unwrap_or_default();
    let location = body
        .required("location")?
        .as_object()
        .ok_or_else(|| ApiError::input("request/body/location must be object"))?;
    let location = location_of(location, "request/body/location")?;
    let file = body.text("catalogFilename")?;
    let request = json!({"target": location.target, "catalogFilename": file});
    let result = runs::ask(&state, access.tenant, RunKind::AnalyzeLocation, &request).await?;
    match runs::rejected(&result) {
        Some(error) => Err(error),
        None => Ok(extract::json(StatusCode::OK, &result)),
    }
}
