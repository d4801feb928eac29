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

use super::operation_doc::{Content, Doc, QueryKind};
use super::routes::Routes;

const FILTER: &str = "`key=value` terms joined by `,`; several filters are alternatives.";
const FIELDS: &str = "Paths of what to answer with, joined by `,`.";
const NO_ENTITY: &str = "No such entity.";
const NO_LOCATION: &str = "No such location.";

/// The routes, with the mount.
pub(super) fn routes() -> Routes {
    entity_routes().and(query_routes()).and(location_routes())
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
            "/entities/by-query",
            by_query::query_entities_by_predicate,
            Doc::new("A page of entities, by predicate, text and order.")
                .body(Content::OptionalJson("EntityQuery"))
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
        .get(
            "/locations",
            locations::list_locations,
            Doc::new("Registered locations.").json(200, "LocationList", "All of them."),
        )
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
            "/locations/{id}",
            locations::find_location,
            Doc::new("A registered location.")
                .json(200, "Location", "The location.")
                .missing(NO_LOCATION),
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
