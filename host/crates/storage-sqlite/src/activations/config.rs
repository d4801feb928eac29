//! The configuration that came with a revision, so that a quarantine takes it back with the revision.
//!
//! A revision that is activated with a configuration may need it, and the one before may not take it. What was configured
//! before is kept with the activation. It comes back only where nobody configured anything else in the meantime, and it is that
//! of the last activation that was decided: one that superseded an open canary remembers what the canary's had replaced.

use greenroom_model::{ProcessorName, TenantId};
use rusqlite::params;
use serde_json::Value;

use crate::activations::Current;
use crate::damage::{json, to_json};
use crate::processors::{find, put_settings};
use crate::statement;
use crate::writer::WriteTx;

/// What a processor was configured with, before and after an activation; `None` is no configuration.
pub(super) struct Replaced {
    before: Option<Value>,
    after: Option<Value>,
}

/// What an open canary's activation replaced, if that is still what the processor is configured with.
pub(super) fn of_open_canary(
    tx: &WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
) -> rusqlite::Result<Option<Replaced>> {
    of(tx, tenant, name, "AND state = 'canary'")
}

/// Notes it with the newest activation.
pub(super) fn note(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    replaced: &Replaced,
) -> rusqlite::Result<()> {
    tx.run(
        "UPDATE activations SET config_before = coalesce(config_before, ?3), config_after = ?4
         WHERE tenant_id = ?1 AND processor = ?2
           AND number = (SELECT last_activation FROM processors WHERE tenant_id = ?1 AND name = ?2)",
        params![
            tenant.0,
            name.as_str(),
            to_json(&replaced.before)?,
            to_json(&replaced.after)?
        ],
    )?;
    Ok(())
}

/// Configures a processor for the activation that has just begun.
pub(crate) fn bring(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    config: Value,
) -> rusqlite::Result<()> {
    let Some(mut processor) = find(tx, tenant, name)? else {
        return Ok(());
    };
    let before = processor.settings.config.replace(config);
    let after = processor.settings.config.clone();
    if before != after {
        put_settings(tx, tenant, name, &processor.settings)?;
    }
    note(tx, tenant, name, &Replaced { before, after })
}

/// Configures the processor as before a quarantined activation, once another has begun (which gives settings a new version);
/// answers whether anything changed.
pub(super) fn take_back(tx: &mut WriteTx<'_>, activation: &Current) -> rusqlite::Result<bool> {
    let (tenant, name) = (activation.tenant, &activation.processor);
    let number = format!("AND number = {}", activation.number);
    let Some(replaced) = of(tx, tenant, name, &number)? else {
        return Ok(false);
    };
    let Some(mut processor) = find(tx, tenant, name)? else {
        return Ok(false);
    };
    if replaced.before == replaced.after {
        return Ok(false);
    }
    processor.settings.config = replaced.before;
    put_settings(tx, tenant, name, &processor.settings)?;
    Ok(true)
}

/// What an activation replaced; `None` if it brought nothing, or if the processor was configured again since.
fn of(
    tx: &WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    which: &str,
) -> rusqlite::Result<Option<Replaced>> {
    let replaced = statement::one(
        tx,
        &format!(
            "SELECT config_before, config_after FROM activations
             WHERE tenant_id = ?1 AND processor = ?2 AND config_after IS NOT NULL {which}"
        ),
        params![tenant.0, name.as_str()],
        |row| {
            Ok(Replaced {
                before: json(row, 0, "activations.config_before")?,
                after: json(row, 1, "activations.config_after")?,
            })
        },
    )?;
    let Some(replaced) = replaced else {
        return Ok(None);
    };
    let configured = find(tx, tenant, name)?.and_then(|processor| processor.settings.config);
    Ok((configured == replaced.after).then_some(replaced))
}
