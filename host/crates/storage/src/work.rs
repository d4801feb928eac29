//! The work queue: which entities are to be processed, by whom, and what came of it.
//!
//! `work` is narrow and holds scheduling only; a row exists only while there is work. A claim lives by its worker's
//! lease, not by a due time: each claim raises the item's claim number, and every write of a run is conditional on
//! (worker, claim number) still being its own. An item that is queued again while it is claimed runs once more
//! afterwards. Runs are idempotent; "exactly once" is not a promise made here.
use crate::{FaultRecord, ReadKey, StorageError};
use async_trait::async_trait;
use greenroom_model::{
    Diagnostic, Digest, EntityRef, EntityUid, ProcessorName, Relation, Stage, TenantId, Timestamp,
};
use serde::{Deserialize, Serialize};

/// Length of a worker's lease; see `workers`.
pub const WORKER_LEASE_MS: i64 = 10_000;
/// Items of lane *on request* a tenant may hold before the rest spills.
pub const ON_REQUEST_HELD: u32 = 100;
/// How far lane *on request* may be ahead of its tenant's other lanes and still go first: some 20 s of CPU time in the units of a
/// pass. Beyond it the lane takes its turn, so that who never stops asking does not starve the rest of what is his (q02).
pub const ON_REQUEST_CREDIT: f64 = 60_000_000.0;

/// A worker process, named by a fresh UUID at its start.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub String);

/// Weights inside a tenant, not priorities across tenants (DESIGN §7): on request first, the rest 8 : 4 : 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// `POST /locations` and what its run emits, refresh, re-drive.
    OnRequest,
    /// Mutations and other new children.
    New,
    /// Changed bytes, changed reads, cleared memos.
    Changed,
    /// Activations and the audit.
    Bulk,
}

/// One claimed item: the proof that a run is still its worker's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// The tenant.
    pub tenant: TenantId,
    /// The entity.
    pub uid: EntityUid,
    /// The claimer.
    pub worker: WorkerId,
    /// Raised by every claim.
    pub claim_no: i64,
}

/// A claimed entity with everything a run starts from.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The claim.
    pub claim: Claim,
    /// Where it was queued.
    pub lane: Lane,
    /// Runs in a row that did not end well before this one.
    pub attempts: u32,
    /// The entity's ref.
    pub entity_ref: EntityRef,
    /// Its unprocessed body.
    pub unprocessed: String,
    /// Caches by processor, as JSON text; `{}` if none.
    pub caches: String,
    /// The memo of the last run whose result was kept; cleared by what DESIGN §2.1 lists.
    pub memo: Option<Digest>,
    /// The reads of that run.
    pub trace: Vec<TracedRead>,
    /// When it was due; for the queue-delay metric.
    pub due_at: Timestamp,
}

/// One read of a run, part of its memo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedRead {
    /// The stage that read.
    pub stage: Stage,
    /// The processor that read.
    pub processor: ProcessorName,
    /// What was read.
    pub key: ReadKey,
    /// Digest of the outcome, contents included.
    pub digest: Digest,
}

/// An emitted entity: envelope-checked, its managed-by annotations forced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its ref.
    pub entity_ref: EntityRef,
    /// Its unprocessed body as stored.
    pub unprocessed: String,
    /// Who owns it.
    pub location_key: Option<String>,
}

/// A run that kept its result.
#[derive(Debug, Clone)]
pub struct Success {
    /// The processed entity.
    pub processed: String,
    /// The memo to skip by.
    pub memo: Digest,
    /// The reads.
    pub trace: Vec<TracedRead>,
    /// Caches by processor, as JSON text.
    pub caches: String,
    /// Relations, replaced by difference.
    pub relations: Vec<Relation>,
    /// Refresh keys, replaced.
    pub refresh_keys: Vec<String>,
    /// Emitted entities.
    pub children: Vec<Child>,
    /// Whether every target and child was good. If not, nothing of this parent is removed (partial failure is additive).
    pub complete: bool,
    /// What to tell the owner; `error` ones only where `complete` is false.
    pub diagnostics: Vec<Diagnostic>,
    /// When it is due again by itself (a declared time grain).
    pub due: Option<Timestamp>,
}

/// A run that kept nothing but its diagnostics: the last good state stays.
#[derive(Debug, Clone)]
pub struct Failure {
    /// At least one of level `error`.
    pub diagnostics: Vec<Diagnostic>,
    /// `Some`: deterministic, waits until the memo changes or for a re-drive. `None`: tried again at `retry_at`.
    pub memo: Option<Digest>,
    /// The reads.
    pub trace: Vec<TracedRead>,
    /// When it is tried again, for what is not deterministic.
    pub retry_at: Option<Timestamp>,
    /// Whether it is a dead letter: a remembered fault other than `rejected`, or `host-crash`.
    pub dead_letter: bool,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub enum RunResult {
    /// The memo was equal and every traced read has the same digest: nothing ran. Only the due time is kept.
    Skipped {
        /// See [`Success::due`].
        due: Option<Timestamp>,
    },
    /// It kept its result.
    Succeeded(Box<Success>),
    /// It kept nothing.
    Rejected(Box<Failure>),
    /// A read is `unavailable`: released, and starts over at `retry_at`. Nothing is applied or removed.
    Waiting {
        /// The read's next attempt.
        retry_at: Timestamp,
        /// What it waits for, for `…/processing`.
        reason: String,
    },
}

/// The calls of one processor in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallsMade {
    /// Which processor of the tenant.
    pub processor: ProcessorName,
    /// Under which revision.
    pub revision: Digest,
    /// How many; none if an earlier processor ended the run.
    pub calls: u32,
}

/// What a run called, and on what: what regressions are counted by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunCalls {
    /// Digest of the unprocessed bytes it ran on; `None` if nothing ran, and then nothing is counted.
    pub unprocessed: Option<Digest>,
    /// Every processor of the tenant that matched. Bundled ones have no revisions to go back to.
    pub made: Vec<CallsMade>,
    /// How many calls there were in all, those of bundled processors included.
    pub total: u32,
}

/// A finished run.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// Its claim.
    pub claim: Claim,
    /// How it ended.
    pub result: RunResult,
    /// Faults of its calls, also of calls whose failure did not reject the run.
    pub faults: Vec<FaultRecord>,
    /// CPU time of its calls in microseconds; charged to the tenant's pass.
    pub cpu_us: u64,
    /// What it called.
    pub calls: RunCalls,
}

/// Whether a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was.
    Applied,
    /// The claim is no longer the worker's: nothing was written, the result is dropped.
    LostClaim,
}

/// Which of a worker's slots a claim fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// Those that anything may take.
    Any,
    /// The last ones, kept for lane *on request* and for tenants that hold nothing (DESIGN §2), each of which takes one.
    Kept,
}

impl Slots {
    /// Whether they are for routine work of a tenant that holds so many items.
    pub fn are_for(self, held: u64) -> bool {
        self == Slots::Any || held == 0
    }
}

/// Claiming and recording; works across tenants.
#[async_trait]
pub trait WorkQueue {
    /// Claims up to `limit` due items: lane *on request* of all tenants first, then tenants by lowest pass, then each
    /// tenant's oldest due items.
    async fn claim(
        &self,
        worker: &WorkerId,
        limit: u32,
        slots: Slots,
    ) -> Result<Vec<Claimed>, StorageError>;
    /// Gives items back unchanged, due now.
    async fn release(&self, claims: &[Claim]) -> Result<(), StorageError>;
    /// Records a batch of runs; each is fenced by its claim, and all of one run is one transaction (a run with more
    /// than 500 children applies them in such transactions first, each fenced). Within it, after a `Succeeded`:
    /// body, caches, memo, trace (`read_uses`), relations by difference, refresh keys; children inserted, updated or
    /// recorded as conflicts (ref §5.4, DESIGN §2 "last emitter" row: every emitter keeps its edge); a child is queued
    /// only if its bytes, location key or this parent edge changed (lane *on request* if this run's was, else *new* or
    /// *changed*); a new child more than [`MAX_CHAIN`](crate::MAX_CHAIN) steps from an origin is not inserted, of which
    /// the parent is told, and the run is then not `complete` ([`chain_too_long`](crate::chain_too_long)); if `complete`,
    /// edges no longer emitted are removed and their targets queued for an orphan check and their remaining parents'
    /// memos cleared; this ref and the sources of changed relations queued for stitching.
    /// Regressions are counted with the run, and a canary ends or a revision is quarantined with the run that decides it
    /// (see [`ActivationRepository`](crate::ActivationRepository)).
    async fn record(&self, records: Vec<RunRecord>) -> Result<Vec<Recorded>, StorageError>;
    /// When the next item that nobody holds is due; `None` if there is no work.
    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError>;
    /// Items queued and not held, by lane, over all tenants; for gauges and drain detection.
    async fn queue_depth(&self) -> Result<Vec<(Lane, u64)>, StorageError>;
    /// Queues an entity (lane *on request*) with its memo cleared: a re-drive. `false` if there is none with that ref.
    async fn redrive(&self, tenant: TenantId, entity_ref: &EntityRef)
    -> Result<bool, StorageError>;
    /// Queues every entity of a tenant in lane *bulk*, after an activation. Answers how many.
    async fn enqueue_all(&self, tenant: TenantId) -> Result<u64, StorageError>;
}

/// Leases of worker processes; works across tenants.
#[async_trait]
pub trait Workers {
    /// Makes or renews a worker's lease of 10 s.
    async fn renew_lease(&self, worker: &WorkerId) -> Result<(), StorageError>;
    /// Ends a worker's lease and frees its items now: its process is known to be dead, or is leaving.
    async fn expire_worker(&self, worker: &WorkerId) -> Result<u64, StorageError>;
    /// Frees the items of all workers whose lease has run out; answers how many.
    async fn release_expired(&self) -> Result<u64, StorageError>;
}
