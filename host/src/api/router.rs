//! All routes, grouped by audience; the tables themselves are beside this file (`catalog`, `tenant_routes`, `admin`).
//!
//! Layers, from the outside: counting, compressing, tagging, rendering of errors, reading on what a handler left unread. A
//! path that is not here is 404: without a body below the catalog mount, as Backstage answers there, and with one elsewhere.
//! A wrong method is treated alike, but for `OPTIONS` below the mount. Who has no token for the mount learns neither.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, FromRequestParts as _, MatchedPath, Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse as _, Response};
use http::{Method, StatusCode};

use super::auth::{Access, Read};
use super::error::{ApiError, mount_end, render};
use super::operation_doc::{Content, Doc};
use super::operations::Operations;
use super::routes::{Operation, Routes};
use super::state::{ApiParts, ApiState};
use super::{
    admin, catalog, changes, compression, index, leftover, metrics, openapi, probes, tenant_routes,
    validation, validators,
};
use crate::lifecycle::{Essential, TURN_BOUND};
use crate::metrics::Metric;

/// How often caches are swept.
const SWEEP: Duration = Duration::from_secs(5);

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
        Self::measure_caches(&state);
        let essential = |task| state.lifecycle.essential(task, TURN_BOUND);
        state.lifecycle.spawn(index::follow(
            state.indexes.clone(),
            essential("index"),
            state.wakes.incoming.clone(),
            state.lifecycle.stopping(),
        ));
        state.lifecycle.spawn(changes::watch(
            state.log_watch.clone(),
            essential("changes"),
            state.wakes.incoming.clone(),
            state.lifecycle.stopping(),
        ));
        state
            .lifecycle
            .spawn(sweep_caches(state.clone(), essential("caches")));
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

    /// How many bytes and entries the caches of the edge hold, measured whenever somebody looks.
    fn measure_caches(state: &ApiState) {
        let (directory, rates) = (Arc::clone(&state.directory), Arc::clone(&state.rates));
        let guesses = Arc::clone(&state.guesses);
        state.sheet.measure(move |sheet| {
            for (cache, (entries, bytes)) in [
                ("tokens", directory.held()),
                ("rates", rates.held()),
                ("guesses", guesses.held()),
            ] {
                sheet.set(Metric::CacheEntries, &[cache], entries as f64);
                sheet.set(Metric::CacheBytes, &[cache], bytes as f64);
            }
        });
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

/// Drops what the edge's caches need not hold any more, until the process stops.
async fn sweep_caches(state: ApiState, essential: Essential) {
    let mut stopping = state.lifecycle.stopping();
    loop {
        essential.turn();
        state.directory.sweep();
        state.rates.sweep(&*state.clock);
        state.guesses.sweep(&*state.clock);
        tokio::select! {
            () = stopping.wait() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}

/// Probes and `/metrics` of a process without the API.
pub(super) fn operations_router(operations: &Operations) -> Router {
    let routes = probe_routes::<Operations>().and(metrics_routes());
    let (router, _) = routes.into_parts();
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(from_fn(render))
        .layer(compression::layer())
        .layer(from_fn(compression::vary))
        .with_state(operations.clone())
}

fn probe_routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Operations: FromRef<S>,
{
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

fn metrics_routes<S>() -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
    Operations: FromRef<S>,
{
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
