//! What tenants set on bundled processors. Their names are not in `processors`, so that nothing that is about a tenant's own
//! processors (revisions, activations, quotas) can ever meet one of them.

use greenroom_model::{ProcessorName, TenantId};
use greenroom_storage::{BundledSettings, SetBundled, SettingsPut};
use rusqlite::{Connection, Row, params};

use crate::damage::{damaged, json, to_json, value};
use crate::processors::{pipeline_changed, pipeline_version};
use crate::statement;
use crate::writer::WriteTx;

pub(crate) fn put(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    settings: &BundledSettings,
    expected: Option<i64>,
) -> rusqlite::Result<SettingsPut> {
    let known = find(tx, tenant, name)?;
    let known_version = known.as_ref().map_or(0, |known| known.settings_version);
    if expected.is_some_and(|expected| expected != known_version) {
        return Ok(SettingsPut::Changed(known_version));
    }
    if known.is_some_and(|known| known.settings == *settings) {
        return Ok(SettingsPut::Put(known_version));
    }
    pipeline_changed(tx, tenant)?;
    let version = pipeline_version(tx, tenant)?;
    tx.run(
        "INSERT INTO bundled_settings (tenant_id, name, settings, settings_version) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant_id, name) DO UPDATE SET settings = ?3, settings_version = ?4",
        params![tenant.0, name.as_str(), to_json(settings)?, version],
    )?;
    Ok(SettingsPut::Put(version))
}

pub(crate) fn list(conn: &Connection, tenant: TenantId) -> rusqlite::Result<Vec<SetBundled>> {
    statement::all(
        conn,
        "SELECT name, settings, settings_version FROM bundled_settings WHERE tenant_id = ?1 ORDER BY name",
        params![tenant.0],
        read,
    )
}

fn find(
    conn: &Connection,
    tenant: TenantId,
    name: &ProcessorName,
) -> rusqlite::Result<Option<SetBundled>> {
    statement::one(
        conn,
        "SELECT name, settings, settings_version FROM bundled_settings WHERE tenant_id = ?1 AND name = ?2",
        params![tenant.0, name.as_str()],
        read,
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<SetBundled> {
    let name: String = value(row, 0, "bundled_settings.name")?;
    Ok(SetBundled {
        name: ProcessorName::parse(&name)
            .map_err(|error| damaged("bundled_settings.name", error))?,
        settings: json(row, 1, "bundled_settings.settings")?,
        settings_version: value(row, 2, "bundled_settings.settings_version")?,
    })
}
