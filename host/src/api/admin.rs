//! Tenants, tokens and the audit log, below `/admin` (DESIGN §4).
//!
//! The operator's, but for a tenant's own tokens, which its admins make and revoke too.

mod audit;
mod tenants;
mod tokens;

use axum::Router;
use axum::routing::{delete, get};

use super::state::ApiState;

/// The routes, relative to `/admin`.
pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route(
            "/tenants",
            get(tenants::list_tenants).post(tenants::create_tenant),
        )
        .route("/tenants/{tenant}", delete(tenants::delete_tenant))
        .route(
            "/tenants/{tenant}/tokens",
            get(tokens::list_tenant_tokens).post(tokens::create_tenant_token),
        )
        .route(
            "/tenants/{tenant}/tokens/{id}",
            delete(tokens::revoke_tenant_token),
        )
        .route(
            "/tokens",
            get(tokens::list_operator_tokens).post(tokens::create_operator_token),
        )
        .route("/tokens/{id}", delete(tokens::revoke_operator_token))
        .route("/audit", get(audit::list_audit))
}
