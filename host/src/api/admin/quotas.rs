//! `/admin/tenants/{tenant}/quotas`: what the operator sets for one tenant in place of the configuration's figures.

use axum::extract::State;
use axum::response::Response;
use greenroom_model::{TenantId, TenantName};
use greenroom_storage::QuotaOverrides;
use http::StatusCode;
use serde_json::json;

use super::tenants::{TenantPath, no_tenant};
use crate::api::audit::Deed;
use crate::api::auth::OperatorAccess;
use crate::api::body::{JsonBody, typed};
use crate::api::error::ApiError;
use crate::api::extract::{self, Params, Segments};
use crate::api::state::ApiState;

/// `GET /admin/tenants/{tenant}/quotas`
pub(super) async fn find_quotas(
    _access: OperatorAccess,
    State(state): State<ApiState>,
    Segments(path): Segments<TenantPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let (_, tenant) = found(&state, &path).await?;
    let set = state.storage.quota_overrides(tenant).await?;
    Ok(extract::json(StatusCode::OK, &json!(set)))
}

/// `PUT /admin/tenants/{tenant}/quotas` with those that are set; what is left out is the configuration's
pub(super) async fn update_quotas(
    access: OperatorAccess,
    State(state): State<ApiState>,
    Segments(path): Segments<TenantPath>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let set: QuotaOverrides = typed(body)?;
    set.check()
        .map_err(|wrong| ApiError::input(format!("request/body/callLimits: {wrong}")))?;
    let (name, tenant) = found(&state, &path).await?;
    let before = state.storage.quota_overrides(tenant).await?;
    if before != set {
        let mut deed = Deed::new(&access.actor, Some(tenant), "update_quotas", name.as_str());
        deed.before = Some(json!(before).to_string());
        deed.after = Some(json!(set).to_string());
        deed.on(&state)
            .put_quota_overrides(tenant, set.clone())
            .await?;
        state.wakes.outgoing.notify_one();
    }
    Ok(extract::json(StatusCode::OK, &json!(set)))
}

async fn found(state: &ApiState, path: &TenantPath) -> Result<(TenantName, TenantId), ApiError> {
    let name = TenantName::parse(&path.tenant).map_err(|_| no_tenant())?;
    let tenant = state.storage.find_tenant(&name).await?;
    let tenant = tenant.ok_or_else(no_tenant)?;
    Ok((name, tenant.id))
}
