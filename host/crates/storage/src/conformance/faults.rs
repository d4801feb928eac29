//! Faults, which recording a run keeps.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{World, claim_only, entity_ref, worker};
use super::{HOSTILE_TEXT, TestClock, processor_name, tenant};
use crate::{Claimed, FaultRecord, RunCalls, RunRecord, RunResult, Storage};
use greenroom_model::{Clock, Digest, Stage, Timestamp};

/// Neither a list nor a look-up is an error where there is nothing.
pub async fn a_processor_without_faults_has_none(storage: &dyn Storage, _clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("p");
    assert!(
        storage
            .list_faults(tenant, &name, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        storage
            .find_fault(tenant, &name, HOSTILE_TEXT)
            .await
            .unwrap()
            .is_none()
    );
}

fn fault(id: usize, processor: &str, at: Timestamp) -> FaultRecord {
    FaultRecord {
        id: id.to_string(),
        at,
        processor: processor_name(processor),
        revision: Digest::of("revision"),
        stage: Stage::PostProcess,
        entity_ref: entity_ref("component:default/a"),
        fault: "out-of-fuel".into(),
        message: HOSTILE_TEXT.into(),
        fuel: u64::MAX,
        peak_memory_bytes: 64 << 20,
        cpu_us: 5,
        backtrace: "[]".into(),
        log: HOSTILE_TEXT.into(),
        request: Some(HOSTILE_TEXT.into()),
    }
}

fn run_with(claimed: &Claimed, faults: Vec<FaultRecord>) -> RunRecord {
    RunRecord {
        claim: claimed.claim.clone(),
        result: RunResult::Skipped { due: None },
        faults,
        cpu_us: 0,
        calls: RunCalls::default(),
    }
}

/// Newest first and without requests in a list; the last 100 of each processor, for 30 days; none of a lost claim.
pub async fn recorded_faults_are_kept_to_be_read_and_replayed(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    let claimed = claim_only(storage, &worker("w"), "component:default/a").await;
    let mut faults: Vec<_> = (0..130).map(|id| fault(id, "p", clock.now())).collect();
    faults.push(fault(0, "q", clock.now()));
    storage
        .record(vec![run_with(&claimed, faults)])
        .await
        .unwrap();
    let lost = run_with(&claimed, vec![fault(1000, "p", clock.now())]);
    storage.record(vec![lost]).await.unwrap();

    let (p, q) = (processor_name("p"), processor_name("q"));
    let kept = storage.list_faults(world.tenant, &p, 1000).await.unwrap();
    assert_eq!(kept.len(), 100);
    assert_eq!((kept[0].id.as_str(), kept[99].id.as_str()), ("129", "30"));
    assert_eq!(kept[0].request, None);
    assert_eq!(
        storage
            .list_faults(world.tenant, &p, 3)
            .await
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        storage
            .list_faults(world.tenant, &q, 3)
            .await
            .unwrap()
            .len(),
        1
    );
    let found = storage
        .find_fault(world.tenant, &p, "129")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.request.as_deref(), Some(HOSTILE_TEXT));
    assert_eq!(found.message, HOSTILE_TEXT);
    assert_eq!(found.stage, Stage::PostProcess);
    assert_eq!(found.at, clock.now());
    assert!(
        storage
            .find_fault(world.tenant, &p, "29")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        storage
            .find_fault(world.tenant, &q, "129")
            .await
            .unwrap()
            .is_none()
    );
    let other = tenant(storage, "other").await;
    assert!(
        storage
            .find_fault(other, &p, "129")
            .await
            .unwrap()
            .is_none()
    );

    clock.advance(31 * 86_400_000);
    storage.sweep().await.unwrap();
    assert!(
        storage
            .list_faults(world.tenant, &p, 3)
            .await
            .unwrap()
            .is_empty()
    );
}

/// Never the newest one's, however large, and never the fault itself.
pub async fn q08_large_requests_push_older_requests_out(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    let claimed = claim_only(storage, &worker("w"), "component:default/a").await;
    let faults = (0..4).map(|id| FaultRecord {
        request: Some("x".repeat(if id == 3 { 40 << 20 } else { 20 << 20 })),
        ..fault(id, "p", clock.now())
    });
    let record = run_with(&claimed, faults.collect());
    storage.record(vec![record]).await.unwrap();
    let p = processor_name("p");
    assert_eq!(
        storage
            .list_faults(world.tenant, &p, 9)
            .await
            .unwrap()
            .len(),
        4
    );
    for (id, kept) in [("0", false), ("1", false), ("2", true), ("3", true)] {
        let found = storage.find_fault(world.tenant, &p, id).await.unwrap();
        assert_eq!(found.unwrap().request.is_some(), kept, "{id}");
    }
}
