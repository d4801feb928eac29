//! Our own routes of one tenant, below `/tenants/{tenant}` (DESIGN §5).

use super::operation_doc::{Content, Doc, QueryKind};
use super::routes::Routes;
use super::{
    activations, faults, mutations, processing, processors, provider_refresh, revision_runs,
    revisions, runs, settings, upload, usage,
};

const NO_PROCESSOR: &str = "No such processor.";
const NO_REVISION: &str = "No such processor or revision.";
const NO_ENTITY: &str = "No entity of that ref.";
const ETAG: &str = "`ETag` of the settings this replaces; 412 if they were changed since. Without it the last writer wins.";

pub(super) fn routes() -> Routes {
    provider_routes()
        .and(processing_routes())
        .and(processor_routes())
        .and(revision_routes())
        .and(trial_routes())
        .and(fault_routes())
        .and(usage_routes())
}

fn usage_routes() -> Routes {
    Routes::below("/tenants/{tenant}").get(
        "/usage",
        usage::show_usage,
        Doc::new("What the tenant may have, and what it has.").json(
            200,
            "Usage",
            "Each quota with what is used of it; rates with their window.",
        ),
    )
}

fn provider_routes() -> Routes {
    let mutation = Doc::new("Applies a mutation of an entity provider.")
            .details("NDJSON: a line `{\"add\":{\"entity\":…,\"locationKey\":…}}` for each entity, in a delta also \
                      `{\"remove\":{\"entityRef\":…}}`, closed by `{\"commit\":{\"count\":N}}`. Without a matching last line \
                      nothing changes.")
            .query("type", QueryKind::RequiredOneOf(&["delta", "full"]), "A full mutation removes what it does not name.")
            .query("allow_shrink", QueryKind::Flag, "Lets a full mutation remove more than 30 % and 10 entities.")
            .body(Content::Media("application/x-ndjson"))
            .json(200, "MutationOutcome", "Applied.")
            .conflict("It would shrink the set too much, its new entities have no room, or a later mutation has started; nothing was \
                       changed, unless the message says so.")
            .error(413, "Too large in all, or one line is.");
    Routes::below("/tenants/{tenant}/providers")
        .post("/{name}/mutations", mutations::apply_mutation, mutation)
        .post(
            "/{name}/refresh",
            provider_refresh::refresh_entities,
            Doc::new("Looks now at what entities with these refresh keys have read.")
                .details("For a provider that hears of changes. A processor emits the keys; the bundled readers emit `<type>:<target>` of \
                          what they read. Entities run if a document is another.")
                .body(Content::Json("RefreshKeys"))
                .json(200, "RefreshedEntities", "Queued."),
        )
}

fn processing_routes() -> Routes {
    let find = || {
        Doc::new("The processing of one entity, also before its first success.")
            .json(200, "ProcessingState", "Its state.")
            .missing(NO_ENTITY)
    };
    let refresh = || {
        Doc::new("Forces an entity through its stages again, whatever is known of its inputs.")
            .wait()
            .json(200, "ProcessingState", "It was processed.")
            .json(202, "ProcessingState", "It is queued.")
            .missing(NO_ENTITY)
    };
    let redrive = || {
        Doc::new("Lets a dead letter be processed again.")
            .json(202, "Redriven", "It is queued.")
            .missing(NO_ENTITY)
    };
    let statuses = &["pending", "ok", "partial", "failed", "waiting"];
    Routes::below("/tenants/{tenant}/processing")
        .get(
            "",
            processing::list_processing,
            Doc::new("The processing of every entity, by ref.")
                .query("status", QueryKind::OneOf(statuses), "Only these.")
                .query("deadLetters", QueryKind::Flag, "Only dead letters.")
                .query("after", QueryKind::Text, "`next` of the page before.")
                .query(
                    "limit",
                    QueryKind::Number(1),
                    "Most items, 200 if not said and 1 000 at most.",
                )
                .json(200, "ProcessingPage", "A page."),
        )
        .get(
            "/conflicts",
            processing::list_conflicts,
            Doc::new("Emissions that lost against another owner of their ref.")
                .query(
                    "limit",
                    QueryKind::Number(1),
                    "Most items, 200 if not said and 1 000 at most.",
                )
                .json(200, "Items", "The conflicts."),
        )
        .get("/{ref}", processing::find_processing, find())
        .get(
            "/{kind}/{namespace}/{name}",
            processing::find_processing,
            find().alias("by_name"),
        )
        .post("/{ref}/refresh", processing::force_refresh, refresh())
        .post(
            "/{kind}/{namespace}/{name}/refresh",
            processing::force_refresh,
            refresh().alias("by_name"),
        )
        .post("/{ref}/redrive", processing::redrive_entity, redrive())
        .post(
            "/{kind}/{namespace}/{name}/redrive",
            processing::redrive_entity,
            redrive().alias("by_name"),
        )
}

fn processor_routes() -> Routes {
    let create = || {
        Doc::new("Creates a processor, or replaces the settings of one that is there.")
            .header("If-Match", ETAG)
            .body(Content::OptionalJson("ProcessorSettings"))
            .json(200, "Processor", "It was there.")
            .json(201, "Processor", "It is new.")
            .missing("`If-Match` was sent, and there is no such processor.")
            .conflict("The name is that of a bundled processor, or the tenant has as many as it may have.")
            .error(412, "The settings were changed meanwhile.")
    };
    Routes::below("/tenants/{tenant}/processors")
        .get(
            "",
            processors::list_processors,
            Doc::new("The tenant's processors, and those that ship with the host, by name.")
                .json(200, "ProcessorList", "All of them."),
        )
        .get(
            "/{name}",
            processors::find_processor,
            Doc::new("A processor with its settings.")
                .json(200, "Processor", "With the settings' `ETag`.")
                .missing(NO_PROCESSOR),
        )
        .put("/{name}", processors::create_processor, create())
        .post(
            "/{name}",
            processors::create_processor,
            create().alias("by_post"),
        )
        .delete(
            "/{name}",
            processors::delete_processor,
            Doc::new("Deletes a processor with its revisions and faults.")
                .empty(204, "It is gone.")
                .missing(NO_PROCESSOR)
                .conflict("It ships with the host, and can only be turned off."),
        )
        .get(
            "/{name}/settings",
            settings::find_processor_settings,
            Doc::new("A processor's settings.")
                .json(200, "ProcessorSettings", "With their `ETag`.")
                .missing(NO_PROCESSOR),
        )
        .put(
            "/{name}/settings",
            settings::update_processor_settings,
            Doc::new("Replaces a processor's settings.")
                .details("`limits` may be set from 1 to the engine's ceiling; `config` must match the schema that the \
                          current revision declares; `enabled: false` takes the processor out of the pipeline. On a bundled \
                          processor settings decide in place of its default, so that `{}` turns it on; it has neither \
                          `limits` nor `quarantine`.")
                .header("If-Match", ETAG)
                .body(Content::Json("ProcessorSettings"))
                .json(200, "ProcessorSettings", "With their `ETag`.")
                .missing(NO_PROCESSOR)
                .error(412, "They were changed meanwhile."),
        )
}

fn revision_routes() -> Routes {
    Routes::below("/tenants/{tenant}/processors/{name}")
        .get(
            "/revisions",
            revisions::list_revisions,
            Doc::new("The revisions of a processor, newest first.")
                .json(200, "RevisionList", "All of them.")
                .missing(NO_PROCESSOR),
        )
        .post(
            "/revisions",
            upload::upload_revision,
            Doc::new("Uploads a Wasm component as a revision.")
                .details("At most 32 MiB. The same bytes are the same revision. Beyond the quota of revisions the oldest that \
                          nothing needs is dropped.")
                .wait()
                .body(Content::Media("application/wasm"))
                .json(200, "Revision", "These bytes were known.")
                .json(
                    201,
                    "Revision",
                    "`ready`, or `rejected` with what to change.",
                )
                .json(
                    202,
                    "Revision",
                    "Still `inspecting`; `Location` is the run's address.",
                )
                .missing(NO_PROCESSOR)
                .conflict("The tenant's components have no room for it.")
                .error(413, "More than 32 MiB.")
                .error(429, "Too many uploads, or too many that wait to be compiled; try again after `Retry-After`."),
        )
        .get(
            "/revisions/{number}",
            revisions::find_revision,
            Doc::new("One revision.")
                .json(200, "Revision", "The revision.")
                .missing(NO_REVISION),
        )
        .get(
            "/revisions/{number}/component",
            revisions::download_component,
            Doc::new("The component of a revision, as it was uploaded.")
                .answer(200, Some(Content::Media("application/wasm")), "Its bytes.")
                .missing(NO_REVISION),
        )
        .delete(
            "/revisions/{number}",
            revisions::delete_revision,
            Doc::new("Deletes a revision that is neither current nor what a roll-back or a quarantine goes to.")
                .empty(204, "It is gone.")
                .missing(NO_REVISION)
                .conflict("Something needs it."),
        )
        .post(
            "/activate",
            revisions::activate_revision,
            Doc::new("Makes a ready revision current.")
                .body(Content::Json("Activate"))
                .json(200, "Processor", "It is current for every new run.")
                .missing(NO_REVISION)
                .conflict("It is not ready, or does not take the present configuration.")
                .error(429, "Too many activations; try again after `Retry-After`."),
        )
        .post(
            "/rollback",
            revisions::roll_back_revision,
            Doc::new("Makes the newest older revision current that was current before.")
                .body(Content::OptionalJson("RollBack"))
                .json(200, "Processor", "It is current for every new run.")
                .missing(NO_PROCESSOR)
                .conflict("There is none, or it does not take the present configuration.")
                .error(429, "Too many activations; try again after `Retry-After`."),
        )
        .get(
            "/activations",
            activations::list_activations,
            Doc::new("What became of each activation, newest first.")
                .query(
                    "limit",
                    QueryKind::Number(1),
                    "Most items, 20 if not said and 100 at most.",
                )
                .json(200, "ActivationList", "With regressions and quarantine.")
                .missing(NO_PROCESSOR),
        )
}

fn trial_routes() -> Routes {
    let trial = |summary| {
        Doc::new(summary)
            .wait()
            .json(
                202,
                "Accepted",
                "Not done yet; `Location` is the run's address.",
            )
            .missing(NO_REVISION)
            .conflict("The revision is not ready, or does not take the configuration.")
            .error(429, "Too many runs of the tenant are unfinished.")
    };
    Routes::below("/tenants/{tenant}")
        .post(
            "/processors/{name}/runs",
            revision_runs::create_dry_run,
            trial("Runs one entity through the pipeline with a revision in place of the current one, writing nothing.")
                .details("The entity is given, or a stored one is named. The calls reported are those of this processor.")
                .body(Content::Json("DryRunRequest"))
                .json(200, "DryRun", "What came of it."),
        )
        .post(
            "/processors/{name}/preview",
            revision_runs::create_preview,
            trial("Runs a revision beside the current one over live entities, writing nothing, and compares.")
                .body(Content::Json("PreviewRequest"))
                .json(200, "Preview", "What would change."),
        )
        .get(
            "/runs/{id}",
            runs::find_run,
            Doc::new("A run, for 24 hours.")
                .json(200, "Run", "With its result once it is done.")
                .missing("No run of that id."),
        )
        .delete(
            "/runs/{id}",
            runs::cancel_run,
            Doc::new("Cancels a run that is not done.")
                .empty(204, "It is cancelled, or was done.")
                .missing("No run of that id."),
        )
}

fn fault_routes() -> Routes {
    Routes::below("/tenants/{tenant}/processors/{name}/faults")
        .get(
            "",
            faults::list_faults,
            Doc::new("The last faults of a processor, bundled ones included, newest first.")
                .query("limit", QueryKind::Number(1), "Most items; 100 are kept.")
                .json(200, "FaultList", "Without their requests."),
        )
        .get(
            "/{id}",
            faults::find_fault,
            Doc::new("A fault with its request.")
                .json(200, "Fault", "The fault.")
                .missing("No fault of that id."),
        )
        .get(
            "/{id}/request",
            faults::download_fault_request,
            Doc::new("The call that faulted, as a file that `greenroom processor replay` takes.")
                .json(200, "RecordedCall", "The recorded call, as an attachment.")
                .missing("No fault of that id, or its request is no longer kept."),
        )
}
