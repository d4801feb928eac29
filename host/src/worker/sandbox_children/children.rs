//! The children of a worker: which child a turn goes to, and what becomes of it when that child dies.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_orchestrator::{Job, Read, Step, Suspended, crashed};
use greenroom_processing::{Orchestrate, OrchestrateError, TenantPipeline};
use greenroom_sandbox::{
    CallLimits, CallOutcome, CallReport, Called, Descriptor, FaultKind, GuestFault,
};
use greenroom_sandbox_child::{
    Announced, DescribeRevision, Kind, ResumeRun, StartRun, decode, encoded,
};
use greenroom_storage::Lane;
use tokio::sync::{Semaphore, oneshot};

use super::death::Death;
use super::process::{Process, Reply};
use crate::metrics::Metric;
use crate::supervisor::{Pulse, SandboxEnd};
use crate::worker::Artifacts;

/// How often code is told again to a child that misses it, for one turn.
const TELL_ATTEMPTS: u32 = 4;
/// Deaths alone that are the run's own fault.
const DEATHS_ALONE: u32 = 2;
/// Deaths of a child it only waited in, after which a run is tried alone all the same: notes can be wrong.
const DEATHS_WAITING: u32 = 2;
/// First wait after a child that could not be started; doubles.
const START_LEAST: Duration = Duration::from_millis(10);
/// Most doublings of it: 10 s.
const START_DOUBLINGS: u32 = 10;

/// Asks processors what they are, as at an upload.
#[async_trait]
pub trait Describe: Send + Sync {
    /// Asks a revision of a tenant, with the limits it will have.
    async fn describe(
        &self,
        tenant: TenantId,
        revision: &Digest,
        limits: &CallLimits,
    ) -> Result<Called<Descriptor>, OrchestrateError>;
}

/// The children.
pub struct SandboxChildren {
    this: Weak<SandboxChildren>,
    program: OsString,
    threads: usize,
    artifacts: Arc<Artifacts>,
    /// Counts children that are gone.
    pulse: Pulse,
    shared: Mutex<Shared>,
    /// One run alone at a time: what kills its process may also eat the machine.
    alone: Semaphore,
}

/// The child that everything runs in.
struct Shared {
    process: Arc<Process>,
    /// Children in a row that could not be started.
    failures: u32,
}

/// A child for one run, gone with this value.
struct Alone(Arc<Process>);

impl Drop for Alone {
    fn drop(&mut self) {
        self.0.dismiss();
    }
}

/// How often a run was in a child that died.
#[derive(Default)]
struct Deaths {
    waiting: u32,
    suspect: bool,
    alone: u32,
}

impl Deaths {
    fn count(&mut self, alone: bool, death: &Death) {
        match alone {
            true => self.alone += 1,
            false => {
                self.waiting += 1;
                self.suspect |= death.noted || self.waiting >= DEATHS_WAITING;
            }
        }
    }
}

/// What ended a run that was tried as often as it is.
enum Ended {
    /// The answer's kind and body.
    Answered(Kind, Vec<u8>),
    /// Its process died, twice alone.
    Crashed(Death),
}

/// What is asked of a child.
enum Ask<'a> {
    Turn(Kind, &'a Arc<TenantPipeline>, bool),
    Describe(TenantId, &'a Digest),
}

impl SandboxChildren {
    /// Children are `program sandbox`, each with `threads` guest threads, at least two. The first is started at once.
    pub fn start(
        program: OsString,
        threads: usize,
        artifacts: Arc<Artifacts>,
        pulse: Pulse,
    ) -> Arc<Self> {
        let threads = threads.max(2);
        let sheet = Arc::clone(pulse.sheet());
        let children = Arc::new_cyclic(|this: &Weak<Self>| Self {
            shared: Mutex::new(Shared {
                process: start_shared(program.clone(), threads, pulse.clone(), this.clone()),
                failures: 0,
            }),
            this: this.clone(),
            program,
            threads,
            artifacts,
            pulse,
            alone: Semaphore::new(1),
        });
        // There from the start, so that the first one is seen as a rise.
        for end in SandboxEnd::ALL {
            sheet.add(Metric::SandboxEnds, &[end.as_str()], 0.0);
        }
        let measured = Arc::downgrade(&children);
        sheet.measure(move |sheet| {
            let turns = measured.upgrade().map_or(0, |children| children.turns());
            sheet.set(Metric::GuestThreads, &[], threads as f64);
            sheet.set(Metric::GuestTurns, &[], turns as f64);
        });
        children
    }

    /// Process id of the child that everything runs in, while it lives.
    pub fn pid(&self) -> Option<u32> {
        self.lock().process.pid()
    }

    /// Turns that are in that child.
    fn turns(&self) -> usize {
        self.lock().process.turns()
    }

    /// The child that everything runs in; another one, at once, if it is gone. One that could not even be started is
    /// followed after a wait, which doubles.
    async fn shared(&self) -> Arc<Process> {
        let wait = {
            let shared = self.lock();
            if shared.process.is_alive() {
                return Arc::clone(&shared.process);
            }
            match shared.process.has_greeted() {
                true => Duration::ZERO,
                false => START_LEAST * (1 << shared.failures.min(START_DOUBLINGS)),
            }
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.replace()
    }

    /// The child that everything runs in, started anew if it is gone.
    fn replace(&self) -> Arc<Process> {
        let mut shared = self.lock();
        if !shared.process.is_alive() {
            shared.failures = match shared.process.has_greeted() {
                true => 0,
                false => shared.failures.saturating_add(1),
            };
            shared.process = start_shared(
                self.program.clone(),
                self.threads,
                self.pulse.clone(),
                self.this.clone(),
            );
        }
        Arc::clone(&shared.process)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until there is an answer, whatever dies meanwhile.
    async fn ask(&self, ask: &Ask<'_>, body: &Bytes) -> Result<Ended, OrchestrateError> {
        let mut deaths = Deaths::default();
        loop {
            let reply = if deaths.suspect {
                let _one_at_a_time = self.alone.acquire().await;
                let child = Alone(Process::start(
                    self.program.clone(),
                    2,
                    true,
                    self.pulse.clone(),
                    || {},
                ));
                self.ask_of(&child.0, ask, body).await?
            } else {
                let child = self.shared().await;
                self.ask_of(&child, ask, body).await?
            };
            let death = match reply {
                Reply::Frame(kind, body) => return Ok(Ended::Answered(kind, body)),
                Reply::NotStarted(reason) => {
                    return Err(OrchestrateError::Sandbox(format!(
                        "start a sandbox child: {reason}"
                    )));
                }
                Reply::Died(death) => death,
            };
            deaths.count(deaths.suspect, &death);
            if deaths.alone >= DEATHS_ALONE {
                return Ok(Ended::Crashed(death));
            }
        }
    }

    /// Asks one child, telling it what it has not been told.
    async fn ask_of(
        &self,
        child: &Process,
        ask: &Ask<'_>,
        body: &Bytes,
    ) -> Result<Reply, OrchestrateError> {
        let mut rebuilt = false;
        for _ in 0..TELL_ATTEMPTS {
            let answered = self.send(child, ask, body).await?;
            let reply = answered.await.map_err(|_| OrchestrateError::Stopping)?;
            let Reply::Frame(Kind::Missing, missing) = &reply else {
                return Ok(reply);
            };
            let revision: Digest = decode(missing).map_err(broken)?;
            let tenant = match ask {
                Ask::Turn(_, pipeline, _) => pipeline.tenant,
                Ask::Describe(tenant, _) => *tenant,
            };
            let refusal = child
                .miss(&revision, [Some(tenant), None])
                .map_err(broken)?;
            if let Some(reason) = refusal {
                // Code for another machine's processor, as after a move: made anew from the component, once.
                let load = |reason| OrchestrateError::Load {
                    processor: revision.to_string(),
                    reason,
                };
                if std::mem::replace(&mut rebuilt, true) {
                    return Err(load(reason));
                }
                self.artifacts
                    .rebuild(tenant, &revision)
                    .await
                    .map_err(load)?;
            }
        }
        Err(OrchestrateError::Sandbox(
            "the compiled code of the pipeline does not fit into a sandbox child: give its processors less debug \
             information"
                .to_owned(),
        ))
    }

    async fn send(
        &self,
        child: &Process,
        ask: &Ask<'_>,
        body: &Bytes,
    ) -> Result<oneshot::Receiver<Reply>, OrchestrateError> {
        match ask {
            Ask::Describe(tenant, revision) => {
                let _one_at_a_time = child.telling.lock().await;
                self.tell_code(child, *tenant, revision, || revision.to_string())
                    .await?;
                Ok(child.describe(body))
            }
            Ask::Turn(kind, pipeline, on_request) => loop {
                if let Some(answered) = child.turn(*kind, pipeline, *on_request, body) {
                    return Ok(answered);
                }
                let _one_at_a_time = child.telling.lock().await;
                for processor in &pipeline.pipeline.processors {
                    self.tell_code(child, pipeline.tenant, &processor.revision, || {
                        processor.name.to_string()
                    })
                    .await?;
                }
                child.tell(pipeline).map_err(broken)?;
            },
        }
    }

    async fn tell_code(
        &self,
        child: &Process,
        tenant: TenantId,
        revision: &Digest,
        name: impl Fn() -> String,
    ) -> Result<(), OrchestrateError> {
        let scope = self.artifacts.scope(tenant, revision);
        if child.has(&(scope, *revision)) {
            return Ok(());
        }
        let load = |reason: String| OrchestrateError::Load {
            processor: name(),
            reason,
        };
        let code = self
            .artifacts
            .sealed(tenant, revision)
            .await
            .map_err(load)?;
        child.load(scope, &code).map_err(broken)
    }

    async fn turn(
        &self,
        kind: Kind,
        pipeline: &Arc<TenantPipeline>,
        lane: Lane,
        body: Vec<u8>,
    ) -> Result<Step, OrchestrateError> {
        let ask = Ask::Turn(kind, pipeline, lane == Lane::OnRequest);
        match self.ask(&ask, &Bytes::from(body)).await? {
            Ended::Answered(Kind::Step, body) => {
                let step = decode(&body).map_err(broken)?;
                plausible(&step, pipeline)?;
                Ok(step)
            }
            Ended::Answered(kind, body) => Err(failed(kind, &body)),
            Ended::Crashed(death) => after_crash(&death, pipeline),
        }
    }
}

/// Starts the child that everything runs in; the next one is started when it is gone.
fn start_shared(
    program: OsString,
    threads: usize,
    pulse: Pulse,
    children: Weak<SandboxChildren>,
) -> Arc<Process> {
    Process::start(program, threads, false, pulse, move || {
        if let Some(children) = children.upgrade() {
            children.replace();
        }
    })
}

impl Drop for SandboxChildren {
    fn drop(&mut self) {
        self.lock().process.dismiss();
    }
}

#[async_trait]
impl Orchestrate for SandboxChildren {
    async fn start(
        &self,
        pipeline: &Arc<TenantPipeline>,
        lane: Lane,
        job: Job,
    ) -> Result<Step, OrchestrateError> {
        let body = encoded(&StartRun { job }).map_err(broken)?;
        self.turn(Kind::Start, pipeline, lane, body).await
    }

    async fn resume(
        &self,
        pipeline: &Arc<TenantPipeline>,
        lane: Lane,
        state: Box<Suspended>,
        reads: Vec<Read>,
    ) -> Result<Step, OrchestrateError> {
        let body = encoded(&ResumeRun { state, reads }).map_err(broken)?;
        self.turn(Kind::Resume, pipeline, lane, body).await
    }
}

#[async_trait]
impl Describe for SandboxChildren {
    async fn describe(
        &self,
        tenant: TenantId,
        revision: &Digest,
        limits: &CallLimits,
    ) -> Result<Called<Descriptor>, OrchestrateError> {
        let asked = DescribeRevision {
            scope: self.artifacts.scope(tenant, revision),
            revision: *revision,
            limits: *limits,
        };
        let body = Bytes::from(encoded(&asked).map_err(broken)?);
        match self.ask(&Ask::Describe(tenant, revision), &body).await? {
            Ended::Answered(Kind::Described, body) => decode(&body).map_err(broken),
            Ended::Answered(kind, body) => Err(failed(kind, &body)),
            Ended::Crashed(death) => Ok(Called {
                outcome: CallOutcome::Faulted(GuestFault::new(
                    FaultKind::HostCrash,
                    format!("the process that ran it died twice: {}", death.reason),
                )),
                report: CallReport::default(),
            }),
        }
    }
}

/// The outcome of a run whose process died twice alone: the fault of the call it had announced last.
fn after_crash(death: &Death, pipeline: &TenantPipeline) -> Result<Step, OrchestrateError> {
    let reason = || {
        OrchestrateError::Sandbox(format!(
            "its process died twice outside of any call: {}",
            death.reason
        ))
    };
    let announced = death.announced.as_ref().ok_or_else(reason)?;
    let announced: Announced<'static> = decode(announced).map_err(broken)?;
    let processors = &pipeline.pipeline.processors;
    let processor = processors
        .iter()
        .find(|processor| processor.revision == announced.revision)
        .ok_or_else(reason)?;
    let outcome = crashed(
        processor,
        announced.call.into_owned(),
        announced.limits,
        announced.seed,
    );
    Ok(Step::Done(Box::new(outcome)))
}

/// Refuses what no run of this pipeline can say. An escaped guest may say anything in a run's name; what it says is at
/// least about processors of the tenant whose run it is.
fn plausible(step: &Step, pipeline: &TenantPipeline) -> Result<(), OrchestrateError> {
    let processors = &pipeline.pipeline.processors;
    let known = |name: &ProcessorName| processors.iter().any(|processor| processor.name == *name);
    let good = match step {
        Step::Done(outcome) => outcome.faults.iter().all(|fault| known(&fault.processor)),
        Step::Wants(wanted, _) => known(&wanted.processor) && !wanted.wants.is_empty(),
    };
    match good {
        true => Ok(()),
        false => Err(OrchestrateError::Sandbox(
            "a sandbox child answered what no run of this pipeline can".to_owned(),
        )),
    }
}

fn failed(kind: Kind, body: &[u8]) -> OrchestrateError {
    let reason = match kind {
        Kind::Failed => decode::<String>(body).unwrap_or_else(|error| error.to_string()),
        kind => format!("a sandbox child answered with a frame of kind {kind:?}"),
    };
    OrchestrateError::Sandbox(reason.chars().take(1024).collect())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
fn broken(error: greenroom_sandbox_child::FrameError) -> OrchestrateError {
    OrchestrateError::Sandbox(error.to_string())
}
