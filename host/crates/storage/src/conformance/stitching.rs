//! The stitch queue: tickets, leases, tenants.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::TestClock;
use super::queue::{
    World, claim_all, claim_only, entity_ref, provide, provided, record, run_record, succeed,
    success, worker,
};
use crate::{
    ChangeKind, Claimed, Failure, FinalEntity, NEIGHBOURS_WAIT_MS, RunResult, StitchInput,
    Stitched, Storage,
};
use greenroom_model::{Diagnostic, Relation};

fn changed(input: StitchInput, body: &str) -> (StitchInput, Stitched) {
    let entity = FinalEntity {
        uid: input.uid.clone().unwrap(),
        entity_ref: input.entity_ref.clone(),
        etag: body.to_owned(),
        body: body.into(),
    };
    (input, Stitched::Changed(entity))
}

/// What was assembled from old inputs is not served, and the ref is due at once.
pub async fn a_result_under_an_old_ticket_is_dropped(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    let item = claim_only(storage, &worker("w"), "component:default/a").await;
    succeed(storage, &item, success(&item, Vec::new())).await;
    clock.advance(300);
    let old = storage.claim_stitches(10).await.unwrap().remove(0);
    assert_eq!(old.waited_ms, 300);
    assert!(storage.claim_stitches(10).await.unwrap().is_empty());
    provide(
        storage,
        world.tenant,
        "p",
        vec![provided("component:a", "2", None)],
    )
    .await;
    let item = claim_only(storage, &worker("w"), "component:default/a").await;
    succeed(storage, &item, success(&item, Vec::new())).await;
    assert_eq!(
        storage
            .record_stitches(vec![changed(old, "old")])
            .await
            .unwrap(),
        0
    );
    assert!(world.served("component:a").await.is_none());
    let new = storage.claim_stitches(10).await.unwrap().remove(0);
    assert_eq!(new.processed.as_deref(), Some("processed 2"));
    assert_eq!(
        storage
            .record_stitches(vec![changed(new, "new")])
            .await
            .unwrap(),
        1
    );
    assert_eq!(&*world.served("component:a").await.unwrap().body, "new");
    assert_eq!(storage.stitch_queue_length().await.unwrap(), 0);
}

/// A stitcher that died holds a ref for 30 s.
pub async fn a_lost_claim_comes_back_after_its_time(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    let item = claim_only(storage, &worker("w"), "component:default/a").await;
    succeed(storage, &item, success(&item, Vec::new())).await;
    assert_eq!(storage.claim_stitches(10).await.unwrap().len(), 1);
    clock.advance(29_999);
    assert!(storage.claim_stitches(10).await.unwrap().is_empty());
    clock.advance(1);
    let input = storage.claim_stitches(10).await.unwrap().remove(0);
    storage
        .record_stitches(vec![(input, Stitched::Unchanged)])
        .await
        .unwrap();
    assert_eq!(storage.stitch_queue_length().await.unwrap(), 0);
}

/// A group is stitched once for many of its members, which are stitched at once; what it says of itself waits for nobody, nor do
/// neighbours of a run that is recorded with many of another tenant.
pub async fn neighbours_of_many_runs_are_stitched_together(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    const MEMBERS: usize = 20;
    let world = World::new(storage, clock).await;
    let refs: Vec<String> = (0..MEMBERS)
        .map(|number| format!("component:default/c{number}"))
        .chain(["group:default/g".to_owned()])
        .collect();
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    world.provide("p", &refs).await;
    let (group, members): (Vec<_>, Vec<_>) = claim_all(storage, &worker("w"))
        .await
        .into_iter()
        .partition(|claimed| claimed.entity_ref.as_str() == "group:default/g");
    let run = |claimed: &Claimed| {
        let mut done = success(claimed, Vec::new());
        if claimed.entity_ref.as_str() != "group:default/g" {
            done.relations = vec![Relation {
                source: entity_ref("group:g"),
                r#type: "ownerOf".to_owned(),
                target: claimed.entity_ref.clone(),
            }];
        }
        run_record(claimed, RunResult::Succeeded(Box::new(done)))
    };
    let other = World::named(storage, clock, "other").await;
    other.provide("p", &["component:default/alone"]).await;
    let alone = claim_only(storage, &worker("w"), "component:default/alone").await;
    let runs = members.iter().chain([&alone]).map(run);
    storage.record(runs.collect()).await.unwrap();
    let mut of_tenants = Vec::new();
    for _ in 0..2 {
        of_tenants.push(storage.claim_stitches(100).await.unwrap());
    }
    let (others, at_once): (Vec<_>, Vec<_>) = of_tenants
        .into_iter()
        .flatten()
        .partition(|one| one.tenant == other.tenant);
    assert_eq!(others.len(), 2, "itself and its group");
    let unregistered = others.iter().find(|one| one.processed.is_none()).unwrap();
    assert_eq!(unregistered.entity_ref.as_str(), "group:default/g");
    assert!(unregistered.relations.is_empty(), "nothing is made of them");
    assert_eq!(at_once.len(), MEMBERS, "each member and nobody else");
    clock.advance(NEIGHBOURS_WAIT_MS - 1);
    assert!(storage.claim_stitches(100).await.unwrap().is_empty());

    // Its own run does not wait for what it is to its members.
    storage.record(vec![run(&group[0])]).await.unwrap();
    let own = storage.claim_stitches(100).await.unwrap();
    assert_eq!((own.len(), own[0].relations.len()), (1, MEMBERS));

    // One more run of a member, alone: there is nothing to wait for.
    for inputs in [others, at_once.into_iter().chain(own).collect()] {
        let results = inputs.into_iter().map(|input| (input, Stitched::Unchanged));
        storage.record_stitches(results.collect()).await.unwrap();
    }
    let member = entity_ref("component:c0");
    assert!(storage.redrive(world.tenant, &member).await.unwrap());
    let claimed = claim_only(storage, &worker("w"), "component:default/c0").await;
    succeed(storage, &claimed, success(&claimed, Vec::new())).await;
    let lost = storage.claim_stitches(100).await.unwrap();
    let lost: Vec<&str> = lost.iter().map(|one| one.entity_ref.as_str()).collect();
    assert_eq!(lost, ["group:default/g"]);
}

/// Served, served anew, no longer served: each under its own number.
pub async fn a_change_says_with_which_etag_the_entity_was_served(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    for body in ["1", "2"] {
        provide(
            storage,
            world.tenant,
            "p",
            vec![provided("component:a", body, None)],
        )
        .await;
        let item = claim_only(storage, &worker("w"), "component:default/a").await;
        succeed(storage, &item, success(&item, Vec::new())).await;
        let input = storage.claim_stitches(10).await.unwrap().remove(0);
        storage
            .record_stitches(vec![changed(input, body)])
            .await
            .unwrap();
    }
    let uid = world.served("component:a").await.unwrap().uid;
    storage.delete_entity(world.tenant, &uid).await.unwrap();
    let changes = storage.changes_after(world.tenant, 0, 9).await.unwrap();
    let etags: Vec<_> = changes
        .unwrap()
        .into_iter()
        .map(|change| (change.seq, change.kind, change.etag))
        .collect();
    assert_eq!(
        etags,
        [
            (1, ChangeKind::Upsert, Some("1".to_owned())),
            (2, ChangeKind::Upsert, Some("2".to_owned())),
            (3, ChangeKind::Delete, None),
        ]
    );
}

/// Their changes are one tenant's log, taken last.
pub async fn a_batch_is_of_one_tenant(storage: &dyn Storage, _clock: &TestClock) {
    for name in ["a", "b"] {
        let tenant = super::tenant(storage, name).await;
        provide(
            storage,
            tenant,
            "p",
            vec![provided("component:x", "x", None)],
        )
        .await;
    }
    for item in claim_all(storage, &worker("w")).await {
        succeed(storage, &item, success(&item, Vec::new())).await;
    }
    assert_eq!(storage.stitch_queue_length().await.unwrap(), 2);
    let (first, second) = (
        storage.claim_stitches(10).await.unwrap(),
        storage.claim_stitches(10).await.unwrap(),
    );
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first[0].tenant, second[0].tenant);
    assert_eq!(storage.record_stitches(Vec::new()).await.unwrap(), 0);
}

/// Only where they changed; a ref that never succeeded has nothing to serve.
pub async fn diagnostics_reach_the_served_entity(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    let fail = |message: &str| {
        RunResult::Rejected(Box::new(Failure {
            diagnostics: vec![Diagnostic::error("Error", message)],
            memo: None,
            trace: Vec::new(),
            retry_at: None,
            dead_letter: false,
        }))
    };
    for (message, stitches) in [("1", 1), ("1", 0), ("2", 1)] {
        storage
            .redrive(world.tenant, &entity_ref("component:a"))
            .await
            .unwrap();
        let item = claim_only(storage, &worker("w"), "component:default/a").await;
        record(storage, &item, fail(message)).await;
        let inputs = storage.claim_stitches(10).await.unwrap();
        assert_eq!(inputs.len(), stitches);
        for input in inputs {
            assert_eq!(input.diagnostics[0].message, message);
            assert_eq!(input.processed, None);
            storage
                .record_stitches(vec![(input, Stitched::Abandoned)])
                .await
                .unwrap();
        }
    }
    assert!(world.log().await.is_empty());
}
