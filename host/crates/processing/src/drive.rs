//! One run that writes nothing, from its start to its end: what dry runs, validations and previews have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenroom_model::{Clock, ProcessorName, Stage};
use greenroom_orchestrator::{Job, Observed, Outcome, ReadOutcome, Step, Want};
use greenroom_storage::Lane;

use crate::{Orchestrate, ProcessingError, ReadAnswer, ReadSource, TenantPipeline, Wanted};

/// Where stages run, where reads come from, and what time it is.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// Runs the stages.
    pub orchestrate: &'a dyn Orchestrate,
    /// Reads.
    pub reads: &'a dyn ReadSource,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// How it ended.
pub(crate) enum End {
    /// All stages ran.
    Outcome(Box<Outcome>),
    /// A read cannot be answered now.
    Unavailable {
        /// Which, and why.
        reason: String,
        /// The calls made before.
        observed: Box<Observed>,
    },
}

/// One read that was asked for on the way.
pub(crate) struct MadeRead {
    pub(crate) processor: ProcessorName,
    pub(crate) stage: Stage,
    pub(crate) want: Want,
    /// The outcome's word, and why where it was refused.
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<String>,
}

/// Runs an entity without a memo, a cache or a record.
pub(crate) async fn drive(
    entity: String,
    pipeline: &Arc<TenantPipeline>,
    lane: Lane,
    observe: Option<&ProcessorName>,
    ports: Ports<'_>,
) -> Result<(End, Vec<MadeRead>), ProcessingError> {
    let job = Job {
        entity,
        caches: BTreeMap::new(),
        now_ms: u64::try_from(ports.clock.now().0).unwrap_or(0),
        tenant_secret: pipeline.secret,
        observe: observe.cloned(),
    };
    let mut made = Vec::new();
    let mut step = ports.orchestrate.start(pipeline, lane, job).await?;
    loop {
        let (wanted, state) = match step {
            Step::Done(outcome) => return Ok((End::Outcome(outcome), made)),
            Step::Wants(wanted, state) => (wanted, state),
        };
        let answer = ports
            .reads
            .read(Wanted {
                tenant: pipeline.tenant,
                pipeline,
                reads: &wanted,
            })
            .await;
        let readings = match answer {
            ReadAnswer::Read(readings) => readings,
            ReadAnswer::Unavailable { reason, .. } => {
                let observed = Box::new(state.observed().clone());
                return Ok((End::Unavailable { reason, observed }, made));
            }
        };
        let mut given = Vec::with_capacity(readings.len());
        for reading in readings {
            let (outcome, reason) = match &reading.read.outcome {
                ReadOutcome::Document { .. } => ("document", None),
                ReadOutcome::Listing(_) => ("listing", None),
                ReadOutcome::NotFound => ("not-found", None),
                ReadOutcome::Refused(reason) => ("refused", Some(reason.clone())),
            };
            made.push(MadeRead {
                processor: wanted.processor.clone(),
                stage: wanted.stage,
                want: reading.read.want.clone(),
                outcome,
                reason,
            });
            given.push(reading.read);
        }
        step = ports
            .orchestrate
            .resume(pipeline, lane, state, given)
            .await?;
    }
}
