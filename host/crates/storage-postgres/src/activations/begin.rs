//! Making a revision current: the row of an activation, and the start of its canary.

use greenroom_model::{Digest, EntityUid, ProcessorName, TenantId};
use greenroom_storage::{
    ACTIVATIONS_KEPT, ActivationState, CANARY_MS, Lane, StorageError, UnpickedCanary,
};

use crate::activations::{config, current, end};
use crate::damage::{digest, unsigned32, value};
use crate::processors::raise_pipeline_version;
use crate::revisions;
use crate::text::{Text, texts};
use crate::transaction::Transaction;
use crate::work::{enqueue, enqueue_tenant};

/// Makes a ready revision current, now; `false` if it is not there or not ready. What was under way is superseded.
pub(crate) async fn activate(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    revision: u32,
) -> Result<bool, StorageError> {
    if !revisions::mark_activated(tx, tenant, name, revision).await? {
        return Ok(false);
    }
    let replaced = config::of_open_canary(tx, tenant, name).await?;
    begin(tx, tenant, name, revision, false).await?;
    if let Some(replaced) = replaced {
        config::note(tx, tenant, name, &replaced).await?;
    }
    Ok(true)
}

/// Adds the activation's row. A revision that passed before has no canary, and everything is queued at once.
pub(super) async fn begin(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    revision: u32,
    automatic: bool,
) -> Result<(), StorageError> {
    supersede(tx, tenant, name).await?;
    let (processor, revision) = (Text(name.as_str()), i64::from(revision));
    let found: Option<(Digest, bool)> = tx
        .one(
            "SELECT digest, passed_activation IS NOT NULL FROM processor_revisions
             WHERE tenant_id = $1 AND processor = $2 AND number = $3",
            &[&tenant.0, &processor, &revision],
            |row| {
                Ok((
                    digest(row, 0, "processor_revisions.digest")?,
                    value(row, 1, "processor_revisions.passed_activation")?,
                ))
            },
        )
        .await?;
    let number = tx
        .one(
            "UPDATE processors SET current_revision = $3, held = false, last_activation = last_activation + 1
             WHERE tenant_id = $1 AND name = $2 RETURNING last_activation",
            &[&tenant.0, &processor, &revision],
            |row| unsigned32(row, 0, "processors.last_activation"),
        )
        .await?;
    let (Some((digest, passed)), Some(number)) = (found, number) else {
        return Ok(());
    };
    let now = tx.now_ms();
    tx.run(
        "INSERT INTO activations (tenant_id, processor, number, revision, digest, state, automatic, started_at, ends_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[
            &tenant.0,
            &processor,
            &i64::from(number),
            &revision,
            &digest.as_bytes().as_slice(),
            &Text(if passed { "passed" } else { "canary" }),
            &automatic,
            &now,
            &(!passed).then_some(now + CANARY_MS),
        ],
    )
    .await?;
    forget_oldest(tx, tenant, name, number).await?;
    raise_pipeline_version(tx, tenant).await?;
    if passed {
        end::remember_passed(tx, tenant, name, revision, number).await?;
        enqueue_tenant(tx, tenant, Lane::Bulk).await?;
    }
    Ok(())
}

/// Ends a canary that another activation or setting makes pointless.
pub(super) async fn supersede(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<(), StorageError> {
    tx.run(
        "UPDATE activations SET state = 'superseded'
         WHERE tenant_id = $1 AND processor = $2 AND state = 'canary'",
        &[&tenant.0, &Text(name.as_str())],
    )
    .await?;
    end::close(tx, tenant, name).await
}

async fn forget_oldest(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    newest: u32,
) -> Result<(), StorageError> {
    let processor = Text(name.as_str());
    let last = i64::from(newest.saturating_sub(ACTIVATIONS_KEPT));
    tx.run(
        "DELETE FROM activations WHERE tenant_id = $1 AND processor = $2 AND number <= $3",
        &[&tenant.0, &processor, &last],
    )
    .await?;
    tx.run(
        "DELETE FROM regressions WHERE tenant_id = $1 AND processor = $2 AND activation <= $3",
        &[&tenant.0, &processor, &last],
    )
    .await?;
    // Only the newest activation's calls are ever asked for.
    tx.run(
        "DELETE FROM activation_calls WHERE tenant_id = $1 AND processor = $2",
        &[&tenant.0, &processor],
    )
    .await?;
    Ok(())
}

/// See [`greenroom_storage::ActivationRepository::start_canary`].
pub(super) async fn start_canary(
    tx: &Transaction,
    canary: &UnpickedCanary,
    entities: &[EntityUid],
) -> Result<bool, StorageError> {
    let (tenant, name) = (canary.tenant, &canary.processor);
    let Some(activation) = current(tx, tenant, name).await? else {
        return Ok(false);
    };
    let waits = activation.state == ActivationState::Canary && !activation.picked;
    if !waits || activation.number != canary.activation {
        return Ok(false);
    }
    let (processor, number) = (Text(name.as_str()), i64::from(activation.number));
    let now = tx.now_ms();
    tx.run(
        "UPDATE activations SET picked_at = $4, ends_at = $5, matching = $6
         WHERE tenant_id = $1 AND processor = $2 AND number = $3",
        &[
            &tenant.0,
            &processor,
            &number,
            &now,
            &(now + CANARY_MS),
            &(entities.len() as i64),
        ],
    )
    .await?;
    if entities.is_empty() {
        end::pass(tx, &activation).await?;
        return Ok(true);
    }
    tx.run(
        "INSERT INTO canary_entities (tenant_id, entity_id, processor, activation)
         SELECT $1, e.entity_id, $2, $3 FROM unnest($4::text[]) AS e (entity_id)",
        &[
            &tenant.0,
            &processor,
            &number,
            &texts(entities.iter().map(EntityUid::as_str)),
        ],
    )
    .await?;
    enqueue(tx, tenant, Lane::Changed, entities, now, true).await?;
    Ok(true)
}
