//! What handing an entity to the sandbox process and taking its outcome back costs: the real children of a worker, 32 turns
//! in flight, with a pipeline that calls nobody, less what the same turn costs where it is made. Nobody knows the entity's
//! kind then, and that is its outcome; a call would cost ten times what is measured, and vary by more.
//!
//! Wall time, not CPU time: the way goes through two processes, and what a turn waits for is part of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use greenroom::supervisor::Pulse;
use greenroom::worker::{Artifacts, CompileChild, SandboxChildren};
use greenroom_model::{Clock, Digest, TenantName, Timestamp};
use greenroom_orchestrator::{
    CallLimits, CallProcessor, Job, SandboxError, StageCall, Step, Verdict,
};
use greenroom_processing::{Orchestrate as _, Pipelines, TenantPipeline};
use greenroom_sandbox::{Called, StageAnswer};
use greenroom_storage::{Lane, NewTenant, Storage};
use greenroom_storage_sqlite::SqliteStorage;

use crate::workload;

/// Turns under way at once, as DESIGN §9 asks.
const IN_FLIGHT: usize = 32;
/// Threads of the child that take turns.
const THREADS: usize = 3;
/// CPU seconds a compile child may use; none is started here.
const COMPILE_SECONDS: u32 = 60;

/// Microseconds that the hand-over of one entity adds to its turn: the median of `batches` of `turns` each.
pub(crate) fn microseconds(batches: usize, turns: usize) -> Result<f64, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let stand = Stand::new().await?;
        stand.turns(turns / 10).await?;
        let mut costs = Vec::with_capacity(batches);
        for _ in 0..batches {
            let there = stand.turns(turns).await?;
            let here = stand.turns_here(turns)?;
            costs.push(there.saturating_sub(here).as_secs_f64() * 1e6 / turns as f64);
        }
        costs.sort_by(f64::total_cmp);
        costs
            .get(batches / 2)
            .copied()
            .ok_or_else(|| "no batch was measured".to_owned())
    })
}

/// A worker's children over a database of their own, and a tenant without processors.
struct Stand {
    children: Arc<SandboxChildren>,
    pipeline: Arc<TenantPipeline>,
    _directory: tempfile::TempDir,
}

impl Stand {
    async fn new() -> Result<Stand, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let database = directory.path().join("greenroom.db");
        let storage: Arc<dyn Storage> =
            Arc::new(SqliteStorage::open(&database, Arc::new(Stopped)).map_err(shown)?);
        let tenant = NewTenant {
            name: TenantName::parse("default").map_err(shown)?,
            secret: [0; 32],
            epoch: "1".to_owned(),
        };
        let tenant = storage.create_tenant(tenant).await.map_err(shown)?;
        let tenant = tenant.ok_or("an empty database had a tenant")?;
        let program = host_program()?.into_os_string();
        let compiler = CompileChild::new(program.clone(), COMPILE_SECONDS);
        let artifacts = Artifacts::new(Arc::clone(&storage), Vec::new(), compiler, [7; 32]);
        let pipelines = Pipelines::new(storage, Vec::new());
        Ok(Stand {
            children: SandboxChildren::start(program, THREADS, artifacts, Pulse::default()),
            pipeline: pipelines.of(tenant.id).await.map_err(shown)?,
            _directory: directory,
        })
    }

    /// How long so many turns take that are handed over.
    async fn turns(&self, turns: usize) -> Result<Duration, String> {
        let began = Instant::now();
        let mut steps = futures_util::stream::iter(0..turns)
            .map(|_| self.children.start(&self.pipeline, Lane::New, job()))
            .buffer_unordered(IN_FLIGHT);
        while let Some(step) = steps.next().await {
            ended(step.map_err(shown)?)?;
        }
        Ok(began.elapsed())
    }

    /// How long they take on this thread.
    fn turns_here(&self, turns: usize) -> Result<Duration, String> {
        let began = Instant::now();
        for _ in 0..turns {
            let step = greenroom_orchestrator::start(job(), &self.pipeline.pipeline, &NoCalls);
            ended(step.map_err(shown)?)?;
        }
        Ok(began.elapsed())
    }
}

fn job() -> Job {
    Job {
        entity: workload::entity(),
        caches: BTreeMap::new(),
        now_ms: 0,
        tenant_secret: [0; 32],
        observe: None,
    }
}

/// A turn that ended otherwise costs something else.
fn ended(step: Step) -> Result<(), String> {
    match step {
        Step::Done(outcome) if matches!(outcome.verdict, Verdict::Rejected { .. }) => Ok(()),
        other => Err(format!("a turn without processors ended as {other:?}")),
    }
}

/// The host beside this program: `cargo build --release` makes both.
fn host_program() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    // A test of this crate lies one directory deeper.
    here.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("greenroom"))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            "no `greenroom` beside this program: build both, `cargo build --release`".to_owned()
        })
}

fn shown(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The time does not matter to a pipeline that calls nobody.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }
}

/// No processor is there to be called.
struct NoCalls;

impl CallProcessor for NoCalls {
    fn call(
        &self,
        revision: &Digest,
        _call: &StageCall,
        _limits: &CallLimits,
        _seed: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        Err(SandboxError::NotLoaded(*revision))
    }
}
