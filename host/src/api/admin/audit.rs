//! `GET /admin/audit`: the newest records.

use axum::extract::State;
use axum::response::Response;
use greenroom_model::TenantName;
use http::StatusCode;
use serde_json::json;

use crate::api::auth::OperatorAccess;
use crate::api::error::ApiError;
use crate::api::extract::{self, Params};
use crate::api::state::ApiState;

/// Records of one reply.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1_000;

/// `GET /admin/audit?tenant&limit`
pub(super) async fn list_audit(
    _access: OperatorAccess,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.only(&["tenant", "limit"])?;
    let limit = params
        .integer("limit", 1)?
        .unwrap_or(DEFAULT_LIMIT)
        .min(MAX_LIMIT);
    let tenant = match params.one("tenant")? {
        None => None,
        Some(name) => {
            let not_found = || ApiError::not_found("No tenant of that name");
            let name = TenantName::parse(name).map_err(|_| not_found())?;
            Some(state.directory.tenant(&name).await?.ok_or_else(not_found)?)
        }
    };
    let records = state
        .storage
        .list_audit(tenant, u32::try_from(limit).unwrap_or(u32::MAX))
        .await?;
    Ok(extract::json(StatusCode::OK, &json!({"items": records})))
}
