//! Tenants, their quotas, tokens and the audit log, below `/admin` (DESIGN §4).
//!
//! The operator's, but for a tenant's own tokens, which its admins make and revoke too.

mod audit;
mod export;
mod import;
mod move_file;
mod quotas;
mod tenants;
mod tokens;

use super::operation_doc::{Content, Doc, QueryKind};
use super::routes::Routes;

/// The routes.
pub(super) fn routes() -> Routes {
    tenant_routes().and(token_routes()).and(audit_routes())
}

fn tenant_routes() -> Routes {
    Routes::below("/admin/tenants")
        .get(
            "",
            tenants::list_tenants,
            Doc::new("All tenants.").json(200, "Items", "By name."),
        )
        .post(
            "",
            tenants::create_tenant,
            Doc::new("Creates a tenant.")
                .body(Content::Json("NewTenant"))
                .json(201, "Tenant", "It is there.")
                .conflict("There is one of that name."),
        )
        .delete(
            "/{tenant}",
            tenants::delete_tenant,
            Doc::new("Deletes a tenant with everything in it.")
                .empty(204, "It is gone.")
                .missing("No tenant of that name."),
        )
        .get(
            "/{tenant}/quotas",
            quotas::find_quotas,
            Doc::new("The quotas that are set for a tenant.")
                .json(200, "QuotaOverrides", "What is not there is the configuration's.")
                .missing("No tenant of that name."),
        )
        .put(
            "/{tenant}/quotas",
            quotas::update_quotas,
            Doc::new("Replaces the quotas that are set for a tenant.")
                .details("They hold in every process from its next transaction on. Zero means none; lowered below what is there, \
                          nothing is deleted and what would be new is refused.")
                .body(Content::Json("QuotaOverrides"))
                .json(200, "QuotaOverrides", "As they are set now.")
                .missing("No tenant of that name."),
        )
        .get(
            "/{tenant}/export",
            export::export_tenant,
            Doc::new("A tenant as a file, for another host.")
                .details("NDJSON, with a last line that says how many lines are before it: a file without it was cut.")
                .answer(200, Some(Content::Media("application/x-ndjson")), "Its lines.")
                .missing("No tenant of that name."),
        )
        .post(
            "/{tenant}/import",
            import::import_tenant,
            Doc::new("Makes a tenant from what an export gave, whole or not at all.")
                .body(Content::Media("application/x-ndjson"))
                .json(201, "ImportedTenant", "It is there, with its uids and revisions.")
                .conflict("There is one of that name, or the import rested too long.")
                .error(413, "A line is longer than 64 MiB."),
        )
}

fn token_routes() -> Routes {
    let list = |summary| Doc::new(summary).json(200, "Items", "Without their secrets.");
    let create = |summary| {
        Doc::new(summary).body(Content::Json("NewToken")).json(
            201,
            "Token",
            "The secret is in this answer and nowhere else.",
        )
    };
    let revoke = |summary| {
        Doc::new(summary)
            .empty(204, "It acts no more, everywhere within 5 s.")
            .missing("No token of that id.")
    };
    Routes::below("/admin")
        .get(
            "/tenants/{tenant}/tokens",
            tokens::list_tenant_tokens,
            list("The tokens of a tenant."),
        )
        .post(
            "/tenants/{tenant}/tokens",
            tokens::create_tenant_token,
            create("Makes a token of a tenant."),
        )
        .delete(
            "/tenants/{tenant}/tokens/{id}",
            tokens::revoke_tenant_token,
            revoke("Revokes a token of a tenant."),
        )
        .get(
            "/tokens",
            tokens::list_operator_tokens,
            list("The tokens of operators."),
        )
        .post(
            "/tokens",
            tokens::create_operator_token,
            create("Makes an operator's token."),
        )
        .delete(
            "/tokens/{id}",
            tokens::revoke_operator_token,
            revoke("Revokes an operator's token."),
        )
}

fn audit_routes() -> Routes {
    Routes::below("/admin").get(
        "/audit",
        audit::list_audit,
        Doc::new("Who changed what, newest first.")
            .query("tenant", QueryKind::Text, "Only what concerns this tenant.")
            .query(
                "limit",
                QueryKind::Number(1),
                "Most records, 100 if not said and 1 000 at most.",
            )
            .json(200, "Items", "The records.")
            .missing("No tenant of that name."),
    )
}
