//! From an outcome of the stages to the record that storage writes.

use greenroom_model::Timestamp;
use greenroom_orchestrator::{FaultedCall, KeptDocuments, Outcome, Verdict};
use greenroom_storage::{Child, Claimed, Failure, FaultRecord, RunResult, Success, TracedRead};

use crate::Memo;

/// First wait after a failure that may pass by itself; doubles with each attempt.
const BACKOFF_LEAST_MS: i64 = 10_000;
/// Longest such wait.
const BACKOFF_MOST_MS: i64 = 3_600_000;

/// When something that failed for the `attempts`-th time in a row is tried again.
pub(crate) fn backoff(now: Timestamp, attempts: u32) -> Timestamp {
    let doubled = BACKOFF_LEAST_MS.saturating_mul(1 << attempts.min(20));
    now.plus_ms(doubled.min(BACKOFF_MOST_MS))
}

/// The result of a finished run.
pub(crate) fn result(
    claimed: &Claimed,
    outcome: Outcome,
    memo: &Memo,
    trace: Vec<TracedRead>,
    now: Timestamp,
) -> RunResult {
    let due = outcome
        .due_ms
        .map(|ms| Timestamp(i64::try_from(ms).unwrap_or(i64::MAX)));
    match outcome.verdict {
        Verdict::Processed(processed) => {
            let due = match processed.may_pass {
                true => Some(earliest(due, backoff(now, claimed.attempts))),
                false => due,
            };
            RunResult::Succeeded(Box::new(Success {
                processed: processed.entity.to_json(),
                memo: memo.with_trace(&trace),
                trace,
                caches: serde_json::to_string(&processed.caches)
                    .unwrap_or_else(|_| "{}".to_owned()),
                relations: processed.relations,
                refresh_keys: processed.refresh_keys,
                children: processed
                    .children
                    .into_iter()
                    .map(|child| Child {
                        unprocessed: child.entity.to_json(),
                        entity_ref: child.entity_ref,
                        location_key: child.location_key,
                    })
                    .collect(),
                complete: processed.complete,
                diagnostics: outcome.diagnostics,
                due,
            }))
        }
        Verdict::Rejected { deterministic } => {
            let remembered = deterministic
                && outcome
                    .faults
                    .iter()
                    .any(|call| call.fault.kind != greenroom_orchestrator::FaultKind::Rejected);
            // Not remembered, because a later version of the host may survive it; shown all the same (DESIGN §2).
            let crashed = outcome
                .faults
                .iter()
                .any(|call| call.fault.kind == greenroom_orchestrator::FaultKind::HostCrash);
            RunResult::Rejected(Box::new(Failure {
                diagnostics: outcome.diagnostics,
                memo: deterministic.then(|| memo.of_failure(&trace)),
                trace,
                retry_at: (!deterministic).then(|| backoff(now, claimed.attempts)),
                dead_letter: remembered || crashed,
            }))
        }
    }
}

fn earliest(due: Option<Timestamp>, other: Timestamp) -> Timestamp {
    due.map_or(other, |due| due.min(other))
}

/// A fault as it is kept, with its whole request as a recorded call.
pub(crate) fn fault_record(
    claimed: &Claimed,
    faulted: &FaultedCall,
    documents: KeptDocuments,
    now: Timestamp,
) -> FaultRecord {
    let json =
        |value: Result<String, serde_json::Error>| value.unwrap_or_else(|_| "null".to_owned());
    let recorded = match documents {
        KeptDocuments::Whole => faulted.recorded(),
        KeptDocuments::Digests => faulted.recorded().without_documents(),
    };
    FaultRecord {
        id: uuid::Uuid::new_v4().to_string(),
        at: now,
        processor: faulted.processor.clone(),
        revision: faulted.revision,
        stage: faulted.stage,
        entity_ref: claimed.entity_ref.clone(),
        fault: faulted.fault.kind.as_str().to_owned(),
        message: faulted.fault.message.clone(),
        fuel: faulted.report.fuel,
        peak_memory_bytes: faulted.report.peak_memory_bytes,
        cpu_us: faulted.report.cpu_us,
        backtrace: json(serde_json::to_string(&faulted.fault.backtrace)),
        log: json(serde_json::to_string(&faulted.report.log)),
        request: recorded.to_json().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_from_ten_seconds_to_an_hour() {
        let wait = |attempts| backoff(Timestamp(0), attempts).0;
        assert_eq!([wait(0), wait(1), wait(2)], [10_000, 20_000, 40_000]);
        assert_eq!(wait(40), 3_600_000);
    }
}
