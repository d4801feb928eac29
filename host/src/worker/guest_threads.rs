//! Stages on threads of this process: the first adapter of the port [`Orchestrate`].
//!
//! Guests run synchronously on threads that belong to the sandbox and to nothing else (cores + 1, one of them kept for
//! lane *on request*), all stages of a run on one thread until it waits for reads.

use std::sync::Arc;

use async_trait::async_trait;
use greenroom_orchestrator::{Job, Read, SandboxError, Step, Suspended, resume, start};
use greenroom_processing::{Orchestrate, OrchestrateError, TenantPipeline};
use greenroom_sandbox::Sandbox;
use greenroom_storage::Lane;
use tokio::sync::oneshot;

use super::Artifacts;
use super::thread_queue::{Queued, ThreadQueue};

/// How often a run is tried again because a processor's code was dropped from the cache between loading and calling.
const LOAD_ATTEMPTS: u32 = 3;

/// One turn of a run, and who waits for it.
struct Turn {
    pipeline: Arc<TenantPipeline>,
    begin: Begin,
    answer: oneshot::Sender<Result<Step, SandboxError>>,
}

enum Begin {
    Start(Job),
    Resume(Box<Suspended>, Vec<Read>),
}

/// The threads.
pub struct GuestThreads {
    queue: Arc<ThreadQueue<Turn>>,
    artifacts: Arc<Artifacts>,
}

impl GuestThreads {
    /// Starts `count` threads, at least two.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        sandbox: &Arc<Sandbox>,
        artifacts: Arc<Artifacts>,
        count: usize,
    ) -> std::io::Result<Self> {
        let count = count.max(2);
        let queue = Arc::new(ThreadQueue::new(count));
        for number in 0..count {
            let (queue, sandbox) = (Arc::clone(&queue), Arc::clone(sandbox));
            std::thread::Builder::new()
                .name(format!("guest-{number}"))
                .spawn(move || work(&queue, &sandbox, number == 0))?;
        }
        Ok(Self { queue, artifacts })
    }

    async fn turn(
        &self,
        pipeline: &Arc<TenantPipeline>,
        lane: Lane,
        begin: Begin,
    ) -> Result<Step, OrchestrateError> {
        let (answer, answered) = oneshot::channel();
        let turn = Turn {
            pipeline: Arc::clone(pipeline),
            begin,
            answer,
        };
        let queued = Queued {
            tenant: pipeline.tenant,
            on_request: lane == Lane::OnRequest,
            work: turn,
        };
        self.queue
            .push(queued)
            .map_err(|_| OrchestrateError::Stopping)?;
        match answered.await {
            Ok(step) => step.map_err(|error| OrchestrateError::Sandbox(error.to_string())),
            Err(_) => Err(OrchestrateError::Stopping),
        }
    }
}

impl Drop for GuestThreads {
    /// Threads end after the call they are in; a process that exits does not wait for them.
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[async_trait]
impl Orchestrate for GuestThreads {
    async fn start(
        &self,
        pipeline: &Arc<TenantPipeline>,
        lane: Lane,
        job: Job,
    ) -> Result<Step, OrchestrateError> {
        let mut attempts = 0;
        loop {
            self.artifacts.load_all(pipeline).await?;
            let step = self.turn(pipeline, lane, Begin::Start(job.clone())).await;
            attempts += 1;
            match step {
                Err(OrchestrateError::Sandbox(_))
                    if attempts < LOAD_ATTEMPTS && !self.artifacts.all_loaded(pipeline) => {}
                step => return step,
            }
        }
    }

    async fn resume(
        &self,
        pipeline: &Arc<TenantPipeline>,
        lane: Lane,
        state: Box<Suspended>,
        reads: Vec<Read>,
    ) -> Result<Step, OrchestrateError> {
        self.artifacts.load_all(pipeline).await?;
        self.turn(pipeline, lane, Begin::Resume(state, reads)).await
    }
}

fn work(queue: &ThreadQueue<Turn>, sandbox: &Arc<Sandbox>, only_on_request: bool) {
    while let Some((tenant, turn)) = queue.pop(only_on_request) {
        let scoped = sandbox.for_scope(Some(tenant));
        let step = match turn.begin {
            Begin::Start(job) => start(job, &turn.pipeline.pipeline, &scoped),
            Begin::Resume(state, reads) => resume(*state, reads, &turn.pipeline.pipeline, &scoped),
        };
        queue.done(tenant);
        // Nobody waits any more when the run was cancelled.
        let _ = turn.answer.send(step);
    }
}
