//! How an activation is decided: its canary passes, or it regresses and is quarantined (DESIGN §3.3).
//!
//! A quarantine is one transaction with the run that decided it: the state, the return to the last revision that passed, the
//! requeue, and the audit record. It returns once; a revision that was returned to and regresses is not called any more.

use greenroom_model::{ProcessorName, TenantId, Timestamp};
use greenroom_storage::{
    ActivationState, AuditEntry, CANARY_MS, LATER_REGRESSIONS, Lane, ProcessorSettings,
    QuarantineMode, regressions_that_decide,
};
use rusqlite::{Connection, params};
use serde_json::json as json_value;

use crate::activations::{Current, begin, config, current, processor};
use crate::audit;
use crate::damage::{json, tenant_id, uid, unsigned, value};
use crate::processors::raise_pipeline_version;
use crate::revisions::last_passed;
use crate::statement;
use crate::work::{enqueue, enqueue_tenant, touch_bulk};
use crate::writer::WriteTx;

/// The actor of what nobody asked for.
const ACTOR: &str = "greenroom";

/// Canaries whose time has come, or of which nothing is left to run: their last entities were deleted, or are not called any more.
pub(super) fn over(
    conn: &Connection,
    now: Timestamp,
) -> rusqlite::Result<Vec<(TenantId, ProcessorName)>> {
    statement::all(
        conn,
        "SELECT tenant_id, processor FROM activations a
         WHERE state = 'canary' AND picked_at IS NOT NULL AND (ends_at <= ?1 OR NOT EXISTS (
             SELECT 1 FROM canary_entities c JOIN work w ON w.tenant_id = c.tenant_id AND w.entity_id = c.entity_id
             WHERE c.tenant_id = a.tenant_id AND c.processor = a.processor AND c.activation = a.number AND c.done = 0))",
        params![now.0],
        |row| {
            Ok((
                tenant_id(row, 0, "activations.tenant_id")?,
                processor(row, 1)?,
            ))
        },
    )
}

/// Ends a canary that is over: what has not regressed enough by then passes.
pub(super) fn end_over(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
) -> rusqlite::Result<()> {
    match current(tx, tenant, name)? {
        Some(activation) if activation.state == ActivationState::Canary => pass(tx, &activation),
        _ => Ok(()),
    }
}

/// Decides an activation after runs were counted.
pub(super) fn judge(
    tx: &mut WriteTx<'_>,
    activation: &Current,
    processed: u32,
) -> rusqlite::Result<()> {
    let mut alarmed = activation.alarmed;
    if !alarmed && let Some(reason) = regressed(tx, activation)? {
        if mode(tx, activation)? == QuarantineMode::Automatic {
            return quarantine(tx, activation, &reason);
        }
        note_alarm(tx, activation, &reason)?;
        alarmed = true;
    }
    let canary = activation.state == ActivationState::Canary && activation.picked;
    if canary && processed >= activation.matching {
        let activation = Current {
            alarmed,
            ..activation.clone()
        };
        return pass(tx, &activation);
    }
    Ok(())
}

/// Why the activation has regressed, if it has.
fn regressed(tx: &WriteTx<'_>, activation: &Current) -> rusqlite::Result<Option<String>> {
    let key = (
        activation.tenant.0,
        activation.processor.as_str(),
        activation.number,
    );
    if activation.state == ActivationState::Canary && activation.matching > 0 {
        let of_canary = statement::one(
            tx,
            "SELECT count(*) FROM regressions
             WHERE tenant_id = ?1 AND processor = ?2 AND activation = ?3 AND in_canary = 1",
            key,
            |row| unsigned(row, 0, "regressions"),
        )?
        .unwrap_or(0);
        if of_canary >= u64::from(regressions_that_decide(activation.matching)) {
            return Ok(Some(format!(
                "{of_canary} of the {} entities of its canary regressed",
                activation.matching
            )));
        }
    }
    let since = tx.now_ms().saturating_sub(CANARY_MS);
    let later = statement::one(
        tx,
        "SELECT count(*) FROM regressions
         WHERE tenant_id = ?1 AND processor = ?2 AND activation = ?3 AND at > ?4",
        params![key.0, key.1, key.2, since],
        |row| unsigned(row, 0, "regressions"),
    )?
    .unwrap_or(0);
    if later < u64::from(LATER_REGRESSIONS) {
        return Ok(None);
    }
    let (calls, faulted) = statement::one(
        tx,
        "SELECT coalesce(sum(calls), 0), coalesce(sum(faulted), 0) FROM activation_calls
         WHERE tenant_id = ?1 AND processor = ?2 AND activation = ?3 AND minute > ?4",
        params![key.0, key.1, key.2, since / 60_000],
        |row| {
            Ok((
                unsigned(row, 0, "activation_calls.calls")?,
                unsigned(row, 1, "activation_calls.faulted")?,
            ))
        },
    )?
    .unwrap_or((0, 0));
    Ok((faulted.saturating_mul(2) >= calls).then(|| {
        format!(
            "{later} entities regressed within 10 minutes, and {faulted} of {calls} calls faulted"
        )
    }))
}

/// Ends a canary well, or as well as an alarm allows; the rest is queued.
pub(super) fn pass(tx: &mut WriteTx<'_>, activation: &Current) -> rusqlite::Result<()> {
    let (tenant, name) = (activation.tenant, &activation.processor);
    let now = tx.now_ms();
    tx.run(
        "UPDATE activations SET state = ?4, ends_at = ?5 WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
        params![
            tenant.0,
            name.as_str(),
            activation.number,
            if activation.alarmed { "alarmed" } else { "passed" },
            now
        ],
    )?;
    if !activation.alarmed {
        remember_passed(tx, tenant, name, activation.revision, activation.number)?;
    }
    close(tx, tenant, name)?;
    enqueue_tenant(tx, tenant, Lane::Bulk)?;
    Ok(())
}

/// Notes that a revision passed: it may be gone back to without a canary.
pub(super) fn remember_passed(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    revision: u32,
    activation: u32,
) -> rusqlite::Result<()> {
    tx.run(
        "UPDATE processor_revisions SET passed_activation = ?4
         WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
        params![tenant.0, name.as_str(), revision, activation],
    )?;
    tx.run(
        "UPDATE processors SET ever_passed = 1 WHERE tenant_id = ?1 AND name = ?2",
        params![tenant.0, name.as_str()],
    )?;
    Ok(())
}

/// Lets go of a canary's entities and lets the walk in lane *bulk* go on.
pub(super) fn close(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
) -> rusqlite::Result<()> {
    tx.run(
        "DELETE FROM canary_entities WHERE tenant_id = ?1 AND processor = ?2",
        params![tenant.0, name.as_str()],
    )?;
    touch_bulk(tx, tenant)
}

fn mode(tx: &WriteTx<'_>, activation: &Current) -> rusqlite::Result<QuarantineMode> {
    let settings: Option<ProcessorSettings> = statement::one(
        tx,
        "SELECT settings FROM processors WHERE tenant_id = ?1 AND name = ?2",
        params![activation.tenant.0, activation.processor.as_str()],
        |row| json(row, 0, "processors.settings"),
    )?;
    Ok(settings.unwrap_or_default().quarantine)
}

fn set_alarm(
    tx: &mut WriteTx<'_>,
    activation: &Current,
    state: &str,
    reason: &str,
) -> rusqlite::Result<()> {
    let now = tx.now_ms();
    tx.run(
        "UPDATE activations SET state = ?4, alarm_at = ?5, alarm_reason = ?6
         WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
        params![
            activation.tenant.0,
            activation.processor.as_str(),
            activation.number,
            state,
            now,
            reason
        ],
    )?;
    tx.run(
        "UPDATE processor_revisions SET passed_activation = NULL
         WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
        params![
            activation.tenant.0,
            activation.processor.as_str(),
            activation.revision
        ],
    )?;
    Ok(())
}

/// Manual: people decide. The revision is not remembered as passed.
fn note_alarm(tx: &mut WriteTx<'_>, activation: &Current, reason: &str) -> rusqlite::Result<()> {
    let state = match activation.state {
        ActivationState::Canary => "canary",
        _ => "alarmed",
    };
    set_alarm(tx, activation, state, reason)?;
    let after = json_value!({"revision": activation.revision, "reason": reason});
    record(tx, activation, "alarm_revision", after.to_string())
}

/// Takes the revision out of use.
pub(super) fn quarantine(
    tx: &mut WriteTx<'_>,
    activation: &Current,
    reason: &str,
) -> rusqlite::Result<()> {
    let (tenant, name) = (activation.tenant, &activation.processor);
    set_alarm(tx, activation, "quarantined", reason)?;
    close(tx, tenant, name)?;
    let returned_to = match activation.automatic {
        true => None,
        false => last_passed(tx, tenant, name)?,
    };
    let mut config_taken_back = false;
    match returned_to {
        Some(revision) => {
            begin::begin(tx, tenant, name, revision, true)?;
            config_taken_back = config::take_back(tx, activation)?;
            tx.run(
                "UPDATE activations SET returned_to = ?4
                 WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
                params![tenant.0, name.as_str(), activation.number, revision],
            )?;
            requeue_regressed(tx, activation)?;
        }
        None if has_passed(tx, tenant, name)? => {
            // What it matches was made by it: running that without it would take its results away.
            tx.run(
                "UPDATE processors SET held = 1 WHERE tenant_id = ?1 AND name = ?2",
                params![tenant.0, name.as_str()],
            )?;
            raise_pipeline_version(tx, tenant)?;
        }
        None => {
            // None of its revisions was ever good, so what was good was made without it.
            tx.run(
                "UPDATE processors SET current_revision = NULL WHERE tenant_id = ?1 AND name = ?2",
                params![tenant.0, name.as_str()],
            )?;
            raise_pipeline_version(tx, tenant)?;
            enqueue_tenant(tx, tenant, Lane::Bulk)?;
            requeue_regressed(tx, activation)?;
        }
    }
    let after = json_value!({
        "current": returned_to, "configTakenBack": config_taken_back, "reason": reason,
    });
    record(tx, activation, "quarantine_revision", after.to_string())
}

fn has_passed(tx: &WriteTx<'_>, tenant: TenantId, name: &ProcessorName) -> rusqlite::Result<bool> {
    let passed = statement::one(
        tx,
        "SELECT ever_passed FROM processors WHERE tenant_id = ?1 AND name = ?2",
        params![tenant.0, name.as_str()],
        |row| value(row, 0, "processors.ever_passed"),
    )?;
    Ok(passed.unwrap_or(false))
}

/// What regressed runs first under what follows.
fn requeue_regressed(tx: &mut WriteTx<'_>, activation: &Current) -> rusqlite::Result<()> {
    let regressed = statement::all(
        tx,
        "SELECT entity_id FROM regressions WHERE tenant_id = ?1 AND processor = ?2 AND activation = ?3",
        params![
            activation.tenant.0,
            activation.processor.as_str(),
            activation.number
        ],
        |row| uid(row, 0, "regressions.entity_id"),
    )?;
    let now = tx.now();
    for entity in &regressed {
        enqueue(tx, activation.tenant, entity, Lane::Changed, now)?;
    }
    Ok(())
}

fn record(
    tx: &mut WriteTx<'_>,
    activation: &Current,
    action: &str,
    after: String,
) -> rusqlite::Result<()> {
    let before = json_value!({"current": activation.revision});
    audit::append(
        tx,
        &AuditEntry {
            at: tx.now(),
            tenant: Some(activation.tenant),
            actor: ACTOR.to_owned(),
            action: action.to_owned(),
            subject: activation.processor.as_str().to_owned(),
            remote: String::new(),
            before: Some(before.to_string()),
            after: Some(after),
        },
    )
}
