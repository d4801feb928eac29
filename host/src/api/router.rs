//! All routes, grouped by audience; the tables themselves are beside this file (`catalog`, `tenant_routes`, `admin`).
//!
//! Layers, from the outside: counting, compressing, tagging, rendering of errors, reading on what a handler left unread. A
//! path that is not here is 404: without a body below the catalog mount, as Backstage answers there, and with one elsewhere.
//! A wrong method is treated alike, but for `OPTIONS` below the mount. Who has no token for the mount learns neither.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts as _, MatchedPath, Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse as _, Response};
use http::{Method, StatusCode};

use super::auth::{Access, Read};
use super::error::{ApiError, mount_end, render};
use super::operation_doc::{Content, Doc};
use super::routes::{Operation, Routes};
use super::state::{ApiParts, ApiState};
use super::{
    admin, catalog, changes, compression, index, leftover, metrics, openapi, probes, tenant_routes,
    validation, validators,
};

/// The edge of a process, running: what one listener counts and watches, the other shows.
pub struct Edge {
    state: ApiState,
}

impl Edge {
    /// Starts the edge's tasks (following the change logs, watching storage) on the lifecycle; must be called within a
    /// tokio runtime.
    pub fn start(parts: ApiParts) -> Self {
        let operations = operations();
        let state = ApiState::new(
            parts,
            openapi::document(&operations).to_string().into(),
            openapi::catalog_document(&operations).to_string().into(),
        );
        state.lifecycle.spawn(index::follow(
            state.indexes.clone(),
            state.wakes.incoming.clone(),
            state.lifecycle.stopping(),
        ));
        state.lifecycle.spawn(changes::watch(
            state.log_watch.clone(),
            state.wakes.incoming.clone(),
            state.lifecycle.stopping(),
        ));
        state
            .lifecycle
            .spawn(probes::watch(state.clone(), state.lifecycle.stopping()));
        Self { state }
    }

    /// Everything tenants and operators use, probes included.
    pub fn router(&self) -> Router {
        finish(api_routes(), &self.state)
    }

    /// Probes and `/metrics`, for a listener of its own.
    pub fn operations_router(&self) -> Router {
        finish(probe_routes().and(metrics_routes()), &self.state)
    }
}

fn api_routes() -> Routes {
    catalog::routes()
        .and(tenant_routes::routes())
        .and(changes::routes())
        .and(validation::routes())
        .and(admin::routes())
        .and(probe_routes())
        .and(openapi::routes())
}

/// Every operation of both listeners.
pub(super) fn operations() -> Vec<Operation> {
    api_routes().and(metrics_routes()).into_parts().1
}

fn probe_routes() -> Routes {
    let probe = |summary| {
        Doc::new(summary).json(200, "Probe", "Yes.").json(
            503,
            "Probe",
            "No; the body names the check that failed.",
        )
    };
    Routes::below("/.backstage/health/v1")
        .get(
            "/liveness",
            probes::show_liveness,
            probe("Whether the process makes progress."),
        )
        .get(
            "/readiness",
            probes::show_readiness,
            probe("Whether it can answer; trouble of workers is in the body only."),
        )
        .get(
            "/startup",
            probes::show_startup,
            probe("Whether it has started."),
        )
}

fn metrics_routes() -> Routes {
    Routes::below("").get(
        "/metrics",
        metrics::show_metrics,
        Doc::new("Figures for Prometheus, on the operations listener.").answer(
            200,
            Some(Content::Media("application/openmetrics-text")),
            "OpenMetrics text.",
        ),
    )
}

fn finish(routes: Routes, state: &ApiState) -> Router {
    let (router, operations) = routes.into_parts();
    let methods = Arc::new(methods(&operations));
    let no_method = move |State(state), route, request| no_method(state, methods, route, request);
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(state.clone(), leftover::read_on))
        .layer(from_fn(render))
        .layer(from_fn(validators::tag))
        .layer(compression::layer())
        .layer(from_fn(compression::vary))
        .layer(from_fn_with_state(state.clone(), metrics::count))
        .with_state(state.clone())
}

async fn no_route(request: Request) -> Response {
    if mount_end(request.uri().path()).is_some() {
        StatusCode::NOT_FOUND.into_response()
    } else {
        ApiError::not_found("There is nothing at this path").into_response()
    }
}

/// The methods of each path, as Express lists them.
fn methods(operations: &[Operation]) -> HashMap<String, String> {
    let mut methods: HashMap<String, String> = HashMap::new();
    for operation in operations {
        let listed = methods.entry(operation.path.clone()).or_default();
        if !listed.is_empty() {
            listed.push(',');
        }
        listed.push_str(&operation.method.to_uppercase());
        if operation.method == "get" {
            listed.push_str(",HEAD");
        }
    }
    methods
}

/// A path that is there, asked by a method that it does not have. The router adds those it has, in `Allow`.
async fn no_method(
    state: ApiState,
    methods: Arc<HashMap<String, String>>,
    route: MatchedPath,
    request: Request,
) -> Response {
    if mount_end(request.uri().path()).is_none() {
        return no_route(request).await;
    }
    let (mut parts, _) = request.into_parts();
    if let Err(error) = Access::<Read>::from_request_parts(&mut parts, &state).await {
        return error.into_response();
    }
    match methods.get(route.as_str()) {
        Some(methods) if parts.method == Method::OPTIONS => Html(methods.clone()).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
