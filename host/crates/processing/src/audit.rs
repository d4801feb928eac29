//! The daily audit: every memo, edge and stitch of a tenant computed again from what is stored, and mended where it differs
//! (DESIGN §2).
//!
//! It calls no guest and reads nothing outside. What it finds is queued like any other work, in lane *bulk*; a run that comes
//! of it calls guests because something differed. What will be looked at anyway is left alone: an entity that is queued, a
//! tenant that is being queued as a whole, a processor that is held.
//!
//! An edge may be missing because its parent's record of it is gone; the child is then unreached although its parent still
//! emits it, and the parent's run brings the edge back. So a tenant's unreached entities are checked only when an audit found
//! no edge to mend.

use greenroom_model::{Clock, Entity, EntityUid, TenantId};
use greenroom_storage::{
    AuditedEntity, Damage, FinalEntity, Reach, Stitched, Storage, StorageError,
};
use serde_json::Value;

use crate::{Pipelines, ProcessingError, TenantPipeline, memo, stitch};

/// Entities looked at together: some milliseconds of work, and one read of storage.
const PAGE: u32 = 50;
/// Unreached entities that are kept in mind until the end; the others are found by the next audit.
const MAX_UNREACHED: usize = 1_000;

/// How many were looked at, and what was mended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Audited {
    /// Entities looked at.
    pub entities: u64,
    /// Entities whose memo was not that of their inputs.
    pub memos: u64,
    /// Entities with an edge, a relation or a mark that was lost or foreign.
    pub edges: u64,
    /// Refs under which something else was served than would be stitched.
    pub stitches: u64,
}

impl Audited {
    /// Adds another sum.
    pub fn add(&mut self, other: Audited) {
        self.entities += other.entities;
        self.memos += other.memos;
        self.edges += other.edges;
        self.stitches += other.stitches;
    }
}

/// The audit of one tenant, a page at a time.
pub struct Audit {
    tenant: TenantId,
    after: Option<EntityUid>,
    done: bool,
    edges: u64,
    unreached: Vec<Damage>,
}

impl Audit {
    /// One that has not begun.
    pub fn of(tenant: TenantId) -> Self {
        Self {
            tenant,
            after: None,
            done: false,
            edges: 0,
            unreached: Vec::new(),
        }
    }

    /// Whether all of the tenant was looked at.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Looks at the next entities and mends what is wrong with them.
    ///
    /// # Errors
    /// If the storage does not answer or the tenant is gone; nothing was mended then that is not whole.
    pub async fn step(
        &mut self,
        storage: &dyn Storage,
        pipelines: &Pipelines,
        clock: &dyn Clock,
    ) -> Result<Audited, ProcessingError> {
        // Before the page: what is activated between the two shows in the page as a tenant that is being queued.
        let pipeline = pipelines.of(self.tenant).await?;
        let now_ms = u64::try_from(clock.now().0).unwrap_or(0);
        let page = storage
            .audit_page(self.tenant, self.after.as_ref(), PAGE)
            .await?;
        let mut audited = Audited {
            entities: page.entities.len() as u64,
            ..Audited::default()
        };
        let mut damage = Vec::new();
        for entity in &page.entities {
            match of_entity(entity, &pipeline, page.queueing, now_ms) {
                Some(found @ Damage::Memo(_)) => {
                    audited.memos += 1;
                    damage.push(found);
                }
                Some(found @ (Damage::Edges(_) | Damage::Reach(..))) => {
                    audited.edges += 1;
                    damage.push(found);
                }
                Some(found @ Damage::Stitch(_)) => {
                    audited.stitches += 1;
                    damage.push(found);
                }
                None => {}
            }
            if entity.reach == Reach::Unreached && self.unreached.len() < MAX_UNREACHED {
                let found = Damage::Reach(entity.entity_ref.clone(), entity.reach);
                self.unreached.push(found);
            }
        }
        audited.stitches += page.strays.len() as u64;
        damage.extend(page.strays.into_iter().map(Damage::Stitch));
        self.edges += audited.edges;
        self.heal(storage, damage).await?;
        self.after = page.entities.last().map(|entity| entity.uid.clone());
        self.done = page.last;
        if self.done && self.edges == 0 {
            let unreached = std::mem::take(&mut self.unreached);
            audited.edges += unreached.len() as u64;
            self.heal(storage, unreached).await?;
        }
        Ok(audited)
    }

    async fn heal(&self, storage: &dyn Storage, damage: Vec<Damage>) -> Result<(), StorageError> {
        if damage.is_empty() {
            return Ok(());
        }
        tracing::info!(tenant.id = self.tenant.0, ?damage, "the audit heals");
        storage.heal(self.tenant, damage).await
    }
}

/// What is wrong with an entity; the first that is, because mending it brings the others about.
fn of_entity(
    entity: &AuditedEntity,
    pipeline: &TenantPipeline,
    queueing: bool,
    now_ms: u64,
) -> Option<Damage> {
    if matches!(entity.reach, Reach::Reached | Reach::Unregistered) {
        return Some(Damage::Reach(entity.entity_ref.clone(), entity.reach));
    }
    if !entity.queued && !entity.edges_as_left && !entity.stitch.orphan {
        return Some(Damage::Edges(entity.uid.clone()));
    }
    if !entity.queued && !queueing && !would_be_skipped(entity, pipeline, now_ms) {
        return Some(Damage::Memo(entity.uid.clone()));
    }
    if !entity.stitch_queued && !is_served_as_stitched(entity) {
        return Some(Damage::Stitch(entity.entity_ref.clone()));
    }
    None
}

/// Whether its next run would call nobody, as far as that is meant.
fn would_be_skipped(entity: &AuditedEntity, pipeline: &TenantPipeline, now_ms: u64) -> bool {
    let parsed = Entity::from_json(&entity.unprocessed).ok();
    if let Some(parsed) = &parsed
        && pipeline.held_for(parsed).is_some()
    {
        return true;
    }
    let fixed = memo(
        &entity.unprocessed,
        parsed.as_ref(),
        &pipeline.pipeline,
        now_ms,
    );
    entity.memo_withheld || (entity.reads_current && fixed.is(entity.memo.as_ref(), &entity.trace))
}

fn is_served_as_stitched(entity: &AuditedEntity) -> bool {
    let mut input = entity.stitch.clone();
    // So that the whole document is made, whatever etag is stored.
    input.served_etag = None;
    match (stitch(&input), &entity.served) {
        (Stitched::Changed(right), Some(served)) => same(&right, served),
        (Stitched::Abandoned, None) => true,
        (Stitched::Changed(_) | Stitched::Unchanged, None)
        | (Stitched::Abandoned | Stitched::Unchanged, Some(_)) => false,
    }
}

/// Bodies are compared as values: an unchanged entity keeps the text it had, whatever order its keys were in.
fn same(right: &FinalEntity, served: &FinalEntity) -> bool {
    let value = |body: &str| serde_json::from_str::<Value>(body).ok();
    right.uid == served.uid
        && right.etag == served.etag
        && (right.body == served.body || value(&right.body) == value(&served.body))
}
