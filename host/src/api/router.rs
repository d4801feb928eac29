//! All routes, grouped by audience.
//!
//! Layers, from the outside: counting, then rendering of errors. A path that is not here is 404: without a body below the
//! catalog mount, as Backstage answers there, and with one elsewhere. A wrong method is treated alike.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use http::StatusCode;

use super::error::{ApiError, mount_end, render};
use super::state::{ApiParts, ApiState};
use super::{
    activations, admin, catalog, faults, index, metrics, mutations, probes, processing, processors,
    revisions, runs,
};

/// Everything tenants and operators use, probes included. Starts the edge's tasks (following the change logs, watching
/// storage) on the lifecycle; must be called within a tokio runtime.
pub fn router(parts: ApiParts) -> Router {
    let state = ApiState::new(parts);
    let incoming = state.wakes.incoming.clone();
    state.lifecycle.spawn(index::follow(
        state.indexes.clone(),
        incoming,
        state.lifecycle.stopping(),
    ));
    state
        .lifecycle
        .spawn(probes::watch(state.clone(), state.lifecycle.stopping()));
    let api = Router::new()
        .nest("/tenants/{tenant}/api/catalog", catalog::routes())
        .nest("/tenants/{tenant}", tenant_routes())
        .nest("/admin", admin::routes())
        .merge(probe_routes());
    finish(api, &state)
}

/// Probes and `/metrics`, for a listener of its own. Watches storage by itself; must be called within a tokio runtime.
pub fn operations_router(parts: ApiParts) -> Router {
    let state = ApiState::new(parts);
    state
        .lifecycle
        .spawn(probes::watch(state.clone(), state.lifecycle.stopping()));
    finish(
        probe_routes().route("/metrics", get(metrics::show_metrics)),
        &state,
    )
}

fn tenant_routes() -> Router<ApiState> {
    Router::new()
        .route(
            "/providers/{name}/mutations",
            post(mutations::apply_mutation),
        )
        .route("/processing", get(processing::list_processing))
        .route("/processing/conflicts", get(processing::list_conflicts))
        .route("/processing/{ref}", get(processing::find_processing))
        .route("/processing/{ref}/refresh", post(processing::force_refresh))
        .route(
            "/processing/{ref}/redrive",
            post(processing::redrive_entity),
        )
        .route(
            "/processing/{kind}/{namespace}/{name}",
            get(processing::find_processing),
        )
        .route(
            "/processing/{kind}/{namespace}/{name}/refresh",
            post(processing::force_refresh),
        )
        .route(
            "/processing/{kind}/{namespace}/{name}/redrive",
            post(processing::redrive_entity),
        )
        .route("/processors", get(processors::list_processors))
        .route(
            "/processors/{name}",
            get(processors::find_processor)
                .put(processors::create_processor)
                .post(processors::create_processor)
                .delete(processors::delete_processor),
        )
        .route(
            "/processors/{name}/settings",
            put(processors::update_processor_settings),
        )
        .route(
            "/processors/{name}/revisions",
            get(revisions::list_revisions).post(revisions::upload_revision),
        )
        .route(
            "/processors/{name}/activate",
            post(revisions::activate_revision),
        )
        .route(
            "/processors/{name}/rollback",
            post(revisions::roll_back_revision),
        )
        .route(
            "/processors/{name}/activations",
            get(activations::list_activations),
        )
        .route("/processors/{name}/faults", get(faults::list_faults))
        .route("/processors/{name}/faults/{id}", get(faults::find_fault))
        .route("/runs/{id}", get(runs::find_run))
}

fn probe_routes() -> Router<ApiState> {
    Router::new()
        .route("/.backstage/health/v1/liveness", get(probes::show_liveness))
        .route(
            "/.backstage/health/v1/readiness",
            get(probes::show_readiness),
        )
        .route("/.backstage/health/v1/startup", get(probes::show_startup))
}

fn finish(router: Router<ApiState>, state: &ApiState) -> Router {
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(from_fn(render))
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
