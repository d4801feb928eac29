//! What a recorded run leaves behind.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{
    World, child, claim_all, claim_only, entity_ref, record, refs, stitch, succeed, success, worker,
};
use super::{HOSTILE_TEXT, TestClock};
use crate::{
    Child, Claimed, Failure, Lane, NewLocation, ProcessingFilter, ProcessingStatus, ReadKey,
    Recorded, RunResult, Slots, Storage, StoredOutcome, StoredRead, TracedRead,
};
use greenroom_model::{Clock, Diagnostic, Digest, LocationRef, MAX_REF_BYTES, Relation, Stage};

fn failure(memo: Option<&str>) -> Failure {
    Failure {
        diagnostics: vec![Diagnostic::error("InputError", HOSTILE_TEXT)],
        memo: memo.map(Digest::of),
        trace: Vec::new(),
        retry_at: None,
        dead_letter: false,
    }
}

async fn fail(storage: &dyn Storage, item: &Claimed, failure: Failure) -> Recorded {
    record(storage, item, RunResult::Rejected(Box::new(failure))).await
}

/// Body, relations and children stay; the failure is told with the served entity.
pub async fn a_failure_keeps_the_last_good_state(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    world.emits("location:default/l", vec![child("component:a", "a", None)]);
    world.provide("p", &["location:default/l"]).await;
    world.settle().await;
    storage
        .redrive(world.tenant, &entity_ref("location:l"))
        .await
        .unwrap();
    let item = claim_only(storage, &worker("w"), "location:default/l").await;
    let mut failed = failure(Some("m"));
    failed.dead_letter = true;
    fail(storage, &item, failed).await;
    world.stitch().await;
    assert_eq!(
        world.all_served().await,
        ["component:default/a", "location:default/l"]
    );
    let body = world.served("location:l").await.unwrap().body;
    assert!(body.starts_with("processed location:default/l|"));
    assert!(body.contains(&format!("{HOSTILE_TEXT:?}")), "{body}");
    assert_eq!(world.check_orphans().await, 0);
    let filter = ProcessingFilter {
        status: Some(ProcessingStatus::Failed),
        dead_letters: true,
    };
    let dead = storage
        .list_processing(world.tenant, filter, None, 10)
        .await
        .unwrap();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].served && dead[0].dead_letter && dead[0].attempts == 1);
    assert_eq!(dead[0].diagnostics[0].message, HOSTILE_TEXT);
    // The next good run takes it all back.
    assert_eq!(world.rerun("location:l").await, ["location:default/l"]);
    assert!(
        world
            .served("location:l")
            .await
            .unwrap()
            .body
            .ends_with("|[]|[]|false")
    );
    assert!(
        storage
            .list_processing(world.tenant, filter, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

/// Attempts are counted; a retry comes at its time and in a slower lane.
pub async fn a_deterministic_failure_waits_and_another_is_tried_again(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    let item = claim_only(storage, &worker("w"), "component:default/a").await;
    let retry_at = clock.now().plus_ms(10_000);
    fail(
        storage,
        &item,
        Failure {
            retry_at: Some(retry_at),
            ..failure(None)
        },
    )
    .await;
    assert_eq!(storage.next_due().await.unwrap(), Some(retry_at));
    assert!(claim_all(storage, &worker("w")).await.is_empty());
    clock.advance(10_000);
    let item = claim_only(storage, &worker("w"), "component:default/a").await;
    assert_eq!(
        (item.attempts, item.lane, item.memo),
        (1, Lane::Changed, None)
    );
    fail(storage, &item, failure(Some("m"))).await;
    assert_eq!(storage.next_due().await.unwrap(), None);
    world.stitch().await;
    assert!(
        world.served("component:a").await.is_none(),
        "it never succeeded"
    );
    let state = storage
        .find_processing(world.tenant, &entity_ref("component:a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (state.status, state.attempts, state.served),
        (ProcessingStatus::Failed, 2, false)
    );
    storage.enqueue_all(world.tenant).await.unwrap();
    let item = claim_only(storage, &worker("w"), "component:default/a").await;
    assert_eq!((item.attempts, item.memo), (2, Some(Digest::of("m"))));
}

/// Nothing is applied; the reason is shown until a run ends.
pub async fn a_waiting_run_says_why_and_a_skipped_one_ends_it(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    world.settle().await;
    storage.enqueue_all(world.tenant).await.unwrap();
    let item = claim_only(storage, &worker("w"), "component:default/a").await;
    let retry_at = clock.now().plus_ms(5_000);
    let waiting = RunResult::Waiting {
        retry_at,
        reason: HOSTILE_TEXT.into(),
    };
    assert_eq!(record(storage, &item, waiting).await, Recorded::Applied);
    let filter = ProcessingFilter {
        status: Some(ProcessingStatus::Waiting),
        dead_letters: false,
    };
    let states = storage
        .list_processing(world.tenant, filter, None, 10)
        .await
        .unwrap();
    assert_eq!(states.len(), 1);
    assert_eq!(states[0].diagnostics[0].message, HOSTILE_TEXT);
    assert_eq!(states[0].next_due, Some(retry_at));
    clock.advance(5_000);
    let item = claim_only(storage, &worker("w"), "component:default/a").await;
    assert_eq!(item.memo, Some(Digest::of("component:default/a")));
    record(storage, &item, RunResult::Skipped { due: None }).await;
    let state = storage
        .find_processing(world.tenant, &item.entity_ref)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (state.status, state.next_due, state.diagnostics.len()),
        (ProcessingStatus::Ok, None, 0)
    );
}

/// By its bytes, its location key or the edge (DESIGN §2).
pub async fn a_child_is_queued_only_if_it_changed(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    let emitted = |body: &str, key| {
        vec![
            child("component:a", body, key),
            child("component:b", "b", None),
        ]
    };
    world.emits("location:default/l", emitted("1", None));
    world.provide("p", &["location:default/l"]).await;
    assert_eq!(world.settle().await.len(), 3);
    assert_eq!(world.rerun("location:l").await, ["location:default/l"]);
    world.emits("location:default/l", emitted("2", None));
    assert_eq!(
        world.rerun("location:l").await,
        ["location:default/l", "component:default/a"]
    );
    // A new owner is work too, though the memo then lets the run be skipped.
    world.emits("location:default/l", emitted("2", Some("k")));
    storage
        .redrive(world.tenant, &entity_ref("location:l"))
        .await
        .unwrap();
    let item = claim_only(storage, &worker("w"), "location:default/l").await;
    succeed(storage, &item, success(&item, emitted("2", Some("k")))).await;
    let child = claim_only(storage, &worker("w"), "component:default/a").await;
    assert_eq!(
        child.lane,
        Lane::OnRequest,
        "a re-drive is a request, and so is what it emits"
    );
}

/// Partial failure is additive.
pub async fn a_run_with_errors_removes_nothing(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    world.emits(
        "location:default/l",
        vec![
            child("component:a", "a", None),
            child("component:b", "b", None),
        ],
    );
    world.provide("p", &["location:default/l"]).await;
    world.settle().await;
    storage
        .redrive(world.tenant, &entity_ref("location:l"))
        .await
        .unwrap();
    let item = claim_only(storage, &worker("w"), "location:default/l").await;
    let mut partial = success(
        &item,
        vec![
            child("component:b", "new", None),
            child("component:c", "c", None),
        ],
    );
    partial.complete = false;
    partial.diagnostics = vec![Diagnostic::error("InputError", "a.yaml does not parse")];
    succeed(storage, &item, partial).await;
    let state = storage
        .find_processing(world.tenant, &item.entity_ref)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(state.status, ProcessingStatus::Partial);
    world.settle().await;
    clock.advance(60_000);
    assert_eq!(world.check_orphans().await, 0);
    let all = [
        "component:default/a",
        "component:default/b",
        "component:default/c",
        "location:default/l",
    ];
    assert_eq!(world.all_served().await, all);
    assert!(
        world
            .served("component:b")
            .await
            .unwrap()
            .body
            .starts_with("processed new|")
    );
}

/// More than a transaction's worth, twice; then all of them go.
pub async fn many_children_are_placed_in_parts(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    let many: Vec<Child> = (0..1_300)
        .map(|number| child(&format!("component:c{number}"), "x", Some("k")))
        .collect();
    world.emits("location:default/l", many);
    world.provide("p", &["location:default/l"]).await;
    assert_eq!(world.settle().await.len(), 1_301);
    assert_eq!(world.rerun("location:l").await.len(), 1);
    // A run that has lost its claim places nothing.
    storage
        .redrive(world.tenant, &entity_ref("location:l"))
        .await
        .unwrap();
    let item = claim_only(storage, &worker("w"), "location:default/l").await;
    storage.expire_worker(&worker("w")).await.unwrap();
    let other = (0..600)
        .map(|number| child(&format!("component:d{number}"), "x", None))
        .collect();
    assert_eq!(
        succeed(storage, &item, success(&item, other)).await,
        Recorded::LostClaim
    );
    assert_eq!(storage.count_entities(world.tenant).await.unwrap(), 1_301);
    assert!(
        storage
            .find_processing(world.tenant, &entity_ref("component:d0"))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(world.provide("p", &[]).await.removed, 1_301);
    assert_eq!(storage.count_entities(world.tenant).await.unwrap(), 0);
    assert_eq!(world.log().await.len(), 2_602);
}

/// Only the sources of those that came or went are stitched.
pub async fn relations_are_replaced_by_difference(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world
        .provide(
            "p",
            &["component:default/a", "group:default/g", "group:default/h"],
        )
        .await;
    world.settle().await;
    let before = world.log().await.len();
    let relate = |to: &str| {
        let (a, to) = (entity_ref("component:a"), entity_ref(to));
        vec![
            Relation {
                source: a.clone(),
                r#type: "ownedBy".into(),
                target: to.clone(),
            },
            Relation {
                source: to,
                r#type: "ownerOf".into(),
                target: a,
            },
        ]
    };
    for (to, changed) in [
        ("group:g", vec!["+component:default/a", "+group:default/g"]),
        ("group:g", vec![]),
        (
            "group:h",
            vec![
                "+component:default/a",
                "+group:default/g",
                "+group:default/h",
            ],
        ),
    ] {
        let at = world.log().await.len();
        storage
            .redrive(world.tenant, &entity_ref("component:a"))
            .await
            .unwrap();
        let item = claim_only(storage, &worker("w"), "component:default/a").await;
        let mut done = success(&item, Vec::new());
        done.relations = relate(to);
        done.relations.extend(relate(to));
        succeed(storage, &item, done).await;
        stitch(storage).await;
        let mut log = world.log().await.split_off(at);
        log.sort();
        assert_eq!(log, changed);
    }
    assert!(world.log().await.len() > before);
    let body = world.served("component:a").await.unwrap().body;
    assert!(body.contains("[\"ownedBy group:default/h\"]"), "{body}");
    assert!(world.served("group:g").await.unwrap().body.contains("|[]|"));
    // What an entity said of others goes with it.
    assert_eq!(
        world
            .provide("p", &["group:default/g", "group:default/h"])
            .await
            .removed,
        1
    );
    stitch(storage).await;
    assert!(world.served("group:h").await.unwrap().body.contains("|[]|"));
}

/// `POST /locations` and what its run emits.
pub async fn children_of_a_request_are_on_request(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let location = NewLocation {
        id: "id".into(),
        location: LocationRef::new("url", "https://h/x"),
        entity: super::queue::provided("location:l", "l", None),
    };
    storage.add_location(world.tenant, location).await.unwrap();
    let asked = storage.claim(&worker("w"), 10, Slots::Kept).await.unwrap();
    assert_eq!(refs(&asked), ["location:default/l"]);
    assert_eq!(asked[0].lane, Lane::OnRequest);
    succeed(
        storage,
        &asked[0],
        success(&asked[0], vec![child("component:a", "a", None)]),
    )
    .await;
    let asked = storage.claim(&worker("w"), 10, Slots::Kept).await.unwrap();
    assert_eq!(refs(&asked), ["component:default/a"]);
    assert_eq!(asked[0].lane, Lane::OnRequest);
}

/// Same body, same diagnostics, same relations: no stitch, no change.
pub async fn a_run_that_changed_nothing_is_not_stitched(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    world.settle().await;
    storage
        .redrive(world.tenant, &entity_ref("component:a"))
        .await
        .unwrap();
    let item = claim_only(storage, &worker("w"), "component:default/a").await;
    succeed(storage, &item, success(&item, Vec::new())).await;
    assert_eq!(storage.stitch_queue_length().await.unwrap(), 0);
    assert_eq!(world.log().await, ["+component:default/a"]);
}

/// Text of that many bytes that compresses to nothing shorter.
fn dense(of: &str, bytes: usize) -> String {
    let pieces = (0..).map(|number: u32| Digest::of(format!("{of}{number}")).to_string());
    let text: String = pieces.take(bytes / 64 + 1).collect();
    text[..bytes].to_owned()
}

/// Whatever the edges let in as a name is found again: indexes of a backend may bound what they hold.
pub async fn the_longest_names_are_kept(storage: &dyn Storage, clock: &TestClock) {
    const KEY_BYTES: usize = 2_048;
    let mut world = World::new(storage, clock).await;
    let longest = |of: &str| {
        let kind_and_namespace = "component:default/";
        let name = dense(of, MAX_REF_BYTES - kind_and_namespace.len());
        format!("{kind_and_namespace}{name}")
    };
    let (parent, other) = (longest("parent"), longest("other"));
    let emitted = || vec![child(&other, "o", Some(&dense("key", KEY_BYTES)))];
    world.emits(&parent, emitted());
    world.provide("p", &[&parent]).await;
    let target = dense("target", KEY_BYTES);
    let location = NewLocation {
        id: "1".into(),
        location: LocationRef::new("url", &target),
        entity: super::queue::provided("location:l", "l", Some(&target)),
    };
    storage.add_location(world.tenant, location).await.unwrap();
    world.settle().await;
    let want = ReadKey {
        credential: dense("credential", 64),
        want: dense("want", KEY_BYTES),
    };
    let read = StoredRead {
        key: want.clone(),
        outcome: StoredOutcome::NotFound,
        digest: Digest::of("d"),
        etag: None,
        last_modified: None,
        next_due: clock.now(),
    };
    storage.put_read(world.tenant, read).await.unwrap();
    storage
        .redrive(world.tenant, &entity_ref(&parent))
        .await
        .unwrap();
    let item = claim_only(storage, &worker("w"), &parent).await;
    let mut done = success(&item, emitted());
    let relation = |source: &str, target: &str| Relation {
        source: entity_ref(source),
        r#type: "a".repeat(255),
        target: entity_ref(target),
    };
    done.relations = vec![relation(&parent, &other), relation(&other, &parent)];
    done.refresh_keys = vec![dense("refresh", KEY_BYTES)];
    done.trace = vec![TracedRead {
        stage: Stage::PreProcess,
        processor: super::processor_name("p"),
        key: want,
        digest: Digest::of("d"),
    }];
    assert_eq!(succeed(storage, &item, done).await, Recorded::Applied);
    stitch(storage).await;
    let mut served = [other.as_str(), parent.as_str(), "location:default/l"];
    served.sort_unstable();
    assert_eq!(world.all_served().await, served);
}
