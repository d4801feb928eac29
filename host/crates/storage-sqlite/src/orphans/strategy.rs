//! `catalog.orphanStrategy` of the tenant's settings: `keep` serves orphans, with their mark, for good (ref §5.5).

use greenroom_model::TenantId;
use rusqlite::{Connection, params};
use serde_json::Value;

use crate::damage::{from_json, value};
use crate::statement;

/// Whether a tenant keeps its orphans.
pub(super) fn keeps_orphans(conn: &Connection, tenant: TenantId) -> rusqlite::Result<bool> {
    let settings: Option<String> = statement::one(
        conn,
        "SELECT settings FROM tenant_settings WHERE tenant_id = ?1",
        params![tenant.0],
        |row| value(row, 0, "tenant_settings.settings"),
    )?;
    let Some(settings) = settings else {
        return Ok(false);
    };
    let settings: Value = from_json(&settings, "tenant_settings.settings")?;
    Ok(settings
        .pointer("/catalog/orphanStrategy")
        .and_then(Value::as_str)
        == Some("keep"))
}
