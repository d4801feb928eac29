//! Whatever was made has one record of who made it, and there is no record of what was not.

use super::Findings;
use crate::world::World;

/// Names of what has none or several. The tenant `default` is the host's own.
const OFFENDING: &[(&str, &str)] = &[
    (
        "tenant",
        "SELECT t.name FROM tenants t WHERE t.deleted_at IS NULL AND t.name <> 'default' AND 1 <>
             (SELECT count(*) FROM audit a WHERE a.about_tenant = t.tenant_id AND a.action = 'create_tenant')",
    ),
    (
        "processor",
        "SELECT p.tenant_id, p.name FROM processors p WHERE 1 <>
             (SELECT count(*) FROM audit a WHERE a.about_tenant = p.tenant_id AND a.subject = p.name
                 AND a.action = 'create_processor' AND a.before IS NULL)",
    ),
    (
        "revisions of processor",
        "SELECT p.tenant_id, p.name, p.last_revision FROM processors p WHERE p.last_revision <>
             (SELECT count(*) FROM audit a WHERE a.about_tenant = p.tenant_id AND a.subject = p.name
                 AND a.action = 'upload_revision')",
    ),
];

pub(super) async fn check(world: &World) -> Findings {
    let mut findings = Vec::new();
    for (what, sql) in OFFENDING {
        let rows = world.database.rows(sql).await?;
        findings.extend(
            rows.iter()
                .map(|row| format!("{what} {row:?} and the audit log differ")),
        );
    }
    Ok(findings)
}
