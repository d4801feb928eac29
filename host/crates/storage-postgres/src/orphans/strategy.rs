//! `catalog.orphanStrategy` of the tenant's settings: `keep` serves orphans, with their mark, for good (ref §5.5).

use greenroom_model::TenantId;
use greenroom_storage::StorageError;
use serde_json::Value;

use crate::damage::json;
use crate::transaction::Transaction;

/// Whether a tenant keeps its orphans.
pub(super) async fn keeps_orphans(
    tx: &Transaction,
    tenant: TenantId,
) -> Result<bool, StorageError> {
    let settings: Option<Value> = tx
        .one(
            "SELECT settings FROM tenant_settings WHERE tenant_id = $1",
            &[&tenant.0],
            |row| json(row, 0, "tenant_settings.settings"),
        )
        .await?;
    let strategy = settings
        .as_ref()
        .and_then(|settings| settings.pointer("/catalog/orphanStrategy"));
    Ok(strategy.and_then(Value::as_str) == Some("keep"))
}
