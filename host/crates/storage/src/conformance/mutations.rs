//! Mutations, ownership by location key, and eager pruning.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::TestClock;
use super::queue::{World, child, claim_all, entity_ref, provide, provided, worker};
use crate::{
    Mutation, MutationId, MutationKind, MutationLine, MutationOutcome, ProvidedEntity, Storage,
};
use greenroom_model::TenantId;

/// Added, updated, unchanged and removed are counted; what is the same is not touched.
pub async fn a_full_mutation_is_a_difference(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let first = provide(
        storage,
        world.tenant,
        "p",
        vec![
            provided("component:a", "1", None),
            provided("component:b", "1", Some("k")),
            provided("component:c", "1", None),
        ],
    );
    assert_eq!(first.await.added, 3);
    provide(
        storage,
        world.tenant,
        "other",
        vec![provided("component:o", "1", None)],
    )
    .await;
    world.settle().await;
    let second = provide(
        storage,
        world.tenant,
        "p",
        vec![
            provided("component:a", "1", None),
            provided("component:b", "1", Some("other key")),
            provided("component:d", "1", None),
        ],
    )
    .await;
    assert_eq!(
        (
            second.added,
            second.updated,
            second.unchanged,
            second.removed
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(second.seq, 5, "four served, one gone");
    assert!(second.conflicts.is_empty());
    assert_eq!(storage.count_provided(world.tenant, "p").await.unwrap(), 3);
    assert_eq!(
        storage.count_provided(world.tenant, "none").await.unwrap(),
        0
    );
    let queued = claim_all(storage, &worker("w")).await;
    assert_eq!(
        super::queue::refs(&queued),
        ["component:default/b", "component:default/d"]
    );
    let b = storage
        .find_processing(world.tenant, &entity_ref("component:b"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(b.location_key.as_deref(), Some("other key"));
    assert_eq!(
        world.all_served().await,
        [
            "component:default/a",
            "component:default/b",
            "component:default/o"
        ]
    );
}

/// Only edges of that source; an unknown ref is ignored.
pub async fn a_delta_touches_what_it_names(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world
        .provide("p", &["component:default/a", "component:default/b"])
        .await;
    world.provide("q", &["component:default/c"]).await;
    world.settle().await;
    let delta = Mutation {
        kind: MutationKind::Delta,
        added: vec![
            provided("component:d", "d", None),
            provided("component:b", "2", None),
        ],
        removed: ["component:a", "component:b", "component:c", "component:x"]
            .map(entity_ref)
            .to_vec(),
    };
    let outcome = storage
        .apply_mutation(world.tenant, "p", delta)
        .await
        .unwrap();
    assert_eq!((outcome.added, outcome.updated, outcome.removed), (1, 1, 1));
    world.settle().await;
    let all = [
        "component:default/b",
        "component:default/c",
        "component:default/d",
    ];
    assert_eq!(world.all_served().await, all);
}

/// Ref §5.5: what another root reaches stays, the rest goes at once.
pub async fn a_removed_root_takes_what_only_it_reached(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    let (shared, own) = (
        child("component:s", "s", Some("k")),
        child("component:o", "o", Some("k")),
    );
    world.emits(
        "location:default/l",
        vec![shared.clone(), own, child("location:sub", "sub", None)],
    );
    world.emits(
        "location:default/sub",
        vec![child("component:deep", "deep", None)],
    );
    world.emits("location:default/m", vec![shared]);
    world
        .provide("p", &["location:default/l", "location:default/m"])
        .await;
    world.settle().await;
    assert_eq!(world.all_served().await.len(), 6);
    let outcome = world.provide("p", &["location:default/m"]).await;
    assert_eq!(outcome.removed, 4);
    assert_eq!(
        world.all_served().await,
        ["component:default/s", "location:default/m"]
    );
    let log = world.log().await;
    assert_eq!(outcome.seq, log.len() as u64);
    let mut gone = log[6..].to_vec();
    gone.sort();
    let expected = [
        "-component:default/deep",
        "-component:default/o",
        "-location:default/l",
        "-location:default/sub",
    ];
    assert_eq!(gone, expected);
    assert_eq!(
        world.settle().await,
        ["location:default/m"],
        "its bytes are placed again"
    );
    clock.advance(60_000);
    assert_eq!(world.check_orphans().await, 0);
}

/// Locations that emit each other do not hold each other up.
pub async fn a_cycle_goes_with_its_root(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    world.emits(
        "location:default/a",
        vec![
            child("location:b", "b", None),
            child("location:a", "location:default/a", None),
        ],
    );
    world.emits(
        "location:default/b",
        vec![child("location:a", "location:default/a", None)],
    );
    world.provide("p", &["location:default/a"]).await;
    world.settle().await;
    assert_eq!(world.provide("p", &[]).await.removed, 2);
    assert!(world.all_served().await.is_empty());
    assert!(world.settle().await.is_empty());
}

/// First owner keeps; the loser is a row until the owner goes, then it runs again and is let in.
pub async fn a_conflict_is_listed_and_the_loser_takes_over(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let mut world = World::new(storage, clock).await;
    world.emits(
        "location:default/a",
        vec![child("component:x", "of a", Some("a"))],
    );
    world.emits(
        "location:default/b",
        vec![child("component:x", "of b", Some("b"))],
    );
    world.provide("p", &["location:default/a"]).await;
    world.settle().await;
    world.provide("q", &["location:default/b"]).await;
    world.settle().await;
    assert!(
        world
            .served("component:x")
            .await
            .unwrap()
            .body
            .starts_with("processed of a|")
    );
    let conflicts = storage.list_conflicts(world.tenant, 10).await.unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].entity_ref, entity_ref("component:x"));
    assert_eq!(conflicts[0].loser, "location:default/b");
    assert_eq!(conflicts[0].location_key.as_deref(), Some("b"));
    assert_eq!(conflicts[0].owner_location_key.as_deref(), Some("a"));
    assert_eq!(world.provide("p", &[]).await.removed, 2);
    assert_eq!(
        world.settle().await,
        ["location:default/b", "component:default/x"]
    );
    assert!(
        world
            .served("component:x")
            .await
            .unwrap()
            .body
            .starts_with("processed of b|")
    );
    assert!(
        storage
            .list_conflicts(world.tenant, 10)
            .await
            .unwrap()
            .is_empty()
    );
    // What a loser no longer emits is no conflict any more.
    world.emits(
        "location:default/a",
        vec![child("component:x", "of a", Some("a"))],
    );
    world.provide("p", &["location:default/a"]).await;
    world.settle().await;
    assert_eq!(
        storage
            .list_conflicts(world.tenant, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    world.emits("location:default/a", vec![]);
    world.rerun("location:a").await;
    assert!(
        storage
            .list_conflicts(world.tenant, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

/// A provider cannot be asked again, so what it gave is kept.
pub async fn a_provider_that_lost_takes_over_too(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    provide(
        storage,
        world.tenant,
        "p",
        vec![provided("component:x", "of p", Some("p"))],
    )
    .await;
    let lost = provide(
        storage,
        world.tenant,
        "q",
        vec![provided("component:x", "of q", Some("q"))],
    )
    .await;
    assert_eq!(lost.conflicts, [entity_ref("component:x")]);
    assert_eq!((lost.added, lost.updated, lost.removed), (0, 0, 0));
    assert_eq!(
        storage.list_conflicts(world.tenant, 10).await.unwrap()[0].loser,
        "q"
    );
    world.settle().await;
    assert_eq!(world.provide("p", &[]).await.removed, 1);
    world.settle().await;
    assert!(
        world
            .served("component:x")
            .await
            .unwrap()
            .body
            .starts_with("processed of q|")
    );
    assert_eq!(storage.count_provided(world.tenant, "q").await.unwrap(), 1);
    assert!(
        storage
            .list_conflicts(world.tenant, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

/// A row without a location key is anybody's; afterwards it is the taker's.
pub async fn an_entity_without_a_key_is_taken_over(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    provide(
        storage,
        world.tenant,
        "p",
        vec![provided("component:x", "of p", None)],
    )
    .await;
    let taken = provide(
        storage,
        world.tenant,
        "q",
        vec![provided("component:x", "of q", Some("q"))],
    )
    .await;
    assert_eq!((taken.updated, taken.conflicts.len()), (1, 0));
    let lost = provide(
        storage,
        world.tenant,
        "p",
        vec![provided("component:x", "of p", None)],
    )
    .await;
    assert_eq!(lost.conflicts.len(), 1);
    assert_eq!(lost.removed, 0, "the other still gives it");
    assert_eq!(storage.count_provided(world.tenant, "p").await.unwrap(), 0);
    world.settle().await;
    assert!(
        world
            .served("component:x")
            .await
            .unwrap()
            .body
            .starts_with("processed of q|")
    );
}

/// The bytes are the last emitter's, the edges everybody's; one that leaves makes the other place its bytes.
pub async fn every_emitter_keeps_its_edge(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    world.emits(
        "location:default/a",
        vec![child("component:x", "of a", Some("k"))],
    );
    world.emits(
        "location:default/b",
        vec![child("component:x", "of b", Some("k"))],
    );
    world.provide("p", &["location:default/a"]).await;
    world.settle().await;
    world.provide("q", &["location:default/b"]).await;
    world.settle().await;
    assert!(
        world
            .served("component:x")
            .await
            .unwrap()
            .body
            .starts_with("processed of b|")
    );
    let x = storage
        .find_processing(world.tenant, &entity_ref("component:x"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(x.parents, ["location:default/a", "location:default/b"]);
    assert_eq!(world.provide("q", &[]).await.removed, 1);
    assert_eq!(
        world.settle().await,
        ["location:default/a", "component:default/x"]
    );
    assert!(
        world
            .served("component:x")
            .await
            .unwrap()
            .body
            .starts_with("processed of a|")
    );
}

/// One wins by order.
pub async fn the_last_of_equal_refs_wins(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let twice = vec![
        provided("component:x", "1", None),
        provided("Component:X", "2", None),
    ];
    assert_eq!(provide(storage, world.tenant, "p", twice).await.added, 1);
    world.settle().await;
    assert!(
        world
            .served("component:x")
            .await
            .unwrap()
            .body
            .starts_with("processed 2|")
    );
}

fn id(name: &str) -> MutationId {
    MutationId(name.to_owned())
}

/// Stages entities of a full mutation in parts of seven.
async fn stage_full(
    storage: &dyn Storage,
    tenant: TenantId,
    name: &str,
    entities: Vec<ProvidedEntity>,
) {
    let lines: Vec<_> = entities.into_iter().map(MutationLine::Add).collect();
    let id = id(name);
    for (index, part) in lines.chunks(7).enumerate() {
        let first = index as u64 * 7;
        let staged =
            storage.stage_mutation(tenant, &id, "p", MutationKind::Full, first, part.to_vec());
        staged.await.unwrap();
    }
}

/// Stages a full mutation and applies it.
async fn give(
    storage: &dyn Storage,
    tenant: TenantId,
    name: &str,
    entities: Vec<ProvidedEntity>,
) -> MutationOutcome {
    stage_full(storage, tenant, name, entities).await;
    let applied = storage.apply_staged(tenant, &id(name)).await.unwrap();
    applied.unwrap()
}

fn some(range: std::ops::Range<u32>, body: &str) -> Vec<ProvidedEntity> {
    range
        .map(|number| provided(&format!("component:c{number}"), body, None))
        .collect()
}

/// Neither a list nor a queue sees it; dropped or abandoned it was never there, applied it is applied once.
pub async fn h21_what_is_staged_changes_nothing_until_it_is_applied(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    for name in ["dropped", "abandoned", "applied"] {
        stage_full(storage, tenant, name, some(0..20, name)).await;
        assert_eq!(storage.count_staged(tenant, &id(name)).await.unwrap(), 20);
    }
    assert!(claim_all(storage, &worker("w")).await.is_empty());
    assert_eq!(storage.count_provided(tenant, "p").await.unwrap(), 0);
    storage.drop_staged(tenant, &id("dropped")).await.unwrap();
    let gone = storage.apply_staged(tenant, &id("dropped")).await;
    assert_eq!(gone.unwrap(), None);
    let applied = storage.apply_staged(tenant, &id("applied")).await.unwrap();
    assert_eq!(applied.unwrap().added, 20);
    let again = storage.apply_staged(tenant, &id("applied")).await;
    assert_eq!(again.unwrap(), None);
    clock.advance(3_600_001);
    assert_eq!(storage.resume_mutations().await.unwrap(), 0);
    storage.sweep().await.unwrap();
    let swept = storage.apply_staged(tenant, &id("abandoned")).await;
    assert_eq!(swept.unwrap(), None);
    world.settle().await;
    let served = world.served("component:c0").await.unwrap();
    assert!(served.body.starts_with("processed applied|"));
}

/// As one that is handed over whole, over several transactions: the last of equal refs wins, what is missing goes.
pub async fn a_staged_full_mutation_is_a_difference(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    let tenant = world.tenant;
    world.emits("component:default/c0", vec![child("api:x", "x", None)]);
    let first = give(storage, tenant, "1", some(0..600, "1")).await;
    assert_eq!((first.added, first.removed), (600, 0));
    world.settle().await;
    assert!(world.served("api:x").await.is_some());
    let mut second = some(500..700, "0");
    second.extend(some(500..510, "2"));
    second.extend(some(510..600, "1"));
    stage_full(storage, tenant, "2", second).await;
    let counted = storage.count_staged(tenant, &id("2")).await.unwrap();
    assert_eq!(counted, 200);
    let second = storage.apply_staged(tenant, &id("2")).await.unwrap();
    let second = second.unwrap();
    let counts = (second.added, second.updated, second.unchanged);
    assert_eq!(counts, (100, 10, 90));
    assert_eq!(second.removed, 501, "with what only they reached");
    assert_eq!(storage.count_provided(tenant, "p").await.unwrap(), 200);
    let position = storage.log_position(tenant).await.unwrap();
    assert_eq!(second.seq, position.seq);
    assert_eq!(world.settle().await.len(), 110);
    assert_eq!(world.all_served().await.len(), 200);
    let served = world.served("component:c505").await.unwrap();
    assert!(served.body.starts_with("processed 2|"));
}

/// What is added wins over what is removed; what is not named stays.
pub async fn a_staged_delta_touches_what_it_names(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    give(storage, tenant, "1", some(0..4, "1")).await;
    world.settle().await;
    let lines = vec![
        MutationLine::Remove(entity_ref("component:c0")),
        MutationLine::Remove(entity_ref("component:c1")),
        MutationLine::Remove(entity_ref("component:none")),
        MutationLine::Add(provided("component:c1", "2", None)),
        MutationLine::Add(provided("component:c9", "2", None)),
    ];
    let id = id("2");
    let staged = storage.stage_mutation(tenant, &id, "p", MutationKind::Delta, 0, lines);
    staged.await.unwrap();
    let outcome = storage.apply_staged(tenant, &id).await.unwrap();
    let outcome = outcome.unwrap();
    let counts = (outcome.added, outcome.updated, outcome.removed);
    assert_eq!(counts, (1, 1, 1));
    world.settle().await;
    let served = ["c1", "c2", "c3", "c9"].map(|name| format!("component:default/{name}"));
    assert_eq!(world.all_served().await, served);
}

/// A ref that another owns is named and listed, and an edge that the provider had to it goes.
pub async fn a_staged_mutation_takes_conflicts_as_another_does(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    provide(
        storage,
        tenant,
        "q",
        vec![provided("component:x", "of q", None)],
    )
    .await;
    give(
        storage,
        tenant,
        "1",
        vec![provided("component:x", "of p", Some("p"))],
    )
    .await;
    provide(
        storage,
        tenant,
        "q",
        vec![provided("component:x", "of q", Some("p"))],
    )
    .await;
    let lost = give(
        storage,
        tenant,
        "2",
        vec![provided("component:x", "of p", Some("other"))],
    )
    .await;
    assert_eq!(lost.conflicts, [entity_ref("component:x")]);
    assert_eq!(storage.count_provided(tenant, "p").await.unwrap(), 0);
    let conflicts = storage.list_conflicts(tenant, 10).await.unwrap();
    assert_eq!(conflicts.len(), 1);
    give(storage, tenant, "3", some(0..1, "1")).await;
    let conflicts = storage.list_conflicts(tenant, 10).await.unwrap();
    assert!(conflicts.is_empty(), "it is not given any more");
}
