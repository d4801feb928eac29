//! How an activation is decided: its canary passes, or it regresses and is quarantined (DESIGN §3.3).
//!
//! A quarantine is one transaction with the run that decided it: the state, the return to the last revision that passed, the
//! requeue, and the audit record. It returns once; a revision that was returned to and regresses is not called any more.

use std::collections::BTreeMap;

use greenroom_model::{ProcessorName, TenantId};
use greenroom_storage::{
    ActivationState, AuditEntry, CANARY_MS, LATER_REGRESSIONS, Lane, QuarantineMode, StorageError,
    regressions_that_decide,
};
use serde_json::json as json_value;

use crate::activations::stored::{Current, current_of, read_processor};
use crate::activations::{begin, config};
use crate::audit;
use crate::damage::{tenant_id, uid, unsigned, value};
use crate::processors::{self, raise_pipeline_version};
use crate::revisions::last_passed;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::{enqueue, enqueue_tenant, touch_bulk};

/// The actor of what nobody asked for.
const ACTOR: &str = "greenroom";

/// Processors of each tenant whose canary's time has come, or of whose canary nothing is left to run: its last entities were
/// deleted, or are not called any more.
pub(super) async fn over(
    tx: &Transaction,
) -> Result<BTreeMap<TenantId, Vec<ProcessorName>>, StorageError> {
    let found = tx
        .all(
            "SELECT tenant_id, processor FROM activations a
             WHERE state = 'canary' AND picked_at IS NOT NULL AND (ends_at <= $1 OR NOT EXISTS (
                 SELECT 1 FROM canary_entities c JOIN work w ON w.tenant_id = c.tenant_id AND w.entity_id = c.entity_id
                 WHERE c.tenant_id = a.tenant_id AND c.processor = a.processor AND c.activation = a.number
                     AND NOT c.done))",
            &[&tx.now_ms()],
            |row| {
                let tenant = tenant_id(row, 0, "activations.tenant_id")?;
                Ok((tenant, read_processor(row, 1)?))
            },
        )
        .await?;
    let mut over: BTreeMap<TenantId, Vec<ProcessorName>> = BTreeMap::new();
    for (tenant, processor) in found {
        over.entry(tenant).or_default().push(processor);
    }
    Ok(over)
}

/// Ends canaries that are over: what has not regressed enough by then passes. Answers how many still were to be ended.
pub(super) async fn end_over(
    tx: &Transaction,
    tenant: TenantId,
    names: &[ProcessorName],
) -> Result<u64, StorageError> {
    let still = over(tx).await?;
    let still = still.get(&tenant).map_or(&[] as &[_], Vec::as_slice);
    let names: Vec<&ProcessorName> = names.iter().filter(|name| still.contains(name)).collect();
    let mut ended = 0;
    for activation in current_of(tx, tenant, &names).await?.values() {
        if activation.state == ActivationState::Canary {
            pass(tx, activation).await?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// Decides an activation after runs were counted.
pub(super) async fn judge(
    tx: &Transaction,
    activation: &Current,
    processed: u32,
) -> Result<(), StorageError> {
    let mut activation = activation.clone();
    if !activation.alarmed
        && let Some(reason) = regressed(tx, &activation).await?
    {
        if mode(tx, &activation).await? == QuarantineMode::Automatic {
            return quarantine(tx, &activation, &reason).await;
        }
        note_alarm(tx, &activation, &reason).await?;
        activation.alarmed = true;
    }
    let canary = activation.state == ActivationState::Canary && activation.picked;
    if canary && processed >= activation.matching {
        return pass(tx, &activation).await;
    }
    Ok(())
}

/// Why the activation has regressed, if it has.
async fn regressed(tx: &Transaction, activation: &Current) -> Result<Option<String>, StorageError> {
    let (tenant, number) = (activation.tenant.0, i64::from(activation.number));
    let processor = Text(activation.processor.as_str());
    let since = tx.now_ms().saturating_sub(CANARY_MS);
    let counted = tx
        .one(
            "SELECT count(*) FILTER (WHERE in_canary), count(*) FILTER (WHERE at > $4) FROM regressions
             WHERE tenant_id = $1 AND processor = $2 AND activation = $3",
            &[&tenant, &processor, &number, &since],
            |row| Ok((unsigned(row, 0, "regressions")?, unsigned(row, 1, "regressions")?)),
        )
        .await?;
    let (of_canary, later) = counted.unwrap_or((0, 0));
    if activation.state == ActivationState::Canary
        && activation.matching > 0
        && of_canary >= u64::from(regressions_that_decide(activation.matching))
    {
        return Ok(Some(format!(
            "{of_canary} of the {} entities of its canary regressed",
            activation.matching
        )));
    }
    if later < u64::from(LATER_REGRESSIONS) {
        return Ok(None);
    }
    let sums = tx
        .one(
            "SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(faulted), 0)::bigint FROM activation_calls
             WHERE tenant_id = $1 AND processor = $2 AND activation = $3 AND minute > $4",
            &[&tenant, &processor, &number, &(since / 60_000)],
            |row| {
                Ok((
                    unsigned(row, 0, "activation_calls.calls")?,
                    unsigned(row, 1, "activation_calls.faulted")?,
                ))
            },
        )
        .await?;
    let (calls, faulted) = sums.unwrap_or((0, 0));
    Ok((faulted.saturating_mul(2) >= calls).then(|| {
        format!(
            "{later} entities regressed within 10 minutes, and {faulted} of {calls} calls faulted"
        )
    }))
}

/// Ends a canary well, or as well as an alarm allows; the rest is queued.
pub(super) async fn pass(tx: &Transaction, activation: &Current) -> Result<(), StorageError> {
    let (tenant, name) = (activation.tenant, &activation.processor);
    let state = if activation.alarmed {
        "alarmed"
    } else {
        "passed"
    };
    tx.run(
        "UPDATE activations SET state = $4, ends_at = $5 WHERE tenant_id = $1 AND processor = $2 AND number = $3",
        &[
            &tenant.0,
            &Text(name.as_str()),
            &i64::from(activation.number),
            &Text(state),
            &tx.now_ms(),
        ],
    )
    .await?;
    if !activation.alarmed {
        let revision = i64::from(activation.revision);
        remember_passed(tx, tenant, name, revision, activation.number).await?;
    }
    close(tx, tenant, name).await?;
    enqueue_tenant(tx, tenant, Lane::Bulk).await?;
    Ok(())
}

/// Notes that a revision passed: it may be gone back to without a canary.
pub(super) async fn remember_passed(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    revision: i64,
    activation: u32,
) -> Result<(), StorageError> {
    let processor = Text(name.as_str());
    tx.run(
        "UPDATE processor_revisions SET passed_activation = $4
         WHERE tenant_id = $1 AND processor = $2 AND number = $3",
        &[&tenant.0, &processor, &revision, &i64::from(activation)],
    )
    .await?;
    tx.run(
        "UPDATE processors SET ever_passed = true WHERE tenant_id = $1 AND name = $2",
        &[&tenant.0, &processor],
    )
    .await?;
    Ok(())
}

/// Lets go of a canary's entities and lets the walk in lane *bulk* go on.
pub(super) async fn close(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<(), StorageError> {
    tx.run(
        "DELETE FROM canary_entities WHERE tenant_id = $1 AND processor = $2",
        &[&tenant.0, &Text(name.as_str())],
    )
    .await?;
    touch_bulk(tx, tenant).await
}

async fn mode(tx: &Transaction, activation: &Current) -> Result<QuarantineMode, StorageError> {
    let processor = processors::find(tx, activation.tenant, &activation.processor).await?;
    Ok(processor.map_or_else(QuarantineMode::default, |processor| {
        processor.settings.quarantine
    }))
}

async fn set_alarm(
    tx: &Transaction,
    activation: &Current,
    state: &str,
    reason: &str,
) -> Result<(), StorageError> {
    let processor = Text(activation.processor.as_str());
    tx.run(
        "UPDATE activations SET state = $4, alarm_at = $5, alarm_reason = $6
         WHERE tenant_id = $1 AND processor = $2 AND number = $3",
        &[
            &activation.tenant.0,
            &processor,
            &i64::from(activation.number),
            &Text(state),
            &tx.now_ms(),
            &Text(reason),
        ],
    )
    .await?;
    tx.run(
        "UPDATE processor_revisions SET passed_activation = NULL
         WHERE tenant_id = $1 AND processor = $2 AND number = $3",
        &[
            &activation.tenant.0,
            &processor,
            &i64::from(activation.revision),
        ],
    )
    .await?;
    Ok(())
}

/// Manual: people decide. The revision is not remembered as passed.
async fn note_alarm(
    tx: &Transaction,
    activation: &Current,
    reason: &str,
) -> Result<(), StorageError> {
    let state = match activation.state {
        ActivationState::Canary => "canary",
        _ => "alarmed",
    };
    set_alarm(tx, activation, state, reason).await?;
    let after = json_value!({"revision": activation.revision, "reason": reason});
    record(tx, activation, "alarm_revision", after.to_string()).await
}

/// Takes the revision out of use.
pub(super) async fn quarantine(
    tx: &Transaction,
    activation: &Current,
    reason: &str,
) -> Result<(), StorageError> {
    let (tenant, name) = (activation.tenant, &activation.processor);
    let processor = Text(name.as_str());
    set_alarm(tx, activation, "quarantined", reason).await?;
    close(tx, tenant, name).await?;
    let returned_to = match activation.automatic {
        true => None,
        false => last_passed(tx, tenant, name).await?,
    };
    let mut config_taken_back = false;
    match returned_to {
        Some(revision) => {
            begin::begin(tx, tenant, name, revision, true).await?;
            config_taken_back = config::take_back(tx, activation).await?;
            tx.run(
                "UPDATE activations SET returned_to = $4
                 WHERE tenant_id = $1 AND processor = $2 AND number = $3",
                &[
                    &tenant.0,
                    &processor,
                    &i64::from(activation.number),
                    &i64::from(revision),
                ],
            )
            .await?;
            requeue_regressed(tx, activation).await?;
        }
        None if has_passed(tx, tenant, name).await? => {
            // What it matches was made by it: running that without it would take its results away.
            tx.run(
                "UPDATE processors SET held = true WHERE tenant_id = $1 AND name = $2",
                &[&tenant.0, &processor],
            )
            .await?;
            raise_pipeline_version(tx, tenant).await?;
        }
        None => {
            // None of its revisions was ever good, so what was good was made without it.
            tx.run(
                "UPDATE processors SET current_revision = NULL WHERE tenant_id = $1 AND name = $2",
                &[&tenant.0, &processor],
            )
            .await?;
            raise_pipeline_version(tx, tenant).await?;
            enqueue_tenant(tx, tenant, Lane::Bulk).await?;
            requeue_regressed(tx, activation).await?;
        }
    }
    let after = json_value!({
        "current": returned_to, "configTakenBack": config_taken_back, "reason": reason,
    });
    record(tx, activation, "quarantine_revision", after.to_string()).await
}

async fn has_passed(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<bool, StorageError> {
    let passed = tx
        .one(
            "SELECT ever_passed FROM processors WHERE tenant_id = $1 AND name = $2",
            &[&tenant.0, &Text(name.as_str())],
            |row| value(row, 0, "processors.ever_passed"),
        )
        .await?;
    Ok(passed.unwrap_or(false))
}

/// What regressed runs first under what follows.
async fn requeue_regressed(tx: &Transaction, activation: &Current) -> Result<(), StorageError> {
    let regressed = tx
        .all(
            "SELECT entity_id FROM regressions WHERE tenant_id = $1 AND processor = $2 AND activation = $3",
            &[
                &activation.tenant.0,
                &Text(activation.processor.as_str()),
                &i64::from(activation.number),
            ],
            |row| uid(row, 0, "regressions.entity_id"),
        )
        .await?;
    let now = tx.now_ms();
    enqueue(tx, activation.tenant, Lane::Changed, &regressed, now, false).await
}

async fn record(
    tx: &Transaction,
    activation: &Current,
    action: &str,
    after: String,
) -> Result<(), StorageError> {
    let before = json_value!({"current": activation.revision});
    let entry = AuditEntry {
        at: tx.now(),
        tenant: Some(activation.tenant),
        actor: ACTOR.to_owned(),
        action: action.to_owned(),
        subject: activation.processor.as_str().to_owned(),
        remote: String::new(),
        before: Some(before.to_string()),
        after: Some(after),
    };
    audit::append(tx, &entry).await
}
