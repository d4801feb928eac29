//! The configuration that came with a revision, so that a quarantine takes it back with the revision.
//!
//! A revision that is activated with a configuration may need it, and the one before may not take it. What was configured
//! before is kept with the activation. It comes back only where nobody configured anything else in the meantime, and it is that
//! of the last activation that was decided: one that superseded an open canary remembers what the canary's had replaced.

use greenroom_model::{ProcessorName, TenantId};
use greenroom_storage::StorageError;
use serde_json::Value;
use tokio_postgres::Row;

use crate::activations::Current;
use crate::damage::{json, to_json};
use crate::processors::{find, put_settings};
use crate::text::Text;
use crate::transaction::Transaction;

/// What a processor was configured with, before and after an activation; `None` is no configuration.
pub(super) struct Replaced {
    before: Option<Value>,
    after: Option<Value>,
}

/// What an open canary's activation replaced, if that is still what the processor is configured with.
pub(super) async fn of_open_canary(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<Option<Replaced>, StorageError> {
    let replaced = tx
        .one(
            "SELECT config_before, config_after FROM activations
             WHERE tenant_id = $1 AND processor = $2 AND config_after IS NOT NULL AND state = 'canary'",
            &[&tenant.0, &Text(name.as_str())],
            read,
        )
        .await?;
    unless_configured_since(tx, tenant, name, replaced).await
}

/// Notes it with the newest activation.
pub(super) async fn note(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    replaced: &Replaced,
) -> Result<(), StorageError> {
    let before = to_json(tx.operation(), &replaced.before)?;
    let after = to_json(tx.operation(), &replaced.after)?;
    tx.run(
        "UPDATE activations SET config_before = coalesce(config_before, $3), config_after = $4
         WHERE tenant_id = $1 AND processor = $2
           AND number = (SELECT last_activation FROM processors WHERE tenant_id = $1 AND name = $2)",
        &[
            &tenant.0,
            &Text(name.as_str()),
            &Text(&before),
            &Text(&after),
        ],
    )
    .await?;
    Ok(())
}

/// Configures a processor for the activation that has just begun.
pub(crate) async fn bring(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    config: Value,
) -> Result<(), StorageError> {
    let Some(mut processor) = find(tx, tenant, name).await? else {
        return Ok(());
    };
    let before = processor.settings.config.replace(config);
    let after = processor.settings.config.clone();
    if before != after {
        put_settings(tx, tenant, name, &processor.settings).await?;
    }
    note(tx, tenant, name, &Replaced { before, after }).await
}

/// Configures the processor as before a quarantined activation, once another has begun (which gives settings a new version);
/// answers whether anything changed.
pub(super) async fn take_back(
    tx: &Transaction,
    activation: &Current,
) -> Result<bool, StorageError> {
    let (tenant, name) = (activation.tenant, &activation.processor);
    let replaced = tx
        .one(
            "SELECT config_before, config_after FROM activations
             WHERE tenant_id = $1 AND processor = $2 AND config_after IS NOT NULL AND number = $3",
            &[
                &tenant.0,
                &Text(name.as_str()),
                &i64::from(activation.number),
            ],
            read,
        )
        .await?;
    let Some(replaced) = unless_configured_since(tx, tenant, name, replaced).await? else {
        return Ok(false);
    };
    let Some(mut processor) = find(tx, tenant, name).await? else {
        return Ok(false);
    };
    if replaced.before == replaced.after {
        return Ok(false);
    }
    processor.settings.config = replaced.before;
    put_settings(tx, tenant, name, &processor.settings).await?;
    Ok(true)
}

/// `None` also if the processor was configured again since.
async fn unless_configured_since(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    replaced: Option<Replaced>,
) -> Result<Option<Replaced>, StorageError> {
    let Some(replaced) = replaced else {
        return Ok(None);
    };
    let processor = find(tx, tenant, name).await?;
    let configured = processor.and_then(|processor| processor.settings.config);
    Ok((configured == replaced.after).then_some(replaced))
}

fn read(row: &Row) -> Result<Replaced, StorageError> {
    Ok(Replaced {
        before: json(row, 0, "activations.config_before")?,
        after: json(row, 1, "activations.config_after")?,
    })
}
