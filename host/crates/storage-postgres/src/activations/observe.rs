//! Counting calls and regressions in the transaction that records their runs.
//!
//! A run counts only if it was made under the revisions that are current, all of them: what was in flight when one was
//! activated or quarantined counts for nothing, or a neighbour would answer for it. A fault is a **regression** where the
//! run's bytes are those of the last good result, and every document that both runs read is the same: changed bytes and
//! changed documents are the author's of the entity, who can so never cause one (c23). A regression of an entity that is in
//! another processor's open canary belongs to that canary: what is new is the cause.
//!
//! A batch is counted as a whole, before any of it is applied, because applying replaces what the last good run was; it is
//! decided when all of it is ([`Observed::settle`]). Statements by the batch; only an activation that something was counted
//! for which may decide it costs some of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use greenroom_model::{Digest, EntityRef, EntityUid, ProcessorName, TenantId};
use greenroom_storage::{
    ActivationState, CallsMade, FaultRecord, REGRESSIONS_KEPT, RunRecord, RunResult, StorageError,
    TracedRead,
};

use crate::activations::end;
use crate::activations::stored::{Current, current_of, read_processor};
use crate::damage::{json, optional_digest, stored, uid};
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// A run whose claim holds.
#[derive(Clone, Copy)]
pub(crate) struct ObservedRun<'a> {
    pub(crate) record: &'a RunRecord,
    pub(crate) entity_ref: &'a EntityRef,
}

impl<'a> ObservedRun<'a> {
    /// The digest of what ran and what it read; `None` if nothing ran, and then nothing is counted.
    fn inputs(&self) -> Option<(&Digest, &[TracedRead])> {
        let trace = match &self.record.result {
            RunResult::Skipped { .. } | RunResult::Waiting { .. } => return None,
            RunResult::Succeeded(success) => &success.trace,
            RunResult::Rejected(failure) => &failure.trace,
        };
        Some((self.record.calls.unprocessed.as_ref()?, trace))
    }

    /// Its faults that count.
    fn faults(&self) -> Vec<&'a FaultRecord> {
        let faults = self.record.faults.iter();
        faults.filter(|fault| fault.may_be_regression()).collect()
    }
}

/// What a batch of runs of one tenant adds.
pub(crate) struct Observed {
    tenant: TenantId,
    by: BTreeMap<ProcessorName, Seen>,
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

/// Counts runs of one tenant, under its lock and before any of them is applied.
pub(crate) async fn observe(
    tx: &Transaction,
    tenant: TenantId,
    runs: &[ObservedRun<'_>],
) -> Result<Observed, StorageError> {
    let mut observed = Observed {
        tenant,
        by: BTreeMap::new(),
    };
    let mut counted: Vec<_> = runs
        .iter()
        .copied()
        .filter(|run| run.inputs().is_some() && !run.record.calls.made.is_empty())
        .collect();
    let called: BTreeSet<&ProcessorName> = counted
        .iter()
        .flat_map(|run| run.record.calls.made.iter().map(|made| &made.processor))
        .collect();
    if called.is_empty() {
        return Ok(observed);
    }
    let called: Vec<_> = called.into_iter().collect();
    let newest = current_of(tx, tenant, &called).await?;
    observed.by = newest
        .into_iter()
        .map(|(processor, activation)| {
            let seen = Seen {
                activation,
                calls: 0,
                faulted: 0,
                decides: false,
            };
            (processor, seen)
        })
        .collect();
    counted.retain(|run| {
        let mut made = run.record.calls.made.iter();
        made.all(|made| {
            let seen = observed.by.get(&made.processor);
            seen.is_none_or(|seen| !seen.is_stale(made))
        })
    });
    let canaries = done_in_canaries(tx, &observed, &counted).await?;
    let regressed = regressed(tx, tenant, &counted).await?;
    let mut regressions = Vec::new();
    for run in counted {
        let uid = &run.record.claim.uid;
        let of = canaries.get(uid).map_or(&[] as &[_], Vec::as_slice);
        observed.count(run, of, regressed.contains(uid), &mut regressions);
    }
    insert_regressions(tx, tenant, &regressions).await?;
    Ok(observed)
}

/// A regression to be kept.
struct Kept<'a> {
    processor: ProcessorName,
    activation: u32,
    run: ObservedRun<'a>,
    in_canary: bool,
    fault: &'a FaultRecord,
}

impl Observed {
    /// Counts one run; `canaries` are those it was made for.
    fn count<'a>(
        &mut self,
        run: ObservedRun<'a>,
        canaries: &[ProcessorName],
        regressed: bool,
        regressions: &mut Vec<Kept<'a>>,
    ) {
        let faults = run.faults();
        for made in &run.record.calls.made {
            let own: Vec<_> = faults
                .iter()
                .filter(|fault| fault.processor == made.processor)
                .collect();
            let elsewhere = canaries.iter().any(|canary| *canary != made.processor);
            let mine = canaries.contains(&made.processor);
            let Some(seen) = self.by.get_mut(&made.processor) else {
                continue;
            };
            seen.decides |= mine;
            if elsewhere && !mine {
                continue;
            }
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
            regressions.push(Kept {
                processor: made.processor.clone(),
                activation: seen.activation.number,
                run,
                in_canary: mine,
                fault,
            });
        }
    }

    /// Writes the sums and decides what is to be decided. When all runs are applied, but before the last number of the log
    /// is taken.
    pub(crate) async fn settle(self, tx: &Transaction) -> Result<(), StorageError> {
        let called: Vec<&Seen> = self.by.values().filter(|seen| seen.calls > 0).collect();
        if !called.is_empty() {
            add_calls(tx, self.tenant, &called).await?;
        }
        for seen in self.by.values().filter(|seen| seen.decides) {
            let processed = processed(tx, &seen.activation).await?;
            keep_newest(tx, &seen.activation).await?;
            end::judge(tx, &seen.activation, processed).await?;
        }
        Ok(())
    }
}

/// Marks the entities as done in the open canaries that these runs were made for; answers whose.
async fn done_in_canaries(
    tx: &Transaction,
    observed: &Observed,
    runs: &[ObservedRun<'_>],
) -> Result<HashMap<EntityUid, Vec<ProcessorName>>, StorageError> {
    let (mut uids, mut processors, mut activations) = (Vec::new(), Vec::new(), Vec::new());
    for run in runs {
        for made in &run.record.calls.made {
            let Some(seen) = observed.by.get(&made.processor) else {
                continue;
            };
            if seen.activation.state == ActivationState::Canary {
                uids.push(Text(run.record.claim.uid.as_str()));
                processors.push(Text(made.processor.as_str()));
                activations.push(i64::from(seen.activation.number));
            }
        }
    }
    let mut done: HashMap<EntityUid, Vec<ProcessorName>> = HashMap::new();
    if uids.is_empty() {
        return Ok(done);
    }
    let marked = tx
        .all(
            "UPDATE canary_entities c SET done = true
             FROM unnest($2::text[], $3::text[], $4::bigint[]) AS k (entity_id, processor, activation)
             WHERE c.tenant_id = $1 AND c.entity_id = k.entity_id AND c.processor = k.processor
               AND c.activation = k.activation
             RETURNING c.entity_id, c.processor",
            &[&observed.tenant.0, &uids, &processors, &activations],
            |row| Ok((uid(row, 0, "canary_entities.entity_id")?, read_processor(row, 1)?)),
        )
        .await?;
    for (uid, processor) in marked {
        done.entry(uid).or_default().push(processor);
    }
    Ok(done)
}

/// Which of the runs faulted on bytes that had a good result, with the same documents.
async fn regressed(
    tx: &Transaction,
    tenant: TenantId,
    runs: &[ObservedRun<'_>],
) -> Result<BTreeSet<EntityUid>, StorageError> {
    let faulted: HashMap<&EntityUid, ObservedRun<'_>> = runs
        .iter()
        .filter(|run| !run.faults().is_empty())
        .map(|run| (&run.record.claim.uid, *run))
        .collect();
    if faulted.is_empty() {
        return Ok(BTreeSet::new());
    }
    let good = tx
        .all(
            "SELECT r.entity_id, r.good_digest, coalesce(r.good_trace, r.trace)
             FROM unnest($2::text[]) AS k (entity_id)
             JOIN refresh_state r ON r.tenant_id = $1 AND r.entity_id = k.entity_id
             WHERE r.good_digest IS NOT NULL",
            &[&tenant.0, &texts(faulted.keys().map(|uid| uid.as_str()))],
            |row| {
                Ok((
                    uid(row, 0, "refresh_state.entity_id")?,
                    optional_digest(row, 1, "refresh_state.good_digest")?,
                    json::<Vec<TracedRead>>(row, 2, "refresh_state.good_trace")?,
                ))
            },
        )
        .await?;
    let regressed = good.into_iter().filter(|(uid, good, then)| {
        let inputs = faulted.get(uid).and_then(|run| run.inputs());
        inputs.is_some_and(|(unprocessed, now)| {
            good.as_ref() == Some(unprocessed) && same_documents(then, now)
        })
    });
    Ok(regressed.map(|(uid, _, _)| uid).collect())
}

/// Whether everything that both runs read was the same.
fn same_documents(then: &[TracedRead], now: &[TracedRead]) -> bool {
    !now.iter().any(|read| {
        then.iter()
            .any(|old| old.key == read.key && old.digest != read.digest)
    })
}

async fn insert_regressions(
    tx: &Transaction,
    tenant: TenantId,
    regressions: &[Kept<'_>],
) -> Result<(), StorageError> {
    if regressions.is_empty() {
        return Ok(());
    }
    let all = || regressions.iter();
    let numbers: Vec<i64> = all().map(|one| i64::from(one.activation)).collect();
    let in_canary: Vec<bool> = all().map(|one| one.in_canary).collect();
    tx.run(
        "INSERT INTO regressions AS r (tenant_id, processor, activation, entity_id, entity_ref, in_canary, fault,
             message, at)
         SELECT $1, n.processor, n.activation, n.entity_id, n.entity_ref, n.in_canary, n.fault, n.message, $2
         FROM unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::boolean[], $8::text[], $9::text[])
             AS n (processor, activation, entity_id, entity_ref, in_canary, fault, message)
         ON CONFLICT (tenant_id, processor, activation, entity_id) DO UPDATE SET
             fault = excluded.fault, message = excluded.message, at = excluded.at,
             in_canary = r.in_canary OR excluded.in_canary",
        &[
            &tenant.0,
            &tx.now_ms(),
            &texts(all().map(|one| one.processor.as_str())),
            &numbers,
            &texts(all().map(|one| one.run.record.claim.uid.as_str())),
            &texts(all().map(|one| one.run.entity_ref.as_str())),
            &in_canary,
            &texts(all().map(|one| one.fault.fault.as_str())),
            &texts(all().map(|one| one.fault.message.as_str())),
        ],
    )
    .await?;
    Ok(())
}

async fn add_calls(
    tx: &Transaction,
    tenant: TenantId,
    called: &[&Seen],
) -> Result<(), StorageError> {
    let minute = tx.now_ms() / 60_000;
    let all = || called.iter();
    let processors = texts(all().map(|seen| seen.activation.processor.as_str()));
    let numbers: Vec<i64> = all()
        .map(|seen| i64::from(seen.activation.number))
        .collect();
    let calls: Vec<i64> = all().map(|seen| stored(seen.calls)).collect();
    let faulted: Vec<i64> = all().map(|seen| stored(seen.faulted)).collect();
    tx.run(
        "INSERT INTO activation_calls AS c (tenant_id, processor, activation, minute, calls, faulted)
         SELECT $1, n.processor, n.activation, $2, n.calls, n.faulted
         FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
             AS n (processor, activation, calls, faulted)
         ON CONFLICT (tenant_id, processor, activation, minute) DO UPDATE SET
             calls = c.calls + excluded.calls, faulted = c.faulted + excluded.faulted",
        &[
            &tenant.0,
            &minute,
            &processors,
            &numbers,
            &calls,
            &faulted,
        ],
    )
    .await?;
    tx.run(
        "DELETE FROM activation_calls c USING unnest($3::text[], $4::bigint[]) AS n (processor, activation)
         WHERE c.tenant_id = $1 AND c.processor = n.processor AND c.activation = n.activation AND c.minute < $2",
        &[&tenant.0, &(minute - 10), &processors, &numbers],
    )
    .await?;
    Ok(())
}

/// Entities of the canary that ran, as shown from now on.
async fn processed(tx: &Transaction, activation: &Current) -> Result<u32, StorageError> {
    if activation.state != ActivationState::Canary {
        return Ok(0);
    }
    let done = tx
        .number(
            "UPDATE activations SET processed =
                 (SELECT count(*) FROM canary_entities
                  WHERE tenant_id = $1 AND processor = $2 AND activation = $3 AND done)
             WHERE tenant_id = $1 AND processor = $2 AND number = $3 RETURNING processed",
            &[
                &activation.tenant.0,
                &Text(activation.processor.as_str()),
                &i64::from(activation.number),
            ],
        )
        .await?;
    Ok(u32::try_from(done).unwrap_or(u32::MAX))
}

async fn keep_newest(tx: &Transaction, activation: &Current) -> Result<(), StorageError> {
    tx.run(
        "DELETE FROM regressions WHERE tenant_id = $1 AND processor = $2 AND activation = $3 AND entity_id IN
           (SELECT entity_id FROM regressions WHERE tenant_id = $1 AND processor = $2 AND activation = $3
            ORDER BY at DESC OFFSET $4)",
        &[
            &activation.tenant.0,
            &Text(activation.processor.as_str()),
            &i64::from(activation.number),
            &i64::from(REGRESSIONS_KEPT),
        ],
    )
    .await?;
    Ok(())
}
