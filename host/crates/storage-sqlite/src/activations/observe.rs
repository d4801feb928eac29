//! Counting calls and regressions in the transaction that records their runs.
//!
//! A run counts only if it was made under the revisions that are current, all of them: what was in flight when one was
//! activated or quarantined counts for nothing, or a neighbour would answer for it. A fault is a **regression** where the run's bytes are those of the last good result, and every
//! document that both runs read is the same: changed bytes and changed documents are the author's of the entity, who can
//! so never cause one (c23). A regression of an entity that is in another processor's open canary belongs to that canary:
//! what is new is the cause.

use std::collections::BTreeMap;

use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_storage::{
    ActivationState, CallsMade, FaultRecord, REGRESSIONS_KEPT, RunRecord, RunResult, TracedRead,
};
use rusqlite::params;

use crate::activations::{Current, current, end};
use crate::damage::{json, optional_digest, stored, value};
use crate::statement;
use crate::writer::WriteTx;

/// What a batch of runs adds; settled once per activation and transaction.
#[derive(Default)]
pub(crate) struct Observed {
    by: BTreeMap<(TenantId, ProcessorName), Option<Seen>>,
}

struct Seen {
    activation: Current,
    calls: u64,
    faulted: u64,
    /// Something was counted that may decide.
    decides: bool,
}

impl Seen {
    /// Whether calls under that revision are not this activation's, or not any more.
    fn is_stale(&self, made: &CallsMade) -> bool {
        let closed = matches!(
            self.activation.state,
            ActivationState::Quarantined | ActivationState::Superseded
        );
        closed || self.activation.digest != made.revision
    }
}

impl Observed {
    /// Counts a fenced run, before it is applied: applying replaces what the last good run was.
    pub(crate) fn run(
        &mut self,
        tx: &mut WriteTx<'_>,
        record: &RunRecord,
        entity_ref: &str,
    ) -> rusqlite::Result<()> {
        let trace = match &record.result {
            RunResult::Skipped { .. } | RunResult::Waiting { .. } => return Ok(()),
            RunResult::Succeeded(success) => &success.trace,
            RunResult::Rejected(failure) => &failure.trace,
        };
        let Some(unprocessed) = record.calls.unprocessed else {
            return Ok(());
        };
        let tenant = record.claim.tenant;
        for made in &record.calls.made {
            let seen = self.seen(tx, tenant, made)?;
            if seen.is_some_and(|seen| seen.is_stale(made)) {
                return Ok(());
            }
        }
        let canaries = self.done_in_canaries(tx, record)?;
        let faults: Vec<&FaultRecord> = record
            .faults
            .iter()
            .filter(|fault| fault.may_be_regression())
            .collect();
        let regressed = !faults.is_empty() && was_good(tx, record, &unprocessed, trace)?;
        for made in &record.calls.made {
            let own: Vec<&&FaultRecord> = faults
                .iter()
                .filter(|fault| fault.processor == made.processor)
                .collect();
            let elsewhere = canaries.iter().any(|canary| *canary != made.processor);
            let mine = canaries.contains(&made.processor);
            if elsewhere && !mine {
                continue;
            }
            let Some(seen) = self.seen(tx, tenant, made)? else {
                continue;
            };
            seen.calls += u64::from(made.calls);
            seen.faulted += own.len() as u64;
            // In its canary an activation answers for whatever faults; otherwise for its own processor.
            let fault = if mine {
                faults.first()
            } else {
                own.first().copied()
            };
            let Some(fault) = fault.filter(|_| regressed) else {
                continue;
            };
            seen.decides = true;
            let now = tx.now_ms();
            tx.run(
                "INSERT INTO regressions (tenant_id, processor, activation, entity_id, entity_ref, in_canary, fault,
                     message, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (tenant_id, processor, activation, entity_id) DO UPDATE SET
                     fault = excluded.fault, message = excluded.message, at = excluded.at,
                     in_canary = max(in_canary, excluded.in_canary)",
                params![
                    tenant.0,
                    made.processor.as_str(),
                    seen.activation.number,
                    record.claim.uid.as_str(),
                    entity_ref,
                    mine,
                    fault.fault,
                    fault.message,
                    now
                ],
            )?;
        }
        Ok(())
    }

    /// The newest activation of a processor.
    fn seen(
        &mut self,
        tx: &WriteTx<'_>,
        tenant: TenantId,
        made: &CallsMade,
    ) -> rusqlite::Result<Option<&mut Seen>> {
        let key = (tenant, made.processor.clone());
        let seen = match self.by.entry(key) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let activation = current(tx, tenant, &made.processor)?;
                entry.insert(activation.map(|activation| Seen {
                    activation,
                    calls: 0,
                    faulted: 0,
                    decides: false,
                }))
            }
        };
        Ok(seen.as_mut())
    }

    /// Marks the entity as done in the open canaries that this run was made for; answers their processors.
    fn done_in_canaries(
        &mut self,
        tx: &mut WriteTx<'_>,
        record: &RunRecord,
    ) -> rusqlite::Result<Vec<ProcessorName>> {
        let tenant = record.claim.tenant;
        let mut canaries = Vec::new();
        for made in &record.calls.made {
            let Some(seen) = self.seen(tx, tenant, made)? else {
                continue;
            };
            if seen.activation.state != ActivationState::Canary {
                continue;
            }
            let found = tx.run(
                "UPDATE canary_entities SET done = 1
                 WHERE tenant_id = ?1 AND entity_id = ?2 AND processor = ?3 AND activation = ?4",
                params![
                    tenant.0,
                    record.claim.uid.as_str(),
                    made.processor.as_str(),
                    seen.activation.number
                ],
            )?;
            if found > 0 {
                seen.decides = true;
                canaries.push(made.processor.clone());
            }
        }
        Ok(canaries)
    }

    /// Writes the sums and decides what is to be decided.
    pub(crate) fn settle(self, tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
        for seen in self.by.into_values().flatten() {
            let activation = &seen.activation;
            if seen.calls > 0 {
                add_calls(tx, &seen)?;
            }
            if seen.decides {
                let processed = processed(tx, activation)?;
                keep_newest(tx, activation)?;
                end::judge(tx, activation, processed)?;
            }
        }
        Ok(())
    }
}

/// Whether the same bytes, with the same documents, had a good result.
fn was_good(
    tx: &WriteTx<'_>,
    record: &RunRecord,
    unprocessed: &Digest,
    trace: &[TracedRead],
) -> rusqlite::Result<bool> {
    let key = params![record.claim.tenant.0, record.claim.uid.as_str()];
    let good = statement::one(
        tx,
        "SELECT good_digest FROM refresh_state WHERE tenant_id = ?1 AND entity_id = ?2",
        key,
        |row| optional_digest(row, 0, "refresh_state.good_digest"),
    )?
    .flatten();
    if good.as_ref() != Some(unprocessed) {
        return Ok(false);
    }
    if trace.is_empty() {
        return Ok(true);
    }
    let then: Option<Vec<TracedRead>> = statement::one(
        tx,
        "SELECT coalesce(good_trace, trace) FROM refresh_state WHERE tenant_id = ?1 AND entity_id = ?2",
        key,
        |row| json(row, 0, "refresh_state.good_trace"),
    )?;
    let then = then.unwrap_or_default();
    let changed = trace.iter().any(|read| {
        then.iter()
            .any(|old| old.key == read.key && old.digest != read.digest)
    });
    Ok(!changed)
}

fn add_calls(tx: &mut WriteTx<'_>, seen: &Seen) -> rusqlite::Result<()> {
    let activation = &seen.activation;
    let minute = tx.now_ms() / 60_000;
    tx.run(
        "INSERT INTO activation_calls (tenant_id, processor, activation, minute, calls, faulted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (tenant_id, processor, activation, minute) DO UPDATE SET
             calls = calls + excluded.calls, faulted = faulted + excluded.faulted",
        params![
            activation.tenant.0,
            activation.processor.as_str(),
            activation.number,
            minute,
            stored(seen.calls),
            stored(seen.faulted)
        ],
    )?;
    tx.run(
        "DELETE FROM activation_calls
         WHERE tenant_id = ?1 AND processor = ?2 AND activation = ?3 AND minute < ?4",
        params![
            activation.tenant.0,
            activation.processor.as_str(),
            activation.number,
            minute - 10
        ],
    )?;
    Ok(())
}

/// Entities of the canary that ran, as shown from now on.
fn processed(tx: &mut WriteTx<'_>, activation: &Current) -> rusqlite::Result<u32> {
    if activation.state != ActivationState::Canary {
        return Ok(0);
    }
    let key = params![
        activation.tenant.0,
        activation.processor.as_str(),
        activation.number
    ];
    let done: u32 = statement::one(
        tx,
        "SELECT count(*) FROM canary_entities
         WHERE tenant_id = ?1 AND processor = ?2 AND activation = ?3 AND done = 1",
        key,
        |row| value(row, 0, "canary_entities"),
    )?
    .unwrap_or(0);
    tx.run(
        "UPDATE activations SET processed = ?4 WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
        params![
            activation.tenant.0,
            activation.processor.as_str(),
            activation.number,
            done
        ],
    )?;
    Ok(done)
}

fn keep_newest(tx: &mut WriteTx<'_>, activation: &Current) -> rusqlite::Result<()> {
    tx.run(
        "DELETE FROM regressions WHERE tenant_id = ?1 AND processor = ?2 AND activation = ?3 AND entity_id IN
           (SELECT entity_id FROM regressions WHERE tenant_id = ?1 AND processor = ?2 AND activation = ?3
            ORDER BY at DESC LIMIT -1 OFFSET ?4)",
        params![
            activation.tenant.0,
            activation.processor.as_str(),
            activation.number,
            REGRESSIONS_KEPT
        ],
    )?;
    Ok(())
}
