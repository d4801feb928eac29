//! Backstage's catalog API below `/tenants/{tenant}/api/catalog`: shapes, statuses and oddities of ref §7.
//!
//! One file per resource. Unknown routes and wrong methods below the mount are 404 without a body (the router's doing).

mod ancestry;
mod by_name;
mod by_query;
mod by_refs;
mod by_uid;
mod entities;
mod facets;
mod locations;
mod locations_add;
mod refresh;
mod validate;

use axum::Router;
use axum::routing::{get, post};

use super::state::ApiState;

/// The routes, relative to the mount.
pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/entities", get(entities::list_entities))
        .route(
            "/entities/by-query",
            get(by_query::query_entities).post(by_query::query_entities_by_predicate),
        )
        .route("/entities/by-refs", post(by_refs::find_entities_by_refs))
        .route(
            "/entities/by-uid/{uid}",
            get(by_uid::find_entity_by_uid).delete(by_uid::delete_entity_by_uid),
        )
        .route(
            "/entities/by-name/{kind}/{namespace}/{name}",
            get(by_name::find_entity_by_name),
        )
        .route(
            "/entities/by-name/{kind}/{namespace}/{name}/ancestry",
            get(ancestry::find_entity_ancestry),
        )
        .route(
            "/entity-facets",
            get(facets::count_facets).post(facets::count_facets_by_predicate),
        )
        .route(
            "/locations",
            get(locations::list_locations).post(locations_add::add_location),
        )
        .route(
            "/locations/{id}",
            get(locations::find_location).delete(locations::delete_location),
        )
        .route(
            "/locations/by-entity/{kind}/{namespace}/{name}",
            get(locations::find_location_by_entity),
        )
        .route("/refresh", post(refresh::refresh_entity))
        .route("/validate-entity", post(validate::validate_entity))
}
