//! `/admin/tenants`: create, list, delete.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_model::TenantName;
use greenroom_storage::{NewTenant, Tenant};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::audit::Deed;
use crate::api::auth::OperatorAccess;
use crate::api::body::{JsonBody, Properties as _};
use crate::api::error::ApiError;
use crate::api::extract::{self, Params, Segments};
use crate::api::state::ApiState;
use crate::api::token::random_bytes;

/// Names that would read as something of ours (i03).
const RESERVED: [&str; 8] = [
    "admin",
    "api",
    "greenroom",
    "health",
    "metrics",
    "operator",
    "system",
    "tenants",
];

#[derive(Deserialize)]
pub(super) struct TenantPath {
    pub(super) tenant: String,
}

/// The tenant of the path.
pub(super) async fn find(state: &ApiState, path: &TenantPath) -> Result<Tenant, ApiError> {
    let name = TenantName::parse(&path.tenant).map_err(|_| no_tenant())?;
    state
        .storage
        .find_tenant(&name)
        .await?
        .ok_or_else(no_tenant)
}

pub(super) fn body_of(tenant: &Tenant) -> Value {
    json!({"name": tenant.name, "createdAt": tenant.created_at})
}

/// `GET /admin/tenants`
pub(super) async fn list_tenants(
    _access: OperatorAccess,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let tenants: Vec<Value> = state
        .storage
        .list_tenants()
        .await?
        .iter()
        .map(body_of)
        .collect();
    Ok(extract::json(StatusCode::OK, &json!({"items": tenants})))
}

/// `POST /admin/tenants` with `{"name"}`
pub(super) async fn create_tenant(
    access: OperatorAccess,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let body = body.unwrap_or_default();
    let name = new_name(body.required_text("name")?)?;
    let tenant = NewTenant {
        name: name.clone(),
        secret: random_bytes(),
        epoch: uuid::Uuid::new_v4().to_string(),
    };
    // Its id is known to the transaction, which completes the record.
    let deed = Deed::new(&access.actor, None, "create_tenant", name.as_str());
    let Some(tenant) = deed.on(&state).create_tenant(tenant).await? else {
        return Err(ApiError::conflict(format!(
            "a tenant `{name}` exists; choose another name"
        )));
    };
    Ok(extract::json(StatusCode::CREATED, &body_of(&tenant)))
}

pub(super) fn new_name(text: &str) -> Result<TenantName, ApiError> {
    let name = TenantName::parse(text).map_err(|error| ApiError::input(error.to_string()))?;
    if RESERVED.contains(&name.as_str()) {
        return Err(ApiError::input(format!(
            "`{name}` is a reserved word; choose another name"
        )));
    }
    if name.as_str().contains("--") {
        return Err(ApiError::input(format!(
            "`{name}` has two - in a row; use one"
        )));
    }
    Ok(name)
}

/// What is answered for a name that no tenant has.
pub(super) fn no_tenant() -> ApiError {
    ApiError::not_found("No tenant of that name")
}

/// `DELETE /admin/tenants/{tenant}`
pub(super) async fn delete_tenant(
    access: OperatorAccess,
    State(state): State<ApiState>,
    Segments(path): Segments<TenantPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let tenant = find(&state, &path).await?;
    let deed = Deed::new(&access.actor, None, "delete_tenant", tenant.name.as_str());
    if !deed.on(&state).delete_tenant(tenant.id).await? {
        return Err(no_tenant());
    }
    state.directory.forget();
    state.indexes.forget(tenant.id);
    state.wakes.outgoing.notify_one();
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i03_names_of_new_tenants() {
        assert!(new_name("team-a").is_ok());
        for bad in [
            "admin",
            "-x",
            "x-",
            "x--y",
            "Default",
            "default%20",
            "d\u{435}fault",
            ".",
            "..",
            "",
            "a\0",
        ] {
            assert!(new_name(bad).is_err(), "{bad}");
        }
    }
}
