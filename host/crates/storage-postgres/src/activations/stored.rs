//! Activations as they are stored: what deciding needs of one, and what is shown of it.

use std::collections::BTreeMap;

use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_storage::{Activation, ActivationState, Alarm, Regression, StorageError};
use tokio_postgres::Row;

use crate::damage::{
    damaged, digest, entity_ref, optional_text, optional_timestamp, optional_unsigned32, text,
    timestamp, unsigned32, value,
};
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// Regressions shown with an activation.
const SHOWN: i64 = 100;

/// What deciding needs of an activation.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) tenant: TenantId,
    pub(super) processor: ProcessorName,
    pub(super) number: u32,
    pub(super) revision: u32,
    pub(super) digest: Digest,
    pub(super) state: ActivationState,
    pub(super) automatic: bool,
    pub(super) picked: bool,
    pub(super) matching: u32,
    pub(super) alarmed: bool,
}

/// The newest activation of a processor.
pub(super) async fn current(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<Option<Current>, StorageError> {
    Ok(current_of(tx, tenant, &[name]).await?.remove(name))
}

/// The newest activation of each of these processors that has one.
pub(super) async fn current_of(
    tx: &Transaction,
    tenant: TenantId,
    names: &[&ProcessorName],
) -> Result<BTreeMap<ProcessorName, Current>, StorageError> {
    let newest = tx
        .all(
            "SELECT a.processor, a.number, a.revision, a.digest, a.state, a.automatic, a.picked_at IS NOT NULL,
                    a.matching, a.alarm_at IS NOT NULL
             FROM unnest($2::text[]) AS n (name) CROSS JOIN LATERAL
                 (SELECT * FROM activations o WHERE o.tenant_id = $1 AND o.processor = n.name
                  ORDER BY o.number DESC LIMIT 1) a",
            &[
                &tenant.0,
                &texts(names.iter().map(|name| name.as_str())),
            ],
            |row| {
                Ok(Current {
                    tenant,
                    processor: read_processor(row, 0)?,
                    number: unsigned32(row, 1, "activations.number")?,
                    revision: unsigned32(row, 2, "activations.revision")?,
                    digest: digest(row, 3, "activations.digest")?,
                    state: state(row, 4)?,
                    automatic: value(row, 5, "activations.automatic")?,
                    picked: value(row, 6, "activations.picked_at")?,
                    matching: unsigned32(row, 7, "activations.matching")?,
                    alarmed: value(row, 8, "activations.alarm_at")?,
                })
            },
        )
        .await?;
    Ok(newest
        .into_iter()
        .map(|one| (one.processor.clone(), one))
        .collect())
}

/// Newest first, with their newest regressions.
pub(super) async fn list(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    limit: u32,
) -> Result<Vec<Activation>, StorageError> {
    let mut activations = tx
        .all(
            "SELECT number, revision, digest, state, automatic, started_at, ends_at, matching, processed,
                    alarm_at, alarm_reason, returned_to
             FROM activations WHERE tenant_id = $1 AND processor = $2 ORDER BY number DESC LIMIT $3",
            &[&tenant.0, &Text(name.as_str()), &i64::from(limit)],
            read_activation,
        )
        .await?;
    let numbers: Vec<i64> = activations
        .iter()
        .map(|one| i64::from(one.number))
        .collect();
    let regressions = tx
        .all(
            "SELECT r.activation, r.entity_ref, r.fault, r.message, r.at
             FROM unnest($3::bigint[]) AS n (number) CROSS JOIN LATERAL
                 (SELECT * FROM regressions o
                  WHERE o.tenant_id = $1 AND o.processor = $2 AND o.activation = n.number
                  ORDER BY o.at DESC LIMIT $4) r
             ORDER BY r.at DESC, r.entity_id",
            &[&tenant.0, &Text(name.as_str()), &numbers, &SHOWN],
            |row| {
                let regression = Regression {
                    entity_ref: entity_ref(row, 1, "regressions.entity_ref")?,
                    fault: text(row, 2, "regressions.fault")?,
                    message: text(row, 3, "regressions.message")?,
                    at: timestamp(row, 4, "regressions.at")?,
                };
                Ok((unsigned32(row, 0, "regressions.activation")?, regression))
            },
        )
        .await?;
    for (number, regression) in regressions {
        let of = activations.iter_mut().find(|one| one.number == number);
        if let Some(activation) = of {
            activation.regressions.push(regression);
        }
    }
    Ok(activations)
}

fn read_activation(row: &Row) -> Result<Activation, StorageError> {
    let alarm_at = optional_timestamp(row, 9, "activations.alarm_at")?;
    let reason = optional_text(row, 10, "activations.alarm_reason")?;
    Ok(Activation {
        number: unsigned32(row, 0, "activations.number")?,
        revision: unsigned32(row, 1, "activations.revision")?,
        digest: digest(row, 2, "activations.digest")?,
        state: state(row, 3)?,
        automatic: value(row, 4, "activations.automatic")?,
        started_at: timestamp(row, 5, "activations.started_at")?,
        ends_at: optional_timestamp(row, 6, "activations.ends_at")?,
        matching: unsigned32(row, 7, "activations.matching")?,
        processed: unsigned32(row, 8, "activations.processed")?,
        regressions: Vec::new(),
        alarm: alarm_at.map(|at| Alarm {
            at,
            reason: reason.unwrap_or_default(),
        }),
        returned_to: optional_unsigned32(row, 11, "activations.returned_to")?,
    })
}

pub(super) fn read_processor(row: &Row, index: usize) -> Result<ProcessorName, StorageError> {
    let name = text(row, index, "activations.processor")?;
    ProcessorName::parse(&name).map_err(|error| damaged("activations.processor", error))
}

fn state(row: &Row, index: usize) -> Result<ActivationState, StorageError> {
    let text = text(row, index, "activations.state")?;
    match text.as_str() {
        "canary" => Ok(ActivationState::Canary),
        "passed" => Ok(ActivationState::Passed),
        "alarmed" => Ok(ActivationState::Alarmed),
        "quarantined" => Ok(ActivationState::Quarantined),
        "superseded" => Ok(ActivationState::Superseded),
        other => Err(damaged(
            "activations.state",
            format!("`{other}` is no state"),
        )),
    }
}
