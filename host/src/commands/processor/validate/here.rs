//! Judging without a host: the bundled processors in this process, as a new tenant has them. Nothing outside is read; a document
//! that needs more than the folder waits.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use greenroom_model::{Clock as _, GivenFiles};
use greenroom_orchestrator::{Job, Read, Step, Suspended, Want, resume, start};
use greenroom_processing::{
    Orchestrate, OrchestrateError, Ports, ReadAnswer, ReadSource, TenantPipeline, Wanted,
    validate_documents,
};
use greenroom_storage::Lane;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::super::super::clock::SystemClock;
use super::super::workshop::Workshop;

/// Every kind that the bundled processors know: which of them may come from where is a tenant's rule.
const KINDS: [&str; 9] = [
    "API",
    "Component",
    "Domain",
    "Group",
    "Location",
    "Resource",
    "System",
    "Template",
    "User",
];

/// See the module's head.
pub(super) struct Here {
    stages: Stages,
    pipeline: Arc<TenantPipeline>,
    runtime: Runtime,
}

impl Here {
    pub(super) fn open() -> anyhow::Result<Here> {
        let workshop = Workshop::open()?;
        let pipeline = workshop.pipeline(None, false, &KINDS.map(str::to_owned));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        Ok(Here {
            stages: Stages(workshop),
            pipeline: Arc::new(TenantPipeline::of_nobody(pipeline)),
            runtime: runtime.context("start the runtime")?,
        })
    }

    pub(super) fn report(&self, given: &GivenFiles) -> anyhow::Result<Value> {
        let ports = Ports {
            orchestrate: &self.stages,
            reads: &NoReads,
            clock: &SystemClock::default(),
        };
        let validated = validate_documents(given, &self.pipeline, None, ports);
        Ok(json!(self.runtime.block_on(validated)?))
    }
}

/// Runs stages on this thread.
struct Stages(Workshop);

impl Stages {
    fn step(
        step: Result<Step, greenroom_orchestrator::SandboxError>,
    ) -> Result<Step, OrchestrateError> {
        step.map_err(|error| OrchestrateError::Sandbox(error.to_string()))
    }
}

#[async_trait]
impl Orchestrate for Stages {
    async fn start(
        &self,
        pipeline: &Arc<TenantPipeline>,
        _lane: Lane,
        job: Job,
    ) -> Result<Step, OrchestrateError> {
        let sandbox = self.0.sandbox.for_scope(None);
        Self::step(start(job, &pipeline.pipeline, &sandbox))
    }

    async fn resume(
        &self,
        pipeline: &Arc<TenantPipeline>,
        _lane: Lane,
        state: Box<Suspended>,
        reads: Vec<Read>,
    ) -> Result<Step, OrchestrateError> {
        let sandbox = self.0.sandbox.for_scope(None);
        Self::step(resume(*state, reads, &pipeline.pipeline, &sandbox))
    }
}

/// Answers nothing.
struct NoReads;

#[async_trait]
impl ReadSource for NoReads {
    async fn read(&self, wanted: Wanted<'_>) -> ReadAnswer {
        let address = match wanted.reads.wants.first() {
            Some(Want::Get(address) | Want::List(address)) => address.as_str(),
            None => "",
        };
        ReadAnswer::Unavailable {
            retry_at: SystemClock::default().now(),
            reason: format!(
                "`{address}` is not in this folder, and only a host reads it: validate with --host"
            ),
        }
    }
}
