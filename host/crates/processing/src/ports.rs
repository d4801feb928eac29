//! The two ports of processing: where stages run, and where reads come from. The worker gives the adapters; tests script
//! them.

use std::sync::Arc;

use async_trait::async_trait;
use greenroom_model::{TenantId, Timestamp};
use greenroom_orchestrator::{Job, Step, Suspended, WantedReads};
use greenroom_storage::{Lane, ReadKey};
use thiserror::Error;

use crate::TenantPipeline;

/// Runs stages: on threads of the worker, or in a sandbox process.
#[async_trait]
pub trait Orchestrate: Send + Sync {
    /// Begins a run.
    async fn start(
        &self,
        pipeline: &Arc<TenantPipeline>,
        lane: Lane,
        job: Job,
    ) -> Result<Step, OrchestrateError>;
    /// Resumes a run with what its reads gave, in the order they were wanted.
    async fn resume(
        &self,
        pipeline: &Arc<TenantPipeline>,
        lane: Lane,
        state: Box<Suspended>,
        reads: Vec<greenroom_orchestrator::Read>,
    ) -> Result<Step, OrchestrateError>;
}

/// Why stages could not be run. Never the guest's fault.
#[derive(Debug, Error)]
pub enum OrchestrateError {
    /// The sandbox failed; the run is tried again.
    #[error("run a sandbox call: {0}")]
    Sandbox(String),
    /// A processor's compiled code is not there and could not be made.
    #[error("load processor `{processor}`: {reason}")]
    Load {
        /// Whose.
        processor: String,
        /// What went wrong.
        reason: String,
    },
    /// The worker is stopping.
    #[error("run a call: the worker is stopping")]
    Stopping,
}

/// One read that a processor of a tenant wants, with everything that decides whether it may have it.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// Its pipeline, which holds grants and reading settings.
    pub pipeline: &'a TenantPipeline,
    /// What is wanted, by whom, where.
    pub reads: &'a WantedReads,
}

/// What a read gave.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Under which key it is stored and watched.
    pub key: ReadKey,
    /// What the guest is given.
    pub read: greenroom_orchestrator::Read,
}

/// The answer to all wants of a round.
#[derive(Debug)]
pub enum ReadAnswer {
    /// All of them, in order.
    Read(Vec<Reading>),
    /// One of them cannot be answered now: the run waits.
    Unavailable {
        /// When it is worth trying again.
        retry_at: Timestamp,
        /// Which read, and why; for the owner, without secrets.
        reason: String,
    },
}

/// Reads documents and listings: from what is stored, else from outside.
#[async_trait]
pub trait ReadSource: Send + Sync {
    /// Reads all wants of a round.
    async fn read(&self, wanted: Wanted<'_>) -> ReadAnswer;
}
