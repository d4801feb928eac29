//! The stitch queue: which final entities must be assembled again.
use crate::{FinalEntity, StorageError};
use async_trait::async_trait;
use greenroom_model::{Diagnostic, EntityRef, EntityUid, TenantId};

/// How long the neighbours of runs wait that are recorded with many others, in milliseconds.
///
/// A Group whose thousand Components are processed one after the other would be stitched as often, each time with all of its
/// relations. What a run itself made is stitched at once.
pub const NEIGHBOURS_WAIT_MS: i64 = 1_000;
/// Runs recorded together that are many: more of the same are on their way.
const MANY_RUNS: usize = 6;

/// How long those wait whose relations were changed by runs of others, of which so many are recorded together.
#[must_use]
pub fn neighbours_wait_ms(runs: usize) -> i64 {
    if runs < MANY_RUNS {
        0
    } else {
        NEIGHBOURS_WAIT_MS
    }
}

/// Everything that goes into one final entity (ref §5.6).
#[derive(Debug, Clone)]
pub struct StitchInput {
    /// The tenant.
    pub tenant: TenantId,
    /// The ref.
    pub entity_ref: EntityRef,
    /// The queue row's ticket; a result under an old one is dropped.
    pub ticket: i64,
    /// Time since it was due, in milliseconds.
    pub waited_ms: u64,
    /// The row, if there is one.
    pub uid: Option<EntityUid>,
    /// The processed body; none if it never succeeded (then there is nothing to stitch).
    pub processed: Option<String>,
    /// Diagnostics of the last run.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether no edge leads to it.
    pub orphan: bool,
    /// Distinct (type, target) of relations whose source it is, ordered by type, then target; none if there is nothing to stitch.
    pub relations: Vec<(String, EntityRef)>,
    /// The etag now served.
    pub served_etag: Option<String>,
}

/// The result for one input.
#[derive(Debug, Clone)]
pub enum Stitched {
    /// Serve this.
    Changed(FinalEntity),
    /// What is served is right.
    Unchanged,
    /// There is nothing to serve (no row, or never processed).
    Abandoned,
}

/// The queue; works across tenants.
#[async_trait]
pub trait StitchQueue {
    /// Takes up to `limit` due refs, all of one tenant, for 30 s; empty if there is nothing.
    async fn claim_stitches(&self, limit: u32) -> Result<Vec<StitchInput>, StorageError>;
    /// Records results and their changes in one transaction; all inputs are of one tenant. Answers the log's last
    /// number. A row whose ticket has changed meanwhile stays queued.
    async fn record_stitches(
        &self,
        results: Vec<(StitchInput, Stitched)>,
    ) -> Result<u64, StorageError>;
    /// Refs queued, for the gauge.
    async fn stitch_queue_length(&self) -> Result<u64, StorageError>;
}
