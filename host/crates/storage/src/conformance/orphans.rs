//! Orphan checks: grace, moves, cycles.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::TestClock;
use super::queue::{World, child, entity_ref};
use crate::Storage;

async fn orphaned(world: &World<'_>, text: &str) -> bool {
    let state = world
        .storage
        .find_processing(world.tenant, &entity_ref(text))
        .await
        .unwrap();
    state.unwrap().orphaned_at.is_some()
}

/// 30 s with the mark, then it goes with what only it reached.
pub async fn an_orphan_is_marked_then_deleted(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    world.emits("location:default/l", vec![child("location:m", "m", None)]);
    world.emits("location:default/m", vec![child("component:a", "a", None)]);
    world.provide("p", &["location:default/l"]).await;
    world.settle().await;
    world.emits("location:default/l", vec![]);
    world.rerun("location:l").await;
    assert_eq!(world.check_orphans().await, 0);
    assert!(orphaned(&world, "location:m").await && !orphaned(&world, "location:l").await);
    assert!(
        world
            .served("location:m")
            .await
            .unwrap()
            .body
            .ends_with("|true")
    );
    clock.advance(29_999);
    assert_eq!(world.check_orphans().await, 0);
    assert_eq!(world.all_served().await.len(), 3);
    clock.advance(1);
    assert_eq!(world.check_orphans().await, 2);
    assert_eq!(world.all_served().await, ["location:default/l"]);
    world.log().await;
    assert_eq!(storage.check_orphans(10).await.unwrap().checked, 0);
}

/// An orphan, and what only it reached, yields its location key: a file that moves keeps its entities' uids, whether
/// the new file is read before or after the old one is found to be gone.
pub async fn a_moved_file_keeps_its_uid(storage: &dyn Storage, clock: &TestClock) {
    for (tenant, check_first) in [("acme", true), ("other", false)] {
        let mut world = World::named(storage, clock, tenant).await;
        world.emits(
            "location:default/root",
            vec![child("location:old", "old", None)],
        );
        world.emits(
            "location:default/old",
            vec![child("component:x", "x", Some("old"))],
        );
        world.emits(
            "location:default/new",
            vec![child("component:x", "x", Some("new"))],
        );
        world.provide("p", &["location:default/root"]).await;
        world.settle().await;
        let uid = world.served("component:x").await.unwrap().uid;
        world.emits(
            "location:default/root",
            vec![child("location:new", "new", None)],
        );
        if check_first {
            storage
                .redrive(world.tenant, &entity_ref("location:root"))
                .await
                .unwrap();
            let root = super::queue::claim_only(
                storage,
                &super::queue::worker("w"),
                "location:default/root",
            )
            .await;
            let moved = vec![child("location:new", "new", None)];
            let done = super::queue::success(&root, moved);
            super::queue::succeed(storage, &root, done).await;
            world.check_orphans().await;
            world.settle().await;
        } else {
            world.rerun("location:root").await;
            assert_eq!(
                storage
                    .list_conflicts(world.tenant, 10)
                    .await
                    .unwrap()
                    .len(),
                1
            );
            world.check_orphans().await;
            world.settle().await;
        }
        assert!(
            storage
                .list_conflicts(world.tenant, 10)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(!orphaned(&world, "component:x").await);
        clock.advance(60_000);
        assert_eq!(world.check_orphans().await, 1, "the old Location");
        world.settle().await;
        let moved = world.served("component:x").await.unwrap();
        assert_eq!(moved.uid, uid);
        assert!(moved.body.ends_with("|false"));
        let state = storage
            .find_processing(world.tenant, &moved.entity_ref)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(state.location_key.as_deref(), Some("new"));
        assert_eq!(state.parents, ["location:default/new"]);
    }
}

/// Counting edges would never find it.
pub async fn a_cycle_without_a_provider_is_deleted(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    world.emits(
        "location:default/root",
        vec![child("location:a", "a", None)],
    );
    world.emits("location:default/a", vec![child("location:b", "b", None)]);
    world.emits(
        "location:default/b",
        vec![
            child("location:a", "a", None),
            child("location:b", "b", None),
        ],
    );
    world.provide("p", &["location:default/root"]).await;
    world.settle().await;
    world.emits("location:default/root", vec![]);
    world.rerun("location:root").await;
    assert_eq!(world.check_orphans().await, 0);
    clock.advance(30_000);
    assert_eq!(world.check_orphans().await, 2);
    assert_eq!(world.all_served().await, ["location:default/root"]);
}

/// `orphanStrategy: keep`.
pub async fn a_kept_orphan_stays_marked(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    let settings = r#"{"catalog":{"orphanStrategy":"keep"}}"#;
    storage
        .put_tenant_settings(world.tenant, settings)
        .await
        .unwrap();
    world.emits("location:default/l", vec![child("component:a", "a", None)]);
    world.provide("p", &["location:default/l"]).await;
    world.settle().await;
    world.emits("location:default/l", vec![]);
    world.rerun("location:l").await;
    world.check_orphans().await;
    clock.advance(3_600_000);
    assert_eq!(world.check_orphans().await, 0);
    assert!(
        world
            .served("component:a")
            .await
            .unwrap()
            .body
            .ends_with("|true")
    );
    // Emitted again, it is what it was.
    world.emits("location:default/l", vec![child("component:a", "a", None)]);
    world.rerun("location:l").await;
    assert!(
        world
            .served("component:a")
            .await
            .unwrap()
            .body
            .ends_with("|false")
    );
}

/// The bytes may have been the leaver's.
pub async fn the_other_parent_runs_again(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    world.emits(
        "location:default/a",
        vec![child("component:x", "of a", Some("k"))],
    );
    world.provide("p", &["location:default/a"]).await;
    world.settle().await;
    world.emits(
        "location:default/b",
        vec![child("component:x", "of b", Some("k"))],
    );
    world.provide("q", &["location:default/b"]).await;
    world.settle().await;
    world.emits("location:default/b", vec![]);
    let ran = world.rerun("location:b").await;
    assert_eq!(
        ran,
        [
            "location:default/b",
            "location:default/a",
            "component:default/x"
        ]
    );
    assert!(
        world
            .served("component:x")
            .await
            .unwrap()
            .body
            .starts_with("processed of a|")
    );
    clock.advance(60_000);
    assert_eq!(world.check_orphans().await, 0);
}
