//! A preview: a revision run beside the current one over live entities, writing nothing, and what would change.
//!
//! Both sides run now, on the same unprocessed bytes, without caches: what is stored may be from yesterday's reads, and a
//! cost is only comparable with one measured alike. Entities are taken by key, a few at a time, so that a preview of
//! everything holds a few entities and its report and nothing else; between two pages its caller may stop it. The report
//! is bounded, so that it fits one row.

use std::sync::Arc;

use greenroom_model::{Entity, EntityRef, EntityUid, Level, ProcessorName};
use greenroom_orchestrator::{CallCost, Outcome, Processed, Verdict};
use greenroom_storage::{Lane, Storage, UnprocessedEntity};
use serde::Serialize;
use serde_json::{Value, json};

use crate::diff::{Change, diff};
use crate::drive::{End, Ports, drive};
use crate::dry_run::emissions_of;
use crate::{ProcessingError, TenantPipeline};

/// Entities of a page; bodies are at most 4 MiB.
const PAGE: u32 = 16;
/// Changes that a report shows one by one.
const MAX_CHANGES: usize = 100;
/// Bytes of diffs that a report shows; later changes are listed without.
const MAX_DIFF_BYTES: usize = 4 * 1024 * 1024;

/// A preview in progress.
pub struct Preview {
    processor: ProcessorName,
    current: Arc<TenantPipeline>,
    previewed: Arc<TenantPipeline>,
    /// How many matching entities are still wanted; all, if none is said.
    left: Option<u64>,
    after: Option<EntityUid>,
    diff_bytes: usize,
    report: PreviewReport,
}

/// What a preview found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewReport {
    /// Entities that were compared: those that the processor is called for under either revision.
    pub entities: u64,
    /// The same result.
    pub same: u64,
    /// Another result.
    pub different: u64,
    /// Good before, and rejected or incomplete under the revision.
    pub newly_failing: u64,
    /// Rejected or incomplete under both.
    pub already_failing: u64,
    /// Rejected or incomplete before, and good under the revision.
    pub no_longer_failing: u64,
    /// Not compared, because a read could not be answered.
    pub waiting: u64,
    /// The first of those that are not the same.
    pub changes: Vec<PreviewChange>,
    /// What the processor's calls cost.
    pub cost: PreviewCost,
}

/// Two sums over the same entities.
#[derive(Debug, Default, Serialize)]
pub struct PreviewCost {
    /// Of the current revision.
    pub current: CallCost,
    /// Of the previewed one.
    pub preview: CallCost,
}

/// One entity that would change.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewChange {
    /// Which.
    pub entity_ref: EntityRef,
    /// How.
    pub kind: PreviewKind,
    /// What changes in the entity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<Change>,
    /// What changes in children, relations and refresh keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emissions_diff: Vec<Change>,
    /// Whether the report had no room for the diffs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub diff_omitted: bool,
    /// How the failing side failed: the previewed one, or the current one where only that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Value>,
}

/// How an entity would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreviewKind {
    /// Both good, not equal.
    Different,
    /// Good, then failing.
    NewlyFailing,
    /// Failing, then good.
    NoLongerFailing,
    /// A read cannot be answered.
    Waiting,
}

/// One side of a comparison.
struct Side {
    result: Option<Outcome>,
    cost: CallCost,
}

impl Preview {
    /// A preview of `processor` as it stands in `previewed`, against `current`, over `entities` matching entities or all.
    #[must_use]
    pub fn new(
        processor: ProcessorName,
        current: Arc<TenantPipeline>,
        previewed: Arc<TenantPipeline>,
        entities: Option<u64>,
    ) -> Self {
        Self {
            processor,
            current,
            previewed,
            left: entities,
            after: None,
            diff_bytes: 0,
            report: PreviewReport::default(),
        }
    }

    /// Compares the next few entities; `false` when it is over.
    ///
    /// # Errors
    /// Ours only: a guest's failure is part of the report.
    pub async fn step(
        &mut self,
        storage: &dyn Storage,
        ports: Ports<'_>,
    ) -> Result<bool, ProcessingError> {
        if self.left == Some(0) {
            return Ok(false);
        }
        let page = storage
            .scan_unprocessed(self.previewed.tenant, self.after.as_ref(), PAGE)
            .await?;
        let Some(last) = page.last() else {
            return Ok(false);
        };
        self.after = Some(last.uid.clone());
        for entity in page {
            if self.left != Some(0) && self.is_concerned(&entity) {
                self.left = self.left.map(|left| left - 1);
                self.compare(entity, ports).await?;
            }
        }
        Ok(true)
    }

    /// What was found so far.
    #[must_use]
    pub fn into_report(self) -> PreviewReport {
        self.report
    }

    /// Whether the processor is called for an entity, now or then.
    fn is_concerned(&self, entity: &UnprocessedEntity) -> bool {
        let Ok(entity) = Entity::from_json(&entity.unprocessed) else {
            return false;
        };
        let called = |pipeline: &TenantPipeline| {
            let mut matching = pipeline.pipeline.matching(&entity);
            matching.any(|(_, processor)| processor.name == self.processor)
        };
        called(&self.previewed) || called(&self.current)
    }

    async fn compare(
        &mut self,
        entity: UnprocessedEntity,
        ports: Ports<'_>,
    ) -> Result<(), ProcessingError> {
        let text = || entity.unprocessed.clone();
        let before = self.side(text(), &self.current, ports).await?;
        let after = self.side(text(), &self.previewed, ports).await?;
        self.report.entities += 1;
        self.report.cost.current.add(&before.cost);
        self.report.cost.preview.add(&after.cost);
        let (Some(before), Some(after)) = (before.result, after.result) else {
            self.report.waiting += 1;
            self.note(entity.entity_ref, PreviewKind::Waiting, None, None);
            return Ok(());
        };
        let (kind, failing) = match (good(&before), good(&after)) {
            (Some(was), Some(is)) if same(was, is) => {
                self.report.same += 1;
                return Ok(());
            }
            (Some(_), Some(_)) => (PreviewKind::Different, None),
            (Some(_), None) => (PreviewKind::NewlyFailing, Some(&after)),
            (None, Some(_)) => (PreviewKind::NoLongerFailing, Some(&before)),
            (None, None) => {
                self.report.already_failing += 1;
                return Ok(());
            }
        };
        match kind {
            PreviewKind::Different => self.report.different += 1,
            PreviewKind::NewlyFailing => self.report.newly_failing += 1,
            PreviewKind::NoLongerFailing => self.report.no_longer_failing += 1,
            PreviewKind::Waiting => {}
        }
        let fault = failing.map(failure);
        let both = kept(&before).zip(kept(&after));
        self.note(entity.entity_ref, kind, both, fault);
        Ok(())
    }

    async fn side(
        &self,
        entity: String,
        pipeline: &Arc<TenantPipeline>,
        ports: Ports<'_>,
    ) -> Result<Side, ProcessingError> {
        let (end, _) = drive(entity, pipeline, Lane::Bulk, Some(&self.processor), ports).await?;
        Ok(match end {
            End::Outcome(outcome) => Side {
                cost: outcome.observed.cost,
                result: Some(*outcome),
            },
            End::Unavailable { observed, .. } => Side {
                cost: observed.cost,
                result: None,
            },
        })
    }

    /// Lists a change, if the report has room.
    fn note(
        &mut self,
        entity_ref: EntityRef,
        kind: PreviewKind,
        both: Option<(&Processed, &Processed)>,
        fault: Option<Value>,
    ) {
        if self.report.changes.len() >= MAX_CHANGES {
            return;
        }
        let mut change = PreviewChange {
            entity_ref,
            kind,
            diff: Vec::new(),
            emissions_diff: Vec::new(),
            diff_omitted: false,
            fault,
        };
        if let Some((was, is)) = both {
            let body = |one: &Processed| Value::Object(one.entity.as_map().clone());
            change.diff = diff(&body(was), &body(is));
            change.emissions_diff = diff(&emissions_of(Some(was)), &emissions_of(Some(is)));
            self.diff_bytes += json!([change.diff, change.emissions_diff])
                .to_string()
                .len();
            if self.diff_bytes > MAX_DIFF_BYTES {
                (change.diff, change.emissions_diff) = (Vec::new(), Vec::new());
                change.diff_omitted = true;
            }
        }
        self.report.changes.push(change);
    }
}

fn kept(outcome: &Outcome) -> Option<&Processed> {
    match &outcome.verdict {
        Verdict::Processed(processed) => Some(processed),
        Verdict::Rejected { .. } => None,
    }
}

/// A result that is kept and complete.
fn good(outcome: &Outcome) -> Option<&Processed> {
    kept(outcome).filter(|processed| processed.complete)
}

fn same(a: &Processed, b: &Processed) -> bool {
    a.entity.as_map() == b.entity.as_map() && emissions_of(Some(a)) == emissions_of(Some(b))
}

/// Why a side is not good: the fault it ended with, or what was said.
fn failure(outcome: &Outcome) -> Value {
    if let Some(faulted) = outcome.faults.last() {
        return json!({
            "processor": faulted.processor,
            "stage": faulted.stage,
            "kind": faulted.fault.kind,
            "message": faulted.fault.message,
            "backtrace": faulted.fault.backtrace,
        });
    }
    let said = outcome
        .diagnostics
        .iter()
        .find(|one| one.level == Level::Error);
    json!({
        "kind": "diagnostic",
        "message": said.map(|one| one.message.as_str()),
        "stage": said.and_then(|one| one.stage),
        "processor": said.and_then(|one| one.processor.as_deref()),
    })
}
