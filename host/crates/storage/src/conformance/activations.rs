//! Activations: what waits for a canary, what a regression is and what is none, and what a quarantine does.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{claim_all, entity_ref, worker};
use super::trial::{Ends, Trial};
use super::{TestClock, processor_name};
use crate::{
    ActivationState, CANARY_MS, Lane, ProcessorSettings, QuarantineMode, ReadKey, Recorded,
    Storage, TracedRead,
};
use greenroom_model::{Clock, Digest, ProcessorName, Stage};
use serde_json::json;

const TRAP: Ends = Ends::With("trap");

/// It is current at once; only the canary runs; when that has ended well, everything is queued.
pub async fn the_requeue_of_the_rest_waits_for_the_canary(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 60).await;
    let revision = trial.revision("one").await;
    trial.activate(revision).await;
    assert_eq!(trial.current().await, (Some(1), false));
    assert!(trial.claim().await.is_empty(), "nothing before the canary");
    let chosen = trial.start_canary(50).await;
    // Whatever else asks for the whole tenant waits as well, and is not lost.
    storage.enqueue_all(trial.world.tenant).await.unwrap();
    let claimed = trial.claim().await;
    let mut uids: Vec<_> = claimed.iter().map(|one| one.claim.uid.clone()).collect();
    uids.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    assert_eq!(uids, chosen);
    assert!(
        claimed
            .iter()
            .all(|item| item.lane == Lane::Changed && item.memo.is_none())
    );
    for item in &claimed[1..] {
        trial.run(item, Ends::Well).await;
    }
    let activation = trial.newest().await;
    assert_eq!(activation.state, ActivationState::Canary);
    assert_eq!((activation.matching, activation.processed), (50, 49));
    assert!(
        trial.claim().await.is_empty(),
        "the rest waits for the last"
    );
    trial.run(&claimed[0], Ends::Well).await;
    assert_eq!(trial.newest().await.state, ActivationState::Passed);
    let rest = trial.claim().await;
    assert_eq!(rest.len(), 60);
    assert!(rest.iter().all(|item| item.lane == Lane::Bulk));
}

/// Also entities with an equal memo are called, or nothing would be tried; ten minutes end it whatever is left.
pub async fn a_canary_runs_what_is_remembered_and_ends_after_ten_minutes(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 5).await;
    let revision = trial.revision("one").await;
    trial.activate(revision).await;
    clock.advance(CANARY_MS);
    assert_eq!(
        storage.end_canaries().await.unwrap(),
        0,
        "its time begins when its entities are known"
    );
    trial.start_canary(50).await;
    let claimed = trial.claim().await;
    assert_eq!(claimed.len(), 5);
    trial.run(&claimed[0], Ends::Well).await;
    clock.advance(CANARY_MS - 1);
    assert_eq!(storage.end_canaries().await.unwrap(), 0);
    clock.advance(1);
    assert_eq!(storage.end_canaries().await.unwrap(), 1);
    let activation = trial.newest().await;
    assert_eq!(activation.state, ActivationState::Passed);
    assert_eq!((activation.matching, activation.processed), (5, 1));
    assert_eq!(activation.ends_at, Some(clock.now()));
}

/// Or the rest of the tenant would wait ten minutes for somebody who deleted an entity.
pub async fn a_canary_does_not_wait_for_entities_that_are_gone(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 8).await;
    let revision = trial.revision("one").await;
    trial.activate(revision).await;
    trial.start_canary(5).await;
    let claimed = trial.claim().await;
    let (gone, rest) = claimed.split_at(2);
    for item in &rest[1..] {
        trial.run(item, Ends::Well).await;
    }
    for item in gone {
        let deleted = storage.delete_entity(trial.world.tenant, &item.claim.uid);
        assert_eq!(deleted.await.unwrap().entities, 1);
    }
    assert_eq!(storage.end_canaries().await.unwrap(), 0, "one still runs");
    trial.run(&rest[0], Ends::Well).await;
    assert_eq!(storage.end_canaries().await.unwrap(), 1);
    let activation = trial.newest().await;
    assert_eq!(activation.state, ActivationState::Passed);
    assert_eq!((activation.matching, activation.processed), (5, 3));
    assert_eq!(trial.claim().await.len(), 6, "the others are queued");
}

/// The requeue is at once then.
pub async fn going_back_to_a_revision_that_passed_has_no_canary(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 8).await;
    let one = trial.pass("one", 50).await;
    trial.pass("two", 50).await;
    trial.activate(one).await;
    let activation = trial.newest().await;
    assert_eq!(activation.state, ActivationState::Passed);
    assert_eq!((activation.ends_at, activation.matching), (None, 0));
    assert!(storage.unpicked_canaries().await.unwrap().is_empty());
    let claimed = trial.claim().await;
    assert_eq!(claimed.len(), 8);
    assert!(claimed.iter().all(|item| item.lane == Lane::Bulk));
}

/// A revision that faults on every call does not escape; what was good stays, the one before runs what faulted.
pub async fn c24_ten_regressions_of_a_canary_quarantine(storage: &dyn Storage, clock: &TestClock) {
    let trial = Trial::new(storage, clock, 60).await;
    let good = trial.pass("good", 50).await;
    let bad = trial.revision("bad").await;
    trial.activate(bad).await;
    trial.start_canary(50).await;
    let claimed = trial.claim().await;
    for item in &claimed[..9] {
        trial.run(item, TRAP).await;
    }
    // One entity that faults again is one entity.
    storage
        .redrive(trial.world.tenant, &claimed[0].entity_ref)
        .await
        .unwrap();
    let again = trial.claim().await;
    trial.run(&again[0], TRAP).await;
    assert_eq!(trial.newest().await.regressions.len(), 9);
    assert_eq!(trial.current().await, (Some(bad), false));
    trial.run(&claimed[9], TRAP).await;
    assert_eq!(trial.current().await, (Some(good), false));

    let shown = storage
        .find_activation(trial.world.tenant, &trial.name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (shown.revision, shown.state),
        (bad, ActivationState::Quarantined)
    );
    assert_eq!(
        (shown.returned_to, shown.regressions.len()),
        (Some(good), 10)
    );
    let alarm = shown.alarm.unwrap();
    assert_eq!(
        alarm.reason,
        "10 of the 50 entities of its canary regressed"
    );
    assert_eq!(shown.regressions[0].fault, "trap");
    let all = trial.activations().await;
    assert!(all[0].automatic && all[0].revision == good);
    assert_eq!(all[0].state, ActivationState::Passed, "it has no canary");
    let audit = storage
        .list_audit(Some(trial.world.tenant), 10)
        .await
        .unwrap();
    assert_eq!(audit[0].action, "quarantine_revision");
    assert_eq!(
        (audit[0].actor.as_str(), audit[0].subject.as_str()),
        ("greenroom", "p")
    );

    // What had faulted for good is run again, first and without being asked.
    let next = trial.claim().await;
    let first: Vec<_> = next
        .iter()
        .filter(|item| item.lane == Lane::Changed)
        .map(|item| item.entity_ref.clone())
        .collect();
    assert!(
        claimed[..10]
            .iter()
            .all(|item| first.contains(&item.entity_ref))
    );
    for item in next.iter().chain(&claimed[10..]) {
        trial.run(item, Ends::Well).await;
    }
    trial.run_all(|_| Ends::Well).await;
    // Reversible: activating it again starts over.
    trial.activate(bad).await;
    assert_eq!(trial.newest().await.state, ActivationState::Canary);
    assert!(trial.newest().await.regressions.is_empty());
}

/// The revision gone back to may not take what the quarantined one needed. A superseded canary's counts as well; what a
/// person configured since stays.
pub async fn c24_a_quarantine_takes_back_the_configuration_that_came_with_the_revision(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 4).await;
    let tenant = trial.world.tenant;
    let configured = async || {
        let found = storage.find_processor(tenant, &trial.name).await.unwrap();
        found.unwrap().settings
    };
    let bring = async |revision: u32, config: serde_json::Value| {
        let name = &trial.name;
        let activated = storage.activate_revision_with_config(tenant, name, revision, config);
        assert!(activated.await.unwrap());
    };
    let good = trial.pass("good", 50).await;
    bring(good, json!({"for": "good"})).await;
    trial.run_all(|_| Ends::Well).await;

    let open = trial.revision("open").await;
    bring(open, json!({"for": "open"})).await;
    let bad = trial.revision("bad").await;
    bring(bad, json!({"for": "bad"})).await;
    trial.start_canary(50).await;
    trial.run_all(|_| TRAP).await;
    assert_eq!(trial.current().await, (Some(good), false));
    assert_eq!(configured().await.config, Some(json!({"for": "good"})));
    let audit = storage.list_audit(Some(tenant), 10).await.unwrap();
    let after = audit[0].after.as_deref().unwrap();
    assert!(after.contains(r#""configTakenBack":true"#), "{after}");

    let worse = trial.revision("worse").await;
    trial.run_all(|_| Ends::Well).await;
    bring(worse, json!({"for": "worse"})).await;
    let mut settings = configured().await;
    settings.config = Some(json!({"by": "hand"}));
    storage
        .put_processor_settings(tenant, &trial.name, settings)
        .await
        .unwrap();
    trial.start_canary(50).await;
    trial.run_all(|_| TRAP).await;
    assert_eq!(trial.current().await.0, Some(good));
    assert_eq!(configured().await.config, Some(json!({"by": "hand"})));
}

/// Of three, two.
pub async fn half_of_a_small_canary_quarantines(storage: &dyn Storage, clock: &TestClock) {
    let trial = Trial::new(storage, clock, 3).await;
    let revision = trial.revision("bad").await;
    trial.activate(revision).await;
    trial.start_canary(50).await;
    let claimed = trial.claim().await;
    trial.run(&claimed[0], TRAP).await;
    assert_eq!(trial.newest().await.state, ActivationState::Canary);
    trial.run(&claimed[1], Ends::With("host-crash")).await;
    assert_eq!(trial.newest().await.state, ActivationState::Quarantined);
}

/// The revision returned to regresses too: it is not called, and what it made stays as it is.
pub async fn a_quarantine_returns_once_and_then_holds(storage: &dyn Storage, clock: &TestClock) {
    let trial = Trial::new(storage, clock, 30).await;
    trial.pass("older", 50).await;
    let good = trial.pass("good", 50).await;
    let bad = trial.revision("bad").await;
    trial.activate(bad).await;
    trial.start_canary(50).await;
    trial.run_all(|_| TRAP).await;
    // The settings are at fault, say: twenty regress under the one returned to as well.
    let (current, held) = trial.current().await;
    assert_eq!((current, held), (Some(good), true));
    let activations = trial.activations().await;
    assert_eq!(activations[0].state, ActivationState::Quarantined);
    assert_eq!(activations[0].returned_to, None);
    assert_eq!(activations[1].state, ActivationState::Quarantined);
    let shown = storage
        .find_activation(trial.world.tenant, &trial.name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(shown.revision, good, "the one that matters now");
    let stored = storage.pipeline(trial.world.tenant).await.unwrap();
    assert!(stored.processors[0].0.held);
    // A person ends it.
    let fixed = trial.revision("fixed").await;
    trial.activate(fixed).await;
    assert_eq!(trial.current().await, (Some(fixed), false));
}

/// What was good was made without it.
pub async fn a_processor_that_never_passed_is_taken_out(storage: &dyn Storage, clock: &TestClock) {
    let trial = Trial::new(storage, clock, 30).await;
    let revision = trial.revision("bad").await;
    trial.activate(revision).await;
    trial.start_canary(50).await;
    let mut faults = 0;
    for item in trial.claim().await {
        if trial.current().await.0.is_some() {
            faults += 1;
            trial.run(&item, TRAP).await;
        } else {
            storage.release(&[item.claim]).await.unwrap();
        }
    }
    assert_eq!(faults, 10);
    assert_eq!(trial.current().await, (None, false));
    assert_eq!(trial.newest().await.returned_to, None);
    assert!(
        storage
            .pipeline(trial.world.tenant)
            .await
            .unwrap()
            .processors
            .is_empty()
    );
    let ran = trial.run_all(|_| Ends::Well).await;
    assert!(ran.len() >= 10, "what had faulted runs without it: {ran:?}");
}

async fn change_and_fault(trial: &Trial<'_>, entities: usize) {
    trial.give(entities, "poison").await;
    let ran = trial.run_all(|_| TRAP).await;
    assert_eq!(ran.len(), entities);
}

/// An author of entities cannot trigger it: not in a canary, not later, not with all the calls there are.
pub async fn c23_changed_bytes_are_no_regression(storage: &dyn Storage, clock: &TestClock) {
    let trial = Trial::new(storage, clock, 25).await;
    let one = trial.pass("one", 50).await;
    change_and_fault(&trial, 25).await;
    assert_eq!(trial.current().await, (Some(one), false));
    trial.give(25, "bytes").await;
    trial.run_all(|_| Ends::Well).await;
    let two = trial.revision("two").await;
    trial.activate(two).await;
    trial.start_canary(50).await;
    change_and_fault(&trial, 25).await;
    assert_eq!(trial.current().await, (Some(two), false));
    let activation = trial.newest().await;
    assert_eq!(activation.state, ActivationState::Passed);
    assert!(activation.regressions.is_empty());
    // Back to what was good: if that faults now, it is the revision's.
    trial.give(25, "bytes").await;
    trial.run_all(|_| TRAP).await;
    assert_eq!(trial.current().await.0, Some(one));
}

/// Neither by what the entity's documents say.
pub async fn c23_changed_documents_are_no_regression(storage: &dyn Storage, clock: &TestClock) {
    let trial = Trial::new(storage, clock, 25).await;
    let read = |name: &ProcessorName, digest: &str| {
        vec![TracedRead {
            stage: Stage::PreProcess,
            processor: name.clone(),
            key: ReadKey {
                credential: String::new(),
                want: "get https://h/doc".into(),
            },
            digest: Digest::of(digest),
        }]
    };
    let one = trial.revision("one").await;
    trial.activate(one).await;
    trial.start_canary(50).await;
    let run_with = async |digest: &str, ends: Ends| {
        storage.enqueue_all(trial.world.tenant).await.unwrap();
        for item in trial.claim().await {
            let record = trial
                .record_of(&item, ends, read(&trial.name, digest))
                .await;
            storage.record(vec![record]).await.unwrap();
        }
    };
    run_with("good", Ends::Well).await;
    assert_eq!(trial.newest().await.state, ActivationState::Passed);
    run_with("good", Ends::Well).await;
    run_with("poison", TRAP).await;
    // Also where it is tried again and again.
    run_with("poison", TRAP).await;
    assert_eq!(trial.current().await, (Some(one), false));
    assert!(trial.newest().await.regressions.is_empty());
    // The document as it was, or one that was not read: the revision's own.
    run_with("good", TRAP).await;
    assert_eq!(trial.newest().await.state, ActivationState::Quarantined);
}

/// New entities and such as fault under every revision.
pub async fn bytes_that_never_were_good_are_poison_and_no_regression(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 2).await;
    let one = trial.pass("one", 50).await;
    trial.give(60, "bytes").await;
    trial.run_all(|_| TRAP).await;
    assert_eq!(trial.current().await, (Some(one), false));
    let two = trial.revision("two").await;
    trial.activate(two).await;
    let candidates = storage
        .canary_candidates(trial.world.tenant, None, 100)
        .await
        .unwrap();
    assert_eq!(
        candidates.len(),
        2,
        "only what had a good result can regress"
    );
    trial.start_canary(50).await;
    storage.enqueue_all(trial.world.tenant).await.unwrap();
    let good = [entity_ref("component:c0"), entity_ref("component:c1")];
    trial
        .run_all(|item| match good.contains(&item.entity_ref) {
            true => Ends::Well,
            false => TRAP,
        })
        .await;
    assert_eq!(trial.current().await, (Some(two), false));
    assert_eq!(trial.newest().await.state, ActivationState::Passed);
}

/// They are a processor doing its work.
pub async fn rejected_and_denied_are_no_regression(storage: &dyn Storage, clock: &TestClock) {
    let trial = Trial::new(storage, clock, 30).await;
    let revision = trial.revision("strict").await;
    trial.activate(revision).await;
    trial.start_canary(50).await;
    let half = entity_ref("component:c15");
    trial
        .run_all(|item| match item.entity_ref.as_str() < half.as_str() {
            true => Ends::With("rejected"),
            false => Ends::With("denied"),
        })
        .await;
    assert_eq!(trial.current().await, (Some(revision), false));
    let activation = trial.newest().await;
    assert_eq!(activation.state, ActivationState::Passed);
    assert!(activation.regressions.is_empty());
}

async fn rerun(trial: &Trial<'_>, entities: std::ops::Range<usize>, ends: Ends) {
    for number in entities {
        let entity_ref = entity_ref(&format!("component:c{number}"));
        let found = trial.world.storage.redrive(trial.world.tenant, &entity_ref);
        assert!(found.await.unwrap());
    }
    for item in trial.claim().await {
        trial.run(&item, ends).await;
    }
}

/// Neither number alone is enough, and both are of ten minutes.
pub async fn later_twenty_in_ten_minutes_and_half_of_all_calls(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 100).await;
    let one = trial.pass("one", 50).await;
    let two = trial.pass("two", 50).await;
    clock.advance(2 * CANARY_MS);
    // Nineteen of nineteen calls.
    rerun(&trial, 0..19, TRAP).await;
    assert_eq!(trial.current().await.0, Some(two));
    // The twentieth comes ten minutes after the first.
    clock.advance(CANARY_MS + 60_000);
    rerun(&trial, 19..20, TRAP).await;
    assert_eq!(trial.current().await.0, Some(two));
    // Twenty-nine in ten minutes, but of many more calls.
    rerun(&trial, 30..100, Ends::Well).await;
    rerun(&trial, 0..28, TRAP).await;
    assert_eq!(trial.current().await.0, Some(two));
    assert!(trial.newest().await.regressions.len() >= 20);
    // The good calls are past; twenty regressions in the last ten minutes are not.
    clock.advance(CANARY_MS + 60_000);
    rerun(&trial, 0..20, TRAP).await;
    assert_eq!(trial.current().await, (Some(one), false));
    let shown = trial.activations().await.remove(1);
    let reason = shown.alarm.unwrap().reason;
    assert_eq!(
        reason,
        "20 entities regressed within 10 minutes, and 20 of 20 calls faulted"
    );
}

/// A run in flight when it is activated neither ends its canary nor harms it.
pub async fn what_ran_under_another_revision_counts_for_nothing(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 30).await;
    trial.pass("one", 50).await;
    let two = trial.revision("two").await;
    storage.enqueue_all(trial.world.tenant).await.unwrap();
    let in_flight = trial.claim().await;
    let mut records = Vec::new();
    for item in &in_flight {
        records.push(trial.record_of(item, TRAP, Vec::new()).await);
    }
    trial.activate(two).await;
    trial.start_canary(50).await;
    let recorded = storage.record(records).await.unwrap();
    assert!(recorded.iter().all(|one| *one == Recorded::Applied));
    let activation = trial.newest().await;
    assert_eq!(activation.state, ActivationState::Canary);
    assert_eq!((activation.processed, activation.regressions.len()), (0, 0));
    // They run again, under it: the activation had queued them while they were held.
    assert_eq!(trial.claim().await.len(), 30);
}

/// A worker that was given up for dead adds nothing to what its successor counts.
pub async fn a_lost_claim_counts_for_nothing(storage: &dyn Storage, clock: &TestClock) {
    let trial = Trial::new(storage, clock, 19).await;
    let revision = trial.revision("one").await;
    trial.activate(revision).await;
    trial.start_canary(50).await;
    let lost = trial.claim().await;
    let mut records = Vec::new();
    for item in &lost {
        records.push(trial.record_of(item, TRAP, Vec::new()).await);
    }
    storage.expire_worker(&worker("w")).await.unwrap();
    let again = claim_all(storage, &worker("x")).await;
    let recorded = storage.record(records).await.unwrap();
    assert!(recorded.iter().all(|one| *one == Recorded::LostClaim));
    assert_eq!(trial.newest().await.processed, 0);
    // Nine of nineteen, exactly: one less than half.
    for (place, item) in again.iter().enumerate() {
        let ends = if place < 9 { TRAP } else { Ends::Well };
        trial.run(item, ends).await;
    }
    let activation = trial.newest().await;
    assert_eq!(activation.state, ActivationState::Passed);
    assert_eq!(
        (activation.processed, activation.regressions.len()),
        (19, 9)
    );
}

/// A new revision of `q` makes `p` fault: what is new is the cause.
pub async fn a_regression_of_a_canary_is_not_its_neighbours(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 60).await;
    let healthy = trial.pass("healthy", 50).await;
    clock.advance(2 * CANARY_MS);
    let q = processor_name("q");
    let tenant = trial.world.tenant;
    storage.create_processor(tenant, &q).await.unwrap();
    let number = trial.revision_of(&q, "q1").await;
    storage.activate_revision(tenant, &q, number).await.unwrap();
    trial.start_canary(50).await;
    let mut in_flight = Vec::new();
    for item in trial.claim().await {
        // The faults are those of `p`.
        in_flight.push(trial.record_of(&item, TRAP, Vec::new()).await);
    }
    // Also those that are recorded when `q` is out already.
    for record in in_flight {
        storage.record(vec![record]).await.unwrap();
    }
    assert_eq!(trial.current().await, (Some(healthy), false));
    let of_q = storage.list_activations(tenant, &q, 1).await.unwrap();
    assert_eq!(of_q[0].state, ActivationState::Quarantined);
    let found = storage.find_processor(tenant, &q).await.unwrap().unwrap();
    assert_eq!(found.current, None);
}

async fn set(trial: &Trial<'_>, settings: ProcessorSettings) {
    let put = trial
        .world
        .storage
        .put_processor_settings(trial.world.tenant, &trial.name, settings);
    assert!(put.await.unwrap());
}

/// It stays current and is not remembered as passed; automatic again, it is quarantined.
pub async fn c24_manual_quarantine_only_tells(storage: &dyn Storage, clock: &TestClock) {
    let trial = Trial::new(storage, clock, 30).await;
    let good = trial.pass("good", 50).await;
    let manual = ProcessorSettings {
        quarantine: QuarantineMode::Manual,
        ..ProcessorSettings::default()
    };
    set(&trial, manual).await;
    trial.run_all(|_| Ends::Well).await;
    let bad = trial.revision("bad").await;
    trial.activate(bad).await;
    trial.start_canary(50).await;
    trial.run_all(|_| TRAP).await;
    assert_eq!(trial.current().await, (Some(bad), false));
    let activation = trial.newest().await;
    assert_eq!(activation.state, ActivationState::Alarmed);
    assert!(activation.alarm.is_some());
    let audit = storage
        .list_audit(Some(trial.world.tenant), 1)
        .await
        .unwrap();
    assert_eq!(audit[0].action, "alarm_revision");
    set(&trial, ProcessorSettings::default()).await;
    assert_eq!(trial.current().await, (Some(good), false));
    assert_eq!(
        trial.activations().await[1].state,
        ActivationState::Quarantined
    );
}

/// No canary ends by its time because nothing was called.
pub async fn a_canary_ends_with_the_next_activation_or_when_disabled(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 5).await;
    for bytes in ["one", "two"] {
        trial.revision(bytes).await;
    }
    trial.activate(1).await;
    let stale = storage.unpicked_canaries().await.unwrap().remove(0);
    trial.activate(2).await;
    assert_eq!(
        trial.activations().await[1].state,
        ActivationState::Superseded
    );
    assert!(!storage.start_canary(&stale, &[]).await.unwrap());
    trial.start_canary(50).await;
    let off = ProcessorSettings {
        enabled: false,
        ..ProcessorSettings::default()
    };
    set(&trial, off).await;
    assert_eq!(trial.newest().await.state, ActivationState::Superseded);
    clock.advance(2 * CANARY_MS);
    assert_eq!(storage.end_canaries().await.unwrap(), 0);
    trial.run_all(|_| Ends::Well).await;
    set(&trial, ProcessorSettings::default()).await;
    assert_eq!(trial.newest().await.state, ActivationState::Canary);
    assert_eq!(trial.newest().await.revision, 2);
    trial.start_canary(50).await;
    trial.run_all(|_| Ends::Well).await;
    assert_eq!(trial.newest().await.state, ActivationState::Passed);
    // Once it has passed, disabling and enabling is no trial.
    for enabled in [false, true] {
        let settings = ProcessorSettings {
            enabled,
            ..ProcessorSettings::default()
        };
        set(&trial, settings).await;
    }
    assert_eq!(trial.activations().await.len(), 3);
}

/// The newest hundred stay.
pub async fn activations_are_forgotten_in_order_and_with_their_processor(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 1).await;
    let one = trial.pass("one", 50).await;
    let two = trial.pass("two", 50).await;
    for turn in 0..120 {
        trial.activate(if turn % 2 == 0 { one } else { two }).await;
    }
    let kept = trial.activations().await;
    assert_eq!(kept.len(), 100);
    assert_eq!((kept[0].number, kept[99].number), (122, 23));
    // However often it was activated, an entity is queued once.
    assert_eq!(storage.queue_depth().await.unwrap(), [(Lane::Bulk, 1)]);
    storage
        .delete_processor(trial.world.tenant, &trial.name)
        .await
        .unwrap();
    assert!(trial.activations().await.is_empty());
    let other = super::tenant(storage, "other").await;
    assert!(
        storage
            .list_activations(other, &trial.name, 5)
            .await
            .unwrap()
            .is_empty()
    );
}
