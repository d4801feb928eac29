//! One claimed entity, from its memo to the record of its run.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenroom_model::{Clock, Diagnostic, Digest, Entity, ProcessorName, Stage};
use greenroom_orchestrator::{CallCost, Job, Step, outcome_digest};
use greenroom_storage::{
    CallsMade, Claimed, Failure, RunCalls, RunRecord, RunResult, Storage, TracedRead,
};

use crate::record::{backoff, fault_record, result};
use crate::{Orchestrate, ProcessingError, ReadAnswer, ReadSource, TenantPipeline, Wanted, memo};

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    /// What to record.
    pub record: RunRecord,
    /// What its calls cost, by processor.
    pub called: BTreeMap<ProcessorName, CallCost>,
}

impl From<RunRecord> for Ran {
    /// A run that called nobody.
    fn from(record: RunRecord) -> Self {
        Self {
            record,
            called: BTreeMap::new(),
        }
    }
}

/// Processes a claimed entity and answers what to record.
///
/// # Errors
/// Ours only; the claim is then to be released.
pub async fn process(
    claimed: Claimed,
    pipeline: &Arc<TenantPipeline>,
    orchestrate: &dyn Orchestrate,
    reads: &dyn ReadSource,
    storage: &dyn Storage,
    clock: &dyn Clock,
) -> Result<Ran, ProcessingError> {
    let now = clock.now();
    let now_ms = u64::try_from(now.0).unwrap_or(0);
    let entity = Entity::from_json(&claimed.unprocessed).ok();
    let fixed = memo(
        &claimed.unprocessed,
        entity.as_ref(),
        &pipeline.pipeline,
        now_ms,
    );
    let record = |result, faults, cpu_us| RunRecord {
        claim: claimed.claim.clone(),
        result,
        faults,
        cpu_us,
        calls: RunCalls::default(),
    };

    if let Some(name) = entity.as_ref().and_then(|entity| pipeline.held_for(entity)) {
        return Ok(record(held(name), Vec::new(), 0).into());
    }

    if fixed.is(claimed.memo.as_ref(), &claimed.trace) && reads_unchanged(&claimed, storage).await?
    {
        let due = entity.and_then(|entity| next_grain(pipeline, &entity, now_ms));
        return Ok(record(RunResult::Skipped { due }, Vec::new(), 0).into());
    }

    let caches: BTreeMap<ProcessorName, String> =
        serde_json::from_str(&claimed.caches).unwrap_or_default();
    let job = Job {
        entity: claimed.unprocessed.clone(),
        caches,
        now_ms,
        tenant_secret: pipeline.secret,
        observe: None,
    };
    let mut keys = Vec::new();
    let mut step = orchestrate.start(pipeline, claimed.lane, job).await?;
    let outcome = loop {
        match step {
            Step::Done(outcome) => break *outcome,
            Step::Wants(wanted, state) => {
                let answer = reads
                    .read(Wanted {
                        tenant: claimed.claim.tenant,
                        pipeline,
                        reads: &wanted,
                    })
                    .await;
                let readings = match answer {
                    ReadAnswer::Read(readings) => readings,
                    ReadAnswer::Unavailable { retry_at, reason } => {
                        let retry_at = retry_at.max(backoff(now, claimed.attempts));
                        let waiting = RunResult::Waiting { retry_at, reason };
                        let calls = RunCalls {
                            total: state.calls(),
                            ..RunCalls::default()
                        };
                        return Ok(Ran {
                            called: state.called().clone(),
                            record: RunRecord {
                                calls,
                                ..record(waiting, Vec::new(), 0)
                            },
                        });
                    }
                };
                let mut given = Vec::with_capacity(readings.len());
                for reading in readings {
                    keys.push(TracedRead {
                        stage: wanted.stage,
                        processor: wanted.processor.clone(),
                        key: reading.key,
                        digest: outcome_digest(&reading.read.outcome),
                    });
                    given.push(reading.read);
                }
                step = orchestrate
                    .resume(pipeline, claimed.lane, state, given)
                    .await?;
            }
        }
    };
    let faults = outcome
        .faults
        .iter()
        .map(|faulted| {
            let documents = pipeline.config.faults.documents;
            fault_record(&claimed, faulted, documents, clock.now())
        })
        .collect();
    let cpu_us = outcome.cpu_us;
    let calls = RunCalls {
        total: outcome.calls,
        unprocessed: Some(Digest::of(claimed.unprocessed.as_bytes())),
        made: entity.map_or_else(Vec::new, |entity| {
            calls_made(pipeline, &entity, &outcome.called)
        }),
    };
    let called = outcome.called.clone();
    let record = RunRecord {
        calls,
        ..record(
            result(&claimed, outcome, &fixed, keys, clock.now()),
            faults,
            cpu_us,
        )
    };
    Ok(Ran { record, called })
}

/// The tenant's own processors that matched, with their calls.
fn calls_made(
    pipeline: &TenantPipeline,
    entity: &Entity,
    called: &BTreeMap<ProcessorName, CallCost>,
) -> Vec<CallsMade> {
    pipeline
        .pipeline
        .matching(entity)
        .filter(|(_, processor)| pipeline.is_tenants_own(&processor.name))
        .map(|(_, processor)| CallsMade {
            processor: processor.name.clone(),
            revision: processor.revision,
            calls: called
                .get(&processor.name)
                .map_or(0, |cost| u32::try_from(cost.calls).unwrap_or(u32::MAX)),
        })
        .collect()
}

/// A run that is not made: the entity's last good state was made with a processor that is not called at present.
fn held(name: &ProcessorName) -> RunResult {
    let message = format!(
        "Processor {name} is quarantined and no revision of it is left to go back to: the entity keeps its last good state until a revision is activated"
    );
    RunResult::Rejected(Box::new(Failure {
        diagnostics: vec![
            Diagnostic::error("ServiceUnavailableError", message)
                .at_stage(Stage::PreProcess)
                .from_processor(name.as_str()),
        ],
        memo: None,
        trace: Vec::new(),
        retry_at: None,
        dead_letter: false,
    }))
}

/// Whether every read of the last run is stored with the digest it then had.
async fn reads_unchanged(
    claimed: &Claimed,
    storage: &dyn Storage,
) -> Result<bool, ProcessingError> {
    if claimed.trace.is_empty() {
        return Ok(true);
    }
    let keys: Vec<_> = claimed.trace.iter().map(|read| read.key.clone()).collect();
    let stored = storage.find_reads(claimed.claim.tenant, &keys).await?;
    Ok(claimed
        .trace
        .iter()
        .zip(stored)
        .all(|(traced, stored)| stored.is_some_and(|stored| stored.digest == traced.digest)))
}

/// When a skipped entity is due again by itself.
fn next_grain(
    pipeline: &TenantPipeline,
    entity: &Entity,
    now_ms: u64,
) -> Option<greenroom_model::Timestamp> {
    pipeline
        .pipeline
        .matching(entity)
        .filter_map(|(_, processor)| processor.descriptor.time)
        .map(|grain| (now_ms / grain.milliseconds() + 1) * grain.milliseconds())
        .min()
        .map(|ms| greenroom_model::Timestamp(i64::try_from(ms).unwrap_or(i64::MAX)))
}
