//! Fixtures for activations: a processor under trial, and a worker in miniature that runs entities under its current revision
//! and lets the test say which of them fault.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{World, claim_all, provided, success, worker};
use super::{TestClock, processor_name};
use crate::{
    Activation, ActivationState, CallsMade, Claimed, Failure, FaultRecord, NewRevision, Recorded,
    RevisionState, RunCalls, RunRecord, RunResult, Storage, TracedRead,
};
use greenroom_model::{Clock, Diagnostic, Digest, EntityUid, ProcessorName, Stage};

/// A processor with its tenant's entities.
pub struct Trial<'a> {
    /// The tenant and its entities.
    pub world: World<'a>,
    /// The processor.
    pub name: ProcessorName,
}

/// What a run of one entity is to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Well.
    Well,
    /// With this fault of the processor under trial.
    With(&'static str),
}

impl<'a> Trial<'a> {
    /// A processor without revisions, and entities `component:default/c0…` that were processed without it.
    pub async fn new(storage: &'a dyn Storage, clock: &'a TestClock, entities: usize) -> Trial<'a> {
        let world = World::new(storage, clock).await;
        let trial = Trial {
            world,
            name: processor_name("p"),
        };
        let created = storage.create_processor(trial.world.tenant, &trial.name);
        created.await.unwrap();
        trial.give(entities, "bytes").await;
        trial.run_all(|_| Ends::Well).await;
        trial
    }

    /// Gives `count` entities these bytes.
    pub async fn give(&self, count: usize, bytes: &str) {
        let roots = (0..count).map(|number| provided(&format!("component:c{number}"), bytes, None));
        super::queue::provide(
            self.world.storage,
            self.world.tenant,
            "provider",
            roots.collect(),
        )
        .await;
    }

    /// A ready revision of these bytes.
    pub async fn revision(&self, bytes: &str) -> u32 {
        self.revision_of(&self.name, bytes).await
    }

    /// A ready revision of another processor.
    pub async fn revision_of(&self, name: &ProcessorName, bytes: &str) -> u32 {
        let (storage, tenant) = (self.world.storage, self.world.tenant);
        let added = storage
            .add_revision(tenant, name, &Digest::of(bytes), 1)
            .await
            .unwrap()
            .unwrap();
        let (NewRevision::Added(revision) | NewRevision::Known(revision)) = added else {
            panic!("it has no room: {added:?}");
        };
        let ready = RevisionState::Ready {
            descriptor: "{}".into(),
        };
        storage
            .finish_inspection(tenant, name, revision.number, ready)
            .await
            .unwrap();
        revision.number
    }

    /// Activates.
    pub async fn activate(&self, revision: u32) {
        let activated =
            self.world
                .storage
                .activate_revision(self.world.tenant, &self.name, revision);
        assert!(activated.await.unwrap());
    }

    /// Starts the canary with the first `size` entities that had a good result; answers them.
    pub async fn start_canary(&self, size: u32) -> Vec<EntityUid> {
        let storage = self.world.storage;
        let canary = storage.unpicked_canaries().await.unwrap().remove(0);
        let candidates = storage
            .canary_candidates(self.world.tenant, None, size)
            .await
            .unwrap();
        let uids: Vec<_> = candidates.into_iter().map(|one| one.uid).collect();
        assert!(storage.start_canary(&canary, &uids).await.unwrap());
        uids
    }

    /// Activates a new revision of these bytes whose canary of `size` ends well, and runs everything.
    pub async fn pass(&self, bytes: &str, size: u32) -> u32 {
        let revision = self.revision(bytes).await;
        self.activate(revision).await;
        self.start_canary(size).await;
        self.run_all(|_| Ends::Well).await;
        assert_eq!(self.newest().await.state, ActivationState::Passed);
        revision
    }

    /// Claims everything that is due.
    pub async fn claim(&self) -> Vec<Claimed> {
        claim_all(self.world.storage, &worker("w")).await
    }

    /// The record of a run under the current revisions, as a worker makes it.
    pub async fn record_of(&self, item: &Claimed, ends: Ends, trace: Vec<TracedRead>) -> RunRecord {
        let (storage, tenant) = (self.world.storage, self.world.tenant);
        let stored = storage.pipeline(tenant).await.unwrap();
        let current: Vec<_> = stored
            .processors
            .iter()
            .filter(|(processor, _)| !processor.held)
            .map(|(processor, revision)| CallsMade {
                processor: processor.name.clone(),
                revision: revision.digest,
                calls: 1,
            })
            .collect();
        let memo = Digest::of(format!("{} under {current:?}", item.unprocessed));
        let mut faults = Vec::new();
        let result = match ends {
            Ends::Well => {
                let mut done = success(item, Vec::new());
                (done.memo, done.trace) = (memo, trace);
                RunResult::Succeeded(Box::new(done))
            }
            Ends::With(fault) => {
                let made = current.iter().find(|made| made.processor == self.name);
                faults.push(fault_of(&self.name, item, fault, made, self.world.clock));
                RunResult::Rejected(Box::new(Failure {
                    diagnostics: vec![Diagnostic::error("InputError", fault)],
                    memo: Some(memo),
                    trace,
                    retry_at: None,
                    dead_letter: true,
                }))
            }
        };
        RunRecord {
            claim: item.claim.clone(),
            result,
            faults,
            cpu_us: 1,
            calls: RunCalls {
                unprocessed: Some(Digest::of(&item.unprocessed)),
                made: current,
                total: 1,
            },
        }
    }

    /// Runs one claimed entity.
    pub async fn run(&self, item: &Claimed, ends: Ends) -> Recorded {
        let record = self.record_of(item, ends, Vec::new()).await;
        self.world.storage.record(vec![record]).await.unwrap()[0]
    }

    /// Runs until nothing is due, skipping what is remembered as a worker does; answers the refs that ran.
    pub async fn run_all(&self, ends: impl Fn(&Claimed) -> Ends) -> Vec<String> {
        let mut ran = Vec::new();
        loop {
            let claimed = self.claim().await;
            if claimed.is_empty() {
                return ran;
            }
            for item in claimed {
                let mut record = self.record_of(&item, ends(&item), Vec::new()).await;
                let memo = match &record.result {
                    RunResult::Succeeded(success) => Some(success.memo),
                    RunResult::Rejected(failure) => failure.memo,
                    _ => None,
                };
                if item.memo.is_some() && item.memo == memo {
                    record.result = RunResult::Skipped { due: None };
                    record.faults = Vec::new();
                    record.calls = RunCalls::default();
                } else {
                    ran.push(item.entity_ref.to_string());
                }
                self.world.storage.record(vec![record]).await.unwrap();
            }
        }
    }

    /// The newest activation.
    pub async fn newest(&self) -> Activation {
        self.activations().await.remove(0)
    }

    /// All of them, newest first.
    pub async fn activations(&self) -> Vec<Activation> {
        self.world
            .storage
            .list_activations(self.world.tenant, &self.name, 100)
            .await
            .unwrap()
    }

    /// The current revision, and whether it is held.
    pub async fn current(&self) -> (Option<u32>, bool) {
        let found = self
            .world
            .storage
            .find_processor(self.world.tenant, &self.name)
            .await
            .unwrap()
            .unwrap();
        (found.current, found.held)
    }
}

fn fault_of(
    name: &ProcessorName,
    item: &Claimed,
    fault: &str,
    made: Option<&CallsMade>,
    clock: &TestClock,
) -> FaultRecord {
    FaultRecord {
        id: format!("{}-{}", item.claim.uid.as_str(), item.claim.claim_no),
        at: clock.now(),
        processor: name.clone(),
        revision: made.map_or(Digest::of("none"), |made| made.revision),
        stage: Stage::PreProcess,
        entity_ref: item.entity_ref.clone(),
        fault: fault.to_owned(),
        message: super::HOSTILE_TEXT.to_owned(),
        fuel: 1,
        peak_memory_bytes: 1,
        cpu_us: 1,
        backtrace: "[]".into(),
        log: "{}".into(),
        request: None,
    }
}
