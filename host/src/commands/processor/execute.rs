//! Takes one entity through the stages here, with reads from fixtures. What a worker does, without storage: the same pure
//! function is started and resumed until it is done or wants something nobody gave.

use std::collections::BTreeMap;

use greenroom_model::{Diagnostic, Entity, ProcessorName, Stage};
use greenroom_orchestrator::{Job, Outcome, Pipeline, Step, Verdict, resume, start};
use greenroom_sandbox::{Read, ReadOutcome, Want};

use super::reads::Reads;
use super::recorder::{MadeCall, Recorder};
use super::workshop::Workshop;

/// Seeds the randomness of local calls: a constant, so that a run is the same every time.
const SECRET: [u8; 32] = [0; 32];

/// A read that a processor wanted.
#[derive(Debug)]
pub(super) struct MadeRead {
    pub(super) processor: ProcessorName,
    pub(super) stage: Stage,
    pub(super) want: Want,
    /// None where nobody said what it gives.
    pub(super) outcome: Option<ReadOutcome>,
}

/// What came of a run.
#[derive(Debug)]
pub(super) enum Ended {
    /// It ended.
    Done(Box<Outcome>),
    /// It wants reads that were not given.
    Waiting,
}

/// A run that took place.
#[derive(Debug)]
pub(super) struct Executed {
    pub(super) before: Entity,
    pub(super) ended: Ended,
    pub(super) calls: Vec<MadeCall>,
    pub(super) reads: Vec<MadeRead>,
}

/// What a run starts from, besides the pipeline.
pub(super) struct Start<'a> {
    pub(super) entity: &'a Entity,
    pub(super) cache: BTreeMap<ProcessorName, String>,
    pub(super) now_ms: u64,
}

/// Takes an entity through the stages.
pub(super) fn execute(
    workshop: &Workshop,
    pipeline: &Pipeline,
    given: &Start<'_>,
    reads: &Reads,
) -> anyhow::Result<Executed> {
    let recorder = Recorder::new(workshop.sandbox.for_scope(None), pipeline);
    let job = Job {
        entity: given.entity.to_json(),
        caches: given.cache.clone(),
        now_ms: given.now_ms,
        tenant_secret: SECRET,
        observe: None,
    };
    let mut made = Vec::new();
    let mut step = start(job, pipeline, &recorder)?;
    let ended = loop {
        match step {
            Step::Done(outcome) => break Ended::Done(outcome),
            Step::Wants(wanted, suspended) => {
                let mut answers = Vec::new();
                for want in wanted.wants {
                    let outcome = reads.answer(&want);
                    if let Some(outcome) = outcome.clone() {
                        answers.push(Read {
                            want: want.clone(),
                            outcome,
                        });
                    }
                    made.push(MadeRead {
                        processor: wanted.processor.clone(),
                        stage: wanted.stage,
                        want,
                        outcome,
                    });
                }
                if made.iter().any(|read| read.outcome.is_none()) {
                    break Ended::Waiting;
                }
                step = resume(*suspended, answers, pipeline, &recorder)?;
            }
        }
    };
    Ok(Executed {
        before: given.entity.clone(),
        ended,
        calls: recorder.into_calls(),
        reads: made,
    })
}

impl Executed {
    /// `processed`, `rejected` or `waiting`.
    pub(super) fn outcome_name(&self) -> &'static str {
        match &self.ended {
            Ended::Waiting => "waiting",
            Ended::Done(outcome) => match outcome.verdict {
                Verdict::Processed(_) => "processed",
                Verdict::Rejected { .. } => "rejected",
            },
        }
    }

    /// The processed entity, if there is one.
    pub(super) fn entity(&self) -> Option<&Entity> {
        match &self.ended {
            Ended::Done(outcome) => match &outcome.verdict {
                Verdict::Processed(processed) => Some(&processed.entity),
                Verdict::Rejected { .. } => None,
            },
            Ended::Waiting => None,
        }
    }

    /// What the owner is told.
    pub(super) fn diagnostics(&self) -> &[Diagnostic] {
        match &self.ended {
            Ended::Done(outcome) => &outcome.diagnostics,
            Ended::Waiting => &[],
        }
    }

    /// The calls of one processor.
    pub(super) fn calls_of(&self, name: &ProcessorName) -> impl Iterator<Item = &MadeCall> {
        self.calls
            .iter()
            .filter(move |call| call.processor == name.as_str())
    }
}
