//! Runs on request: what the API needs a worker for (dry run, validate, inspect an upload).
use std::collections::HashMap;

use crate::{StorageError, WorkerId};
use async_trait::async_trait;
use greenroom_model::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// A run's id, a fresh UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunId(pub String);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// Process one given entity, writing nothing (`POST /validate-entity`).
    ValidateEntity,
    /// Process a location and everything reachable from it, writing nothing (`POST /locations?dryRun=true`).
    DryRunLocation,
    /// Look for the catalog file behind a URL, writing nothing (`POST /analyze-location`).
    AnalyzeLocation,
    /// Inspect and compile an uploaded revision.
    InspectRevision,
    /// Process one entity with a revision in place of the current one, writing nothing (`POST …/processors/{name}/runs`).
    DryRunRevision,
    /// Compare a revision with the current one over live entities, writing nothing (`POST …/processors/{name}/preview`).
    PreviewRevision,
    /// Process a batch of catalog files, writing nothing, and compare with what is served (`POST …/validate`).
    ValidateDocuments,
}

impl RunKind {
    const ALL: [Self; 7] = [
        Self::ValidateEntity,
        Self::DryRunLocation,
        Self::AnalyzeLocation,
        Self::InspectRevision,
        Self::DryRunRevision,
        Self::PreviewRevision,
        Self::ValidateDocuments,
    ];

    /// Its name, as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ValidateEntity => "validate-entity",
            Self::DryRunLocation => "dry-run-location",
            Self::AnalyzeLocation => "analyze-location",
            Self::InspectRevision => "inspect-revision",
            Self::DryRunRevision => "dry-run-revision",
            Self::PreviewRevision => "preview-revision",
            Self::ValidateDocuments => "validate-documents",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// How often an inspection is tried that fails through us, or whose worker dies.
pub const INSPECTION_ATTEMPTS: u32 = 3;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Nobody has taken it.
    Queued,
    /// A worker has it.
    Running,
    /// `result` is there.
    Done,
    /// The client went away, or it was too late.
    Cancelled,
}

/// Of the oldest runs of all tenants those that are claimed: `limit` in order, of one tenant at most half while others wait.
#[must_use]
pub fn share_runs(queued: Vec<(TenantId, RunId)>, limit: usize) -> Vec<(TenantId, RunId)> {
    let half = limit.div_ceil(2);
    let mut taken: HashMap<TenantId, usize> = HashMap::new();
    let (mut first, rest): (Vec<_>, Vec<_>) = queued.into_iter().partition(|(tenant, _)| {
        let count = taken.entry(*tenant).or_default();
        *count += 1;
        *count <= half
    });
    first.extend(rest);
    first.truncate(limit);
    first
}

/// A run to create.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// What is to be done.
    pub kind: RunKind,
    /// The request, JSON text.
    pub request: String,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Whose.
    pub tenant: TenantId,
    /// Its id.
    pub id: RunId,
    /// What.
    pub kind: RunKind,
    /// How far.
    pub state: RunState,
    /// The request, JSON text.
    pub request: String,
    /// The result, JSON text.
    pub result: Option<String>,
    /// When it was created. Kept 24 h.
    pub created_at: Timestamp,
}

/// Runs; `claim_runs` works across tenants.
#[async_trait]
pub trait RunQueue {
    /// Queues a run.
    async fn create_run(&self, tenant: TenantId, run: NewRun) -> Result<(), StorageError>;
    /// The same, unless the tenant has `most` runs of this kind that are not done; `false` then.
    async fn create_bounded_run(
        &self,
        tenant: TenantId,
        run: NewRun,
        most: u32,
    ) -> Result<bool, StorageError>;
    /// Finds a run.
    async fn find_run(&self, tenant: TenantId, id: &RunId) -> Result<Option<Run>, StorageError>;
    /// Takes queued runs, oldest first, one tenant at most half of `limit` while others wait; inspections are taken by
    /// [`RunQueue::claim_inspection`] alone. Runs of a worker whose lease ended are queued again.
    async fn claim_runs(&self, worker: &WorkerId, limit: u32) -> Result<Vec<Run>, StorageError>;
    /// Takes one queued inspection, fairly: of a tenant that has none under way anywhere and whose compilations of the
    /// last hour took less CPU time than its quota; of several, that which was served longest ago (a09).
    async fn claim_inspection(&self, worker: &WorkerId) -> Result<Option<Run>, StorageError>;
    /// Gives a run back after a failure of ours; it is taken again not before `not_before`. `false` if it is no longer that
    /// worker's, or this was its [`INSPECTION_ATTEMPTS`]th attempt: then it is the caller's to end.
    async fn retry_run(
        &self,
        tenant: TenantId,
        id: &RunId,
        worker: &WorkerId,
        not_before: Timestamp,
    ) -> Result<bool, StorageError>;
    /// Charges the CPU time of a compilation to a tenant.
    async fn charge_compilation(&self, tenant: TenantId, cpu_ms: u64) -> Result<(), StorageError>;
    /// Runs of a kind that are queued or under way.
    async fn open_runs(&self, tenant: TenantId, kind: RunKind) -> Result<u64, StorageError>;
    /// Ends a run with its result; `false` if it is no longer that worker's or was cancelled.
    async fn finish_run(
        &self,
        tenant: TenantId,
        id: &RunId,
        worker: &WorkerId,
        result: &str,
    ) -> Result<bool, StorageError>;
    /// Cancels a run that is not done.
    async fn cancel_run(&self, tenant: TenantId, id: &RunId) -> Result<(), StorageError>;
}
