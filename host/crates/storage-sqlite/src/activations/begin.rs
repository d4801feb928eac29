//! Making a revision current: the row of an activation, and the start of its canary.

use greenroom_model::{Digest, EntityUid, ProcessorName, TenantId};
use greenroom_storage::{ACTIVATIONS_KEPT, ActivationState, CANARY_MS, Lane, UnpickedCanary};
use rusqlite::params;

use crate::activations::{config, current, end};
use crate::damage::{digest, value};
use crate::processors::raise_pipeline_version;
use crate::statement;
use crate::work::{enqueue_tenant, requeue_cleared};
use crate::writer::WriteTx;

/// Makes a ready revision current, now; `false` if it is not there or not ready. What was under way is superseded.
pub(crate) fn activate(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    revision: u32,
) -> rusqlite::Result<bool> {
    if !crate::revisions::mark_activated(tx, tenant, name, revision)? {
        return Ok(false);
    }
    let replaced = config::of_open_canary(tx, tenant, name)?;
    begin(tx, tenant, name, revision, false)?;
    if let Some(replaced) = replaced {
        config::note(tx, tenant, name, &replaced)?;
    }
    Ok(true)
}

/// Adds the activation's row. A revision that passed before has no canary, and everything is queued at once.
pub(super) fn begin(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    revision: u32,
    automatic: bool,
) -> rusqlite::Result<()> {
    supersede(tx, tenant, name)?;
    let found: Option<(Digest, Option<i64>)> = statement::one(
        tx,
        "SELECT digest, passed_activation FROM processor_revisions
         WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
        params![tenant.0, name.as_str(), revision],
        |row| {
            Ok((
                digest(row, 0, "processor_revisions.digest")?,
                value(row, 1, "processor_revisions.passed_activation")?,
            ))
        },
    )?;
    let number: Option<u32> = statement::one(
        tx,
        "UPDATE processors SET current_revision = ?3, held = 0, last_activation = last_activation + 1
         WHERE tenant_id = ?1 AND name = ?2 RETURNING last_activation",
        params![tenant.0, name.as_str(), revision],
        |row| value(row, 0, "processors.last_activation"),
    )?;
    let (Some((digest, passed)), Some(number)) = (found, number) else {
        return Ok(());
    };
    let now = tx.now_ms();
    let passed = passed.is_some();
    tx.run(
        "INSERT INTO activations (tenant_id, processor, number, revision, digest, state, automatic, started_at, ends_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            tenant.0,
            name.as_str(),
            number,
            revision,
            digest.as_bytes(),
            if passed { "passed" } else { "canary" },
            automatic,
            now,
            (!passed).then_some(now + CANARY_MS)
        ],
    )?;
    forget_oldest(tx, tenant, name, number)?;
    raise_pipeline_version(tx, tenant)?;
    if passed {
        end::remember_passed(tx, tenant, name, revision, number)?;
        enqueue_tenant(tx, tenant, Lane::Bulk)?;
    }
    Ok(())
}

/// Ends a canary that another activation or setting makes pointless.
pub(super) fn supersede(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
) -> rusqlite::Result<bool> {
    let rows = tx.run(
        "UPDATE activations SET state = 'superseded'
         WHERE tenant_id = ?1 AND processor = ?2 AND state = 'canary'",
        params![tenant.0, name.as_str()],
    )?;
    end::close(tx, tenant, name)?;
    Ok(rows > 0)
}

fn forget_oldest(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    newest: u32,
) -> rusqlite::Result<()> {
    let key = params![
        tenant.0,
        name.as_str(),
        newest.saturating_sub(ACTIVATIONS_KEPT)
    ];
    tx.run(
        "DELETE FROM activations WHERE tenant_id = ?1 AND processor = ?2 AND number <= ?3",
        key,
    )?;
    tx.run(
        "DELETE FROM regressions WHERE tenant_id = ?1 AND processor = ?2 AND activation <= ?3",
        key,
    )?;
    // Only the newest activation's calls are ever asked for.
    tx.run(
        "DELETE FROM activation_calls WHERE tenant_id = ?1 AND processor = ?2",
        params![tenant.0, name.as_str()],
    )?;
    Ok(())
}

/// See [`greenroom_storage::ActivationRepository::start_canary`].
pub(super) fn start_canary(
    tx: &mut WriteTx<'_>,
    canary: &UnpickedCanary,
    entities: &[EntityUid],
) -> rusqlite::Result<bool> {
    let (tenant, name) = (canary.tenant, &canary.processor);
    let Some(activation) = current(tx, tenant, name)? else {
        return Ok(false);
    };
    let waits = activation.state == ActivationState::Canary && !activation.picked;
    if !waits || activation.number != canary.activation {
        return Ok(false);
    }
    let now = tx.now_ms();
    tx.run(
        "UPDATE activations SET picked_at = ?4, ends_at = ?5, matching = ?6
         WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
        params![
            tenant.0,
            name.as_str(),
            activation.number,
            now,
            now + CANARY_MS,
            entities.len() as i64
        ],
    )?;
    for entity in entities {
        tx.run(
            "INSERT INTO canary_entities (tenant_id, entity_id, processor, activation) VALUES (?1, ?2, ?3, ?4)",
            params![
                tenant.0,
                entity.as_str(),
                name.as_str(),
                activation.number
            ],
        )?;
        requeue_cleared(tx, tenant, entity, Lane::Changed)?;
    }
    if entities.is_empty() {
        end::pass(tx, &activation)?;
    }
    Ok(true)
}
