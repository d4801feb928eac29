//! c19: chains of emitted entities end, cycles end, and what is there stays.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::TestClock;
use super::queue::{World, child, entity_ref};
use crate::{MAX_CHAIN, ProcessingState, ProcessingStatus, Storage};
use greenroom_model::Level;

fn link(number: usize) -> String {
    format!("location:default/l{number:03}")
}

/// Each link emits the next one, up to `last`.
fn chain(world: &mut World<'_>, last: usize) {
    for number in 0..last {
        let next = link(number + 1);
        world.emits(&link(number), vec![child(&next, &next, None)]);
    }
}

async fn state(world: &World<'_>, text: &str) -> Option<ProcessingState> {
    let found = world
        .storage
        .find_processing(world.tenant, &entity_ref(text))
        .await;
    found.unwrap()
}

/// The refs an entity is told were not added.
async fn refused(world: &World<'_>, text: &str) -> Vec<String> {
    let state = state(world, text).await.unwrap();
    let told = state.diagnostics.iter();
    told.map(|one| {
        assert_eq!(
            (one.level, one.name.as_str()),
            (Level::Error, "ChainTooLongError")
        );
        one.target.clone().unwrap()
    })
    .collect()
}

/// It is told to the entity that would exceed it, and goes on once its end is nearer to an origin.
pub async fn c19_an_endless_chain_ends_32_steps_from_its_origin(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let mut world = World::new(storage, clock).await;
    chain(&mut world, 100);
    world.provide("p", &[&link(0)]).await;
    let ran = world.settle().await;
    assert_eq!(ran.len(), MAX_CHAIN + 1);
    assert_eq!(ran.last(), Some(&link(MAX_CHAIN)));
    for number in 0..MAX_CHAIN {
        let state = state(&world, &link(number)).await.unwrap();
        assert_eq!(state.status, ProcessingStatus::Ok, "{number}");
    }
    let next = link(MAX_CHAIN + 1);
    let end = state(&world, &link(MAX_CHAIN)).await.unwrap();
    assert_eq!(end.status, ProcessingStatus::Partial);
    assert_eq!(
        refused(&world, &link(MAX_CHAIN)).await,
        std::slice::from_ref(&next)
    );
    assert!(state(&world, &next).await.is_none());
    let served = world.served(&link(MAX_CHAIN)).await.unwrap().body;
    assert!(served.contains("more than 32 steps"), "{served}");
    // It ends again, and nobody else has anything to do.
    assert_eq!(world.rerun(&link(MAX_CHAIN)).await, [link(MAX_CHAIN)]);

    world.provide("q", &[&link(10)]).await;
    let ran = world.rerun(&link(MAX_CHAIN)).await;
    assert_eq!(ran.len(), 11, "from the old end to the new one: {ran:?}");
    assert!(refused(&world, &link(MAX_CHAIN)).await.is_empty());
    assert_eq!(
        refused(&world, &link(10 + MAX_CHAIN)).await,
        [link(11 + MAX_CHAIN)]
    );
    world.log().await;
}

/// Neither has an end of its own, so each runs once.
pub async fn c19_two_that_emit_each_other_end(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    let (a, b) = (link(1), link(2));
    world.emits(&a, vec![child(&b, &b, None)]);
    world.emits(&b, vec![child(&a, &a, None)]);
    world.provide("p", &[&a]).await;
    assert_eq!(world.settle().await, [a.clone(), b.clone()]);
    assert_eq!(world.all_served().await, [a.clone(), b.clone()]);
    for one in [&a, &b] {
        assert_eq!(world.rerun(one).await, std::slice::from_ref(one));
        assert!(refused(&world, one).await.is_empty());
    }
}

/// The limit is on what is new: a chain that became longer keeps what it has, and updates it.
pub async fn c19_what_is_there_stays_where_a_chain_became_longer(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let mut world = World::new(storage, clock).await;
    chain(&mut world, 45);
    world.provide("p", &[&link(0)]).await;
    world.provide("q", &[&link(20)]).await;
    world.settle().await;
    assert_eq!(world.all_served().await.len(), 46);
    world.provide("q", &[]).await;
    world.settle().await;
    assert_eq!(world.check_orphans().await, 0);
    let children = |body: &str| {
        vec![
            child(&link(41), body, None),
            child("component:new", "x", None),
        ]
    };
    world.emits(&link(40), children("other"));
    let ran = world.rerun(&link(40)).await;
    assert_eq!(ran, [link(40), link(41)]);
    assert_eq!(refused(&world, &link(40)).await, ["component:default/new"]);
    let updated = world.served(&link(41)).await.unwrap().body;
    assert!(updated.starts_with("processed other|"), "{updated}");
    // Partial: what it does not emit any more stays as well.
    world.emits(&link(40), vec![child("component:new", "x", None)]);
    world.rerun(&link(40)).await;
    assert_eq!(world.check_orphans().await, 0);
    assert_eq!(world.all_served().await.len(), 46);
}

/// A cycle that nothing leads into any more may be kept; what hangs from it ends too.
pub async fn c19_a_chain_that_hangs_from_a_cycle_ends(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    let (a, b) = ("group:default/a", "group:default/b");
    world.emits("location:default/root", vec![child(a, a, None)]);
    world.emits(a, vec![child(b, b, None)]);
    world.emits(b, vec![child(a, a, None), child(&link(0), "0", None)]);
    world.provide("p", &["location:default/root"]).await;
    world.settle().await;
    world.emits("location:default/root", vec![]);
    world.rerun("location:default/root").await;
    chain(&mut world, 100);
    let ran = world.rerun(&link(0)).await;
    assert!(ran.len() <= MAX_CHAIN, "{ran:?}");
    let last = ran.last().unwrap();
    assert_eq!(refused(&world, last).await, [link(ran.len())]);
}

/// Those that are not added are told in one sentence, however many they are and however they are written.
pub async fn c19_many_at_the_end_of_a_chain_are_told_once(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let mut world = World::new(storage, clock).await;
    chain(&mut world, MAX_CHAIN);
    let many = (0..1_200).map(|number| child(&format!("component:c{number}"), "x", None));
    world.emits(&link(MAX_CHAIN), many.collect());
    world.provide("p", &[&link(0)]).await;
    assert_eq!(world.settle().await.len(), MAX_CHAIN + 1);
    assert_eq!(
        refused(&world, &link(MAX_CHAIN)).await,
        ["component:default/c0"]
    );
    let told = state(&world, &link(MAX_CHAIN)).await.unwrap().diagnostics;
    assert!(
        told[0].message.contains("and 1199 more are not added"),
        "{told:?}"
    );
}
