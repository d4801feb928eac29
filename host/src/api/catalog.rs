//! Backstage's catalog API below `/tenants/{tenant}/api/catalog`: shapes, statuses and oddities of ref §7.
//!
//! One file per resource. Unknown routes and wrong methods below the mount are 404 without a body, for who is let in.

mod analyze;
mod ancestry;
mod by_name;
mod by_query;
mod by_refs;
mod by_uid;
mod conditions;
mod entities;
mod facets;
mod location_settings;
mod location_spec;
mod locations;
mod locations_add;
mod locations_query;
mod locations_update;
mod permissions;
mod refresh;
mod scheduler;
mod unprocessed;
mod validate;

use http::StatusCode;

use super::auth::{Access, Read};
use super::openapi;
use super::operation_doc::{Content, Doc, QueryKind};
use super::routes::Routes;

const FILTER: &str = "`key=value` terms joined by `,`; several filters are alternatives.";
const FIELDS: &str = "Paths of what to answer with, joined by `,`.";
const NO_ENTITY: &str = "No such entity.";
const NO_LOCATION: &str = "No such location.";
const NO_TASK: &str = "No such task.";

/// The routes, with the mount.
pub(super) fn routes() -> Routes {
    entity_routes()
        .and(query_routes())
        .and(location_routes())
        .and(unprocessed_routes())
        .and(platform_routes())
        .and(Routes::below("/tenants/{tenant}/api/catalog").rest(no_route))
}

async fn no_route(_: Access<Read>) -> StatusCode {
    StatusCode::NOT_FOUND
}

/// Backstage's module of unprocessed entities.
fn unprocessed_routes() -> Routes {
    const OWNER: &str = "Only entities with this `spec.owner`, as they write it.";
    Routes::below("/tenants/{tenant}/api/catalog/entities/unprocessed")
        .get(
            "/failed",
            unprocessed::list_failed_entities,
            Doc::new("Entities that were never served because their runs fail.")
                .query("owner", QueryKind::Text, OWNER)
                .json(200, "Unprocessed", "All of them."),
        )
        .get(
            "/pending",
            unprocessed::list_pending_entities,
            Doc::new("Entities that were never served because no run has ended yet.")
                .query("owner", QueryKind::Text, OWNER)
                .json(200, "Unprocessed", "All of them."),
        )
        .delete(
            "/delete/{uid}",
            unprocessed::delete_unprocessed_entity,
            Doc::new("Deletes an entity, served or not, with what only it reaches.")
                .empty(204, "It is gone, or was not there."),
        )
}

/// What Backstage's platform asks of every plugin.
fn platform_routes() -> Routes {
    Routes::below("/tenants/{tenant}/api/catalog")
        .get(
            "/openapi.json",
            openapi::show_catalog_openapi,
            Doc::new("The part of this document that is below this path, relative to it.").json(
                200,
                "OpenApi",
                "OpenAPI 3.1.",
            ),
        )
        .get(
            "/.backstage/scheduler/v1/tasks",
            scheduler::list_tasks,
            Doc::new("Recurring work of the host.").json(200, "TaskList", "All of it."),
        )
        .post(
            "/.backstage/scheduler/v1/tasks/{id}/trigger",
            scheduler::trigger_task,
            Doc::new("Makes a task due now.")
                .empty(200, "It is due.")
                .missing(NO_TASK)
                .conflict("It runs."),
        )
        .post(
            "/.backstage/scheduler/v1/tasks/{id}/cancel",
            scheduler::cancel_task,
            Doc::new("Ends the run of a task.")
                .empty(200, "It ends within seconds.")
                .missing(NO_TASK)
                .conflict("It does not run."),
        )
        .get(
            "/.well-known/backstage/permissions/metadata",
            permissions::show_permissions,
            Doc::new("The permissions and rules that the catalog knows.").json(
                200,
                "Permissions",
                "All of them.",
            ),
        )
        .post(
            "/.well-known/backstage/permissions/apply-conditions",
            permissions::apply_conditions,
            Doc::new("What conditions made of these rules say of entities.")
                .body(Content::Json("ApplyConditions"))
                .json(
                    200,
                    "ConditionResults",
                    "One result for each item, in their order.",
                ),
        )
}

fn entity_routes() -> Routes {
    use QueryKind::{Number, Text, Texts};
    Routes::below("/tenants/{tenant}/api/catalog")
        .get(
            "/entities",
            entities::list_entities,
            Doc::new("Entities, all of them or a page.")
                .query("filter", Texts, FILTER)
                .query("fields", Texts, FIELDS)
                .query("order", Texts, "`asc:` or `desc:` and a key.")
                .query("limit", Number(1), "Entities of a page.")
                .query("offset", Number(0), "Entities to leave out.")
                .query(
                    "after",
                    Text,
                    "Where the next page begins, of the `Link` header.",
                )
                .json(200, "EntityList", "The entities."),
        )
        .get(
            "/entities/by-uid/{uid}",
            by_uid::find_entity_by_uid,
            Doc::new("An entity by its uid.")
                .json(200, "Entity", "The entity.")
                .missing(NO_ENTITY),
        )
        .delete(
            "/entities/by-uid/{uid}",
            by_uid::delete_entity_by_uid,
            Doc::new("Deletes an entity, with what only it reaches.")
                .empty(204, "It is gone, or was not there."),
        )
        .get(
            "/entities/by-name/{kind}/{namespace}/{name}",
            by_name::find_entity_by_name,
            Doc::new("An entity by its name.")
                .json(200, "Entity", "The entity.")
                .missing(NO_ENTITY),
        )
        .get(
            "/entities/by-name/{kind}/{namespace}/{name}/ancestry",
            ancestry::find_entity_ancestry,
            Doc::new("An entity and everything it came from.")
                .json(200, "Ancestry", "The entity first.")
                .missing(NO_ENTITY),
        )
        .post(
            "/refresh",
            refresh::refresh_entity,
            Doc::new("Makes the reads of an entity and of its Locations due now.")
                .body(Content::Json("Refresh"))
                .empty(200, "They are queued.")
                .missing(NO_ENTITY),
        )
        .post(
            "/analyze-location",
            analyze::analyze_location,
            Doc::new("What the repository behind a URL brings, or a skeleton to begin with.")
                .details("The catalog file at the root of the repository is tried as a dry run tries a location.")
                .body(Content::Json("AnalyzeLocation"))
                .json(200, "LocationAnalysis", "Existing entities, or one to begin with.")
                .error(429, "Too many requests of the tenant wait for a worker."),
        )
        .post(
            "/validate-entity",
            validate::validate_entity,
            Doc::new("Whether an entity would be taken, writing nothing.")
                .body(Content::Json("ValidateEntity"))
                .empty(200, "It would.")
                .json(400, "ValidationErrors", "It would not; the body lists why.")
                .error(429, "Too many requests of the tenant wait for a worker."),
        )
}

fn query_routes() -> Routes {
    use QueryKind::{Number, OneOf, Text, Texts};
    Routes::below("/tenants/{tenant}/api/catalog")
        .post(
            "/entities/by-query",
            by_query::query_entities_by_predicate,
            Doc::new("A page of entities, by predicate, text and order.")
                .body(Content::OptionalJson("EntityQuery"))
                .json(200, "EntityPage", "A page."),
        )
        .get(
            "/entities/by-query",
            by_query::query_entities,
            Doc::new("A page of entities, by filter, text and order.")
                .query("filter", Texts, FILTER)
                .query("fields", Texts, FIELDS)
                .query("orderField", Texts, "A key, and `,asc` or `,desc`.")
                .query("limit", Number(0), "Entities of a page.")
                .query("offset", Number(0), "Entities to leave out.")
                .query(
                    "cursor",
                    Text,
                    "`nextCursor` or `prevCursor` of another page.",
                )
                .query("fullTextFilterTerm", Text, "Text to look for.")
                .query("fullTextFilterFields", Texts, "Keys to look in.")
                .query(
                    "totalItems",
                    OneOf(&["include", "exclude"]),
                    "Whether to count.",
                )
                .json(200, "EntityPage", "A page."),
        )
        .post(
            "/entities/by-refs",
            by_refs::find_entities_by_refs,
            Doc::new("Entities by ref, in order, `null` for what is not there.")
                .query("filter", Texts, FILTER)
                .body(Content::Json("EntitiesByRefs"))
                .json(200, "Items", "As many as refs."),
        )
        .get(
            "/entity-facets",
            facets::count_facets,
            Doc::new("How often each value of a key occurs.")
                .query("facet", Texts, "Keys; at least one.")
                .query("filter", Texts, FILTER)
                .json(200, "Facets", "Counts by key."),
        )
        .post(
            "/entity-facets",
            facets::count_facets_by_predicate,
            Doc::new("How often each value of a key occurs, over a predicate.")
                .body(Content::Json("FacetQuery"))
                .json(200, "Facets", "Counts by key."),
        )
}

fn location_routes() -> Routes {
    use QueryKind::{Flag, OneOf};
    Routes::below("/tenants/{tenant}/api/catalog")
        .post(
            "/locations",
            locations_add::add_location,
            Doc::new("Registers a location, or tries it.")
                .query("dryRun", Flag, "Tries it and writes nothing.")
                .query(
                    "onConflict",
                    OneOf(&["reject", "refresh"]),
                    "What to do if it is registered.",
                )
                .body(Content::Json("AddLocation"))
                .json(201, "AddedLocation", "Registered, or tried.")
                .conflict("It is registered already.")
                .error(429, "Too many requests of the tenant wait for a worker."),
        )
        .get(
            "/locations",
            locations::list_locations,
            Doc::new("Registered locations.").json(200, "LocationList", "All of them."),
        )
        .post(
            "/locations/by-query",
            locations_query::query_locations,
            Doc::new("A page of registered locations, by predicate, ordered by id.")
                .body(Content::OptionalJson("LocationQuery"))
                .json(200, "LocationPage", "A page."),
        )
        .get(
            "/locations/{id}",
            locations::find_location,
            Doc::new("A registered location.")
                .json(200, "Location", "The location.")
                .missing(NO_LOCATION),
        )
        .put(
            "/locations/{id}",
            locations_update::update_location,
            Doc::new("Changes what a registered location points at; its id and its entity stay.")
                .body(Content::Json("AddLocation"))
                .json(200, "Location", "The location as it is now.")
                .missing(NO_LOCATION)
                .conflict("Another location points there."),
        )
        .delete(
            "/locations/{id}",
            locations::delete_location,
            Doc::new("Unregisters a location, with what only it reaches.")
                .empty(204, "It is gone.")
                .missing(NO_LOCATION),
        )
        .get(
            "/locations/by-entity/{kind}/{namespace}/{name}",
            locations::find_location_by_entity,
            Doc::new("The registered location that an entity came from.")
                .json(200, "Location", "The location.")
                .missing(NO_LOCATION),
        )
}
