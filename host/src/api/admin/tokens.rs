//! Tokens of a tenant (its admins and the operator) and of operators: create, list, revoke.
//!
//! The secret is in the reply of the creation and nowhere else.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_model::{TenantId, Timestamp};
use greenroom_storage::{NewToken, Scope, Token};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::audit::Deed;
use crate::api::auth::{Access, Actor, Admin, OperatorAccess};
use crate::api::body::{JsonBody, typed};
use crate::api::error::ApiError;
use crate::api::extract::{self, Params, Segments};
use crate::api::state::ApiState;
use crate::api::token::new_token;

/// Longest name of a token, in characters.
const MAX_NAME_CHARS: usize = 200;

/// The body of a creation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenRequest {
    /// For people.
    #[serde(default)]
    name: String,
    /// What it may do; an operator token has `operator` whatever is said.
    #[serde(default)]
    scopes: Vec<Scope>,
    /// From when on it is good; at once if not said.
    #[serde(default)]
    not_before: Option<Timestamp>,
    /// When it ends by itself.
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
pub(super) struct TokenPath {
    id: String,
}

fn body_of(token: &Token) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes,
        "createdAt": token.created_at,
        "notBefore": token.not_before,
        "expiresAt": token.expires_at,
        "revokedAt": token.revoked_at,
    })
}

/// What a new one is good for, for the audit log.
fn granted(token: &NewToken) -> Value {
    json!({
        "name": token.name,
        "scopes": token.scopes,
        "notBefore": token.not_before,
        "expiresAt": token.expires_at,
    })
}

/// `GET /admin/tenants/{tenant}/tokens`
pub(super) async fn list_tenant_tokens(
    access: Access<Admin>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    list(&state, Some(access.tenant)).await
}

/// `GET /admin/tokens`
pub(super) async fn list_operator_tokens(
    _access: OperatorAccess,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    list(&state, None).await
}

/// `POST /admin/tenants/{tenant}/tokens` with `{"name", "scopes", "notBefore"?, "expiresAt"?}`
pub(super) async fn create_tenant_token(
    access: Access<Admin>,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let request: TokenRequest = typed(body)?;
    if request.scopes.contains(&Scope::Operator) {
        return Err(ApiError::not_allowed(
            "a token of a tenant cannot have scope `operator`; use POST /admin/tokens",
        ));
    }
    if request.scopes.is_empty() {
        return Err(ApiError::input(
            "request/body/scopes must name at least one of read, write, deploy, admin",
        ));
    }
    create(&state, &access.actor, Some(access.tenant), request).await
}

/// `POST /admin/tokens` with `{"name", "notBefore"?, "expiresAt"?}`
pub(super) async fn create_operator_token(
    access: OperatorAccess,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let mut request: TokenRequest = typed(body)?;
    request.scopes = vec![Scope::Operator];
    create(&state, &access.actor, None, request).await
}

/// `DELETE /admin/tenants/{tenant}/tokens/{id}`
pub(super) async fn revoke_tenant_token(
    access: Access<Admin>,
    State(state): State<ApiState>,
    Segments(path): Segments<TokenPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    revoke(&state, &access.actor, Some(access.tenant), &path.id).await
}

/// `DELETE /admin/tokens/{id}`
pub(super) async fn revoke_operator_token(
    access: OperatorAccess,
    State(state): State<ApiState>,
    Segments(path): Segments<TokenPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    revoke(&state, &access.actor, None, &path.id).await
}

async fn list(state: &ApiState, tenant: Option<TenantId>) -> Result<Response, ApiError> {
    let tokens: Vec<Value> = state
        .storage
        .list_tokens(tenant)
        .await?
        .iter()
        .map(body_of)
        .collect();
    Ok(extract::json(StatusCode::OK, &json!({"items": tokens})))
}

async fn create(
    state: &ApiState,
    actor: &Actor,
    tenant: Option<TenantId>,
    request: TokenRequest,
) -> Result<Response, ApiError> {
    if request.name.chars().count() > MAX_NAME_CHARS {
        return Err(ApiError::input(format!(
            "request/body/name must NOT have more than {MAX_NAME_CHARS} characters"
        )));
    }
    let made = new_token();
    let mut scopes = request.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    let token = NewToken {
        id: made.id,
        tenant,
        name: request.name,
        secret_hash: made.secret_hash,
        scopes,
        not_before: request.not_before,
        expires_at: request.expires_at,
    };
    let mut deed = Deed::new(actor, tenant, "create_token", token.id.as_str());
    deed.after = Some(granted(&token).to_string());
    let token = deed.on(state).create_token(token).await?;
    let mut body = body_of(&token);
    body["token"] = Value::String(made.text);
    Ok(extract::json(StatusCode::CREATED, &body))
}

async fn revoke(
    state: &ApiState,
    actor: &Actor,
    tenant: Option<TenantId>,
    id: &str,
) -> Result<Response, ApiError> {
    let deed = Deed::new(actor, tenant, "revoke_token", id);
    if !deed.on(state).revoke_token(tenant, id).await? {
        return Err(ApiError::not_found("No token of that id"));
    }
    state.directory.forget();
    Ok(StatusCode::NO_CONTENT.into_response())
}
