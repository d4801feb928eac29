//! What tenants set on bundled processors. Their names are not in `processors`, so that nothing that is about a tenant's own
//! processors (revisions, activations, quotas) can ever meet one of them.

use greenroom_model::{ProcessorName, TenantId};
use greenroom_storage::{BundledSettings, SetBundled, SettingsPut, StorageError};
use tokio_postgres::Row;

use crate::damage::{damaged, json, text, to_json, value};
use crate::processors::pipeline_changed;
use crate::text::Text;
use crate::transaction::Transaction;

/// Under the tenant's lock.
pub(crate) async fn put(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    settings: &BundledSettings,
    expected: Option<i64>,
) -> Result<SettingsPut, StorageError> {
    let known = tx
        .one(
            "SELECT name, settings, settings_version FROM bundled_settings WHERE tenant_id = $1 AND name = $2",
            &[&tenant.0, &Text(name.as_str())],
            read,
        )
        .await?;
    let known_version = known.as_ref().map_or(0, |known| known.settings_version);
    if expected.is_some_and(|expected| expected != known_version) {
        return Ok(SettingsPut::Changed(known_version));
    }
    if known.is_some_and(|known| known.settings == *settings) {
        return Ok(SettingsPut::Put(known_version));
    }
    let version = pipeline_changed(tx, tenant).await?;
    let json = to_json(tx.operation(), settings)?;
    tx.run(
        "INSERT INTO bundled_settings (tenant_id, name, settings, settings_version) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, name) DO UPDATE
         SET settings = excluded.settings, settings_version = excluded.settings_version",
        &[&tenant.0, &Text(name.as_str()), &Text(&json), &version],
    )
    .await?;
    Ok(SettingsPut::Put(version))
}

pub(crate) async fn list(
    tx: &Transaction,
    tenant: TenantId,
) -> Result<Vec<SetBundled>, StorageError> {
    tx.all(
        "SELECT name, settings, settings_version FROM bundled_settings WHERE tenant_id = $1 ORDER BY name",
        &[&tenant.0],
        read,
    )
    .await
}

fn read(row: &Row) -> Result<SetBundled, StorageError> {
    let name = text(row, 0, "bundled_settings.name")?;
    Ok(SetBundled {
        name: ProcessorName::parse(&name)
            .map_err(|error| damaged("bundled_settings.name", error))?,
        settings: json(row, 1, "bundled_settings.settings")?,
        settings_version: value(row, 2, "bundled_settings.settings_version")?,
    })
}
