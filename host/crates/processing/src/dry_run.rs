//! A dry run of one processor on one entity: the tenant's whole pipeline with the wanted revision in place of the current
//! one, writing nothing, reported as that processor's author wants to see it.
//!
//! The pipeline and not the processor alone, because what a processor is given is what those before it made, and what it
//! makes is judged by those after it. `diff` is the way from the given entity to the processed one; each call has its own
//! diff beside it, so that nobody has to guess which change is whose.

use std::sync::Arc;

use greenroom_model::{Diagnostic, Entity, ProcessorName, Stage};
use greenroom_orchestrator::{Observed, ObservedCall, Processed, Verdict, Want};
use greenroom_storage::Lane;
use serde::Serialize;
use serde_json::{Value, json};

use crate::diff::{Change, diff};
use crate::drive::{End, MadeRead, Ports, drive};
use crate::{ProcessingError, TenantPipeline};

/// Reads that a report lists.
const MAX_READS: usize = 1_000;

/// What a dry run found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRunReport {
    /// How it ended.
    pub outcome: DryRunOutcome,
    /// The entity as it was given.
    pub before: Value,
    /// The processed entity, if it was kept.
    pub entity: Option<Value>,
    /// From `before` to `entity`.
    pub diff: Vec<Change>,
    /// What came of it besides the entity, of all processors.
    pub emissions: Value,
    /// What the owner is told, of all processors.
    pub diagnostics: Vec<Diagnostic>,
    /// The processor's reads.
    pub reads: Vec<Value>,
    /// The processor's calls.
    pub calls: Vec<Value>,
    /// What all of them cost.
    pub cost: greenroom_orchestrator::CallCost,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// How a dry run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DryRunOutcome {
    /// The result would be kept.
    Processed,
    /// It would not: the last good state would stay.
    Rejected,
    /// A read cannot be answered now: the run would wait.
    Waiting,
}

/// Runs `entity` through a pipeline and reports the calls of one processor.
///
/// # Errors
/// Ours only: a guest's failure is part of the report.
pub async fn dry_run(
    entity: &str,
    pipeline: &Arc<TenantPipeline>,
    processor: &ProcessorName,
    ports: Ports<'_>,
) -> Result<DryRunReport, ProcessingError> {
    let (end, reads) = drive(
        entity.to_owned(),
        pipeline,
        Lane::OnRequest,
        Some(processor),
        ports,
    )
    .await?;
    let before: Value = serde_json::from_str(entity).unwrap_or_default();
    let (outcome, observed, diagnostics, processed, waits_for) = match end {
        End::Unavailable { reason, observed } => (
            DryRunOutcome::Waiting,
            *observed,
            Vec::new(),
            None,
            Some(reason),
        ),
        End::Outcome(outcome) => match outcome.verdict {
            Verdict::Processed(processed) => (
                DryRunOutcome::Processed,
                outcome.observed,
                outcome.diagnostics,
                Some(processed),
                None,
            ),
            Verdict::Rejected { .. } => (
                DryRunOutcome::Rejected,
                outcome.observed,
                outcome.diagnostics,
                None,
                None,
            ),
        },
    };
    let emissions = emissions_of(processed.as_deref());
    let entity = processed.map(|processed| processed.entity.into_value());
    Ok(DryRunReport {
        outcome,
        diff: entity
            .as_ref()
            .map_or_else(Vec::new, |entity| diff(&before, entity)),
        before,
        entity,
        emissions,
        diagnostics,
        reads: reads
            .iter()
            .filter(|read| read.processor == *processor)
            .take(MAX_READS)
            .map(shown_read)
            .collect(),
        cost: observed.cost,
        calls: calls(&observed, processor),
        waits_for,
    })
}

/// What a run produced besides the entity, in an order that two runs agree on.
pub(crate) fn emissions_of(processed: Option<&Processed>) -> Value {
    let Some(processed) = processed else {
        return json!({"children": [], "relations": [], "refreshKeys": []});
    };
    let mut children: Vec<_> = processed.children.iter().collect();
    children
        .sort_by(|a, b| (&a.entity_ref, &a.location_key).cmp(&(&b.entity_ref, &b.location_key)));
    let children: Vec<Value> = children
        .into_iter()
        .map(|child| {
            json!({
                "entityRef": child.entity_ref,
                "locationKey": child.location_key,
                "entity": child.entity,
            })
        })
        .collect();
    json!({
        "children": children,
        "relations": processed.relations,
        "refreshKeys": processed.refresh_keys,
    })
}

fn shown_read(read: &MadeRead) -> Value {
    let want = match &read.want {
        Want::Get(url) => json!({"get": url}),
        Want::List(pattern) => json!({"list": pattern}),
    };
    let mut shown = json!({"stage": read.stage, "want": want, "outcome": read.outcome});
    if let Some(reason) = &read.reason {
        shown["reason"] = json!(reason);
    }
    shown
}

fn calls(observed: &Observed, processor: &ProcessorName) -> Vec<Value> {
    observed
        .calls
        .iter()
        .map(|call| {
            let mut shown = json!({
                "processor": processor,
                "stage": call.stage,
                "fuel": call.report.fuel,
                "peakMemoryBytes": call.report.peak_memory_bytes,
                "cpuUs": call.report.cpu_us,
                "log": call.report.log,
                "pending": call.pending,
                "diff": diff_of(call),
            });
            if let Some(fault) = &call.fault {
                shown["fault"] = json!(fault);
            }
            shown
        })
        .collect()
}

fn diff_of(call: &ObservedCall) -> Vec<Change> {
    let changes = matches!(call.stage, Stage::PreProcess | Stage::PostProcess);
    match call.after.as_ref().filter(|_| changes).map(Entity::as_map) {
        Some(after) => {
            let before: Value = serde_json::from_str(call.before.text()).unwrap_or_default();
            diff(&before, &Value::Object(after.clone()))
        }
        None => Vec::new(),
    }
}
