//! The audit's pages over what runs recorded, and mending what is whole.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::TestClock;
use super::queue::{World, child};
use crate::{AuditedEntity, Damage, Reach, Storage};

/// A tenant with a parent, a shared child, an orphan that is kept and one that is queued.
async fn world<'a>(storage: &'a dyn Storage, clock: &'a TestClock) -> World<'a> {
    let mut world = World::new(storage, clock).await;
    world.emits(
        "location:default/a",
        vec![
            child("component:x", "x", None),
            child("component:y", "y", None),
        ],
    );
    world.emits("location:default/b", vec![child("component:x", "x", None)]);
    world
        .provide("p", &["location:default/a", "location:default/b"])
        .await;
    world.settle().await;
    world.emits("location:default/a", vec![child("component:x", "x", None)]);
    world.rerun("location:a").await;
    world.check_orphans().await;
    world
}

async fn pages(world: &World<'_>) -> Vec<AuditedEntity> {
    let (mut entities, mut after) = (Vec::new(), None);
    loop {
        let page = world
            .storage
            .audit_page(world.tenant, after.as_ref(), 2)
            .await
            .unwrap();
        assert!(page.strays.is_empty() && !page.queueing);
        entities.extend(page.entities);
        after = entities
            .last()
            .map(|entity: &AuditedEntity| entity.uid.clone());
        if page.last {
            return entities;
        }
    }
}

/// Every run, also one that took an edge away, leaves what the audit expects; what is queued is marked.
pub async fn what_runs_leave_is_as_it_was_left(storage: &dyn Storage, clock: &TestClock) {
    let world = world(storage, clock).await;
    let entities = pages(&world).await;
    let refs: Vec<_> = entities
        .iter()
        .map(|entity| entity.entity_ref.as_str())
        .collect();
    assert_eq!(refs.len(), 4, "{refs:?}");
    for entity in &entities {
        assert!(entity.edges_as_left, "{}", entity.entity_ref);
        assert_eq!(entity.reach, Reach::AsMarked, "{}", entity.entity_ref);
        assert!(entity.reads_current && !entity.memo_withheld);
        assert!(!entity.queued && !entity.stitch_queued);
        let served = entity.served.as_ref().unwrap();
        assert_eq!(entity.stitch.served_etag.as_ref(), Some(&served.etag));
    }
    storage.enqueue_all(world.tenant).await.unwrap();
    let page = storage.audit_page(world.tenant, None, 10).await.unwrap();
    assert!(page.queueing && page.last);
}

/// Whatever is taken for damage by mistake costs a run or a stitch, and nothing that a client sees.
pub async fn healing_what_is_whole_changes_nothing(storage: &dyn Storage, clock: &TestClock) {
    let world = world(storage, clock).await;
    let before = world.log().await;
    let served = world.all_served().await;
    let mut damage = Vec::new();
    for entity in pages(&world).await {
        damage.extend([
            Damage::Memo(entity.uid.clone()),
            Damage::Edges(entity.uid),
            Damage::Reach(entity.entity_ref, Reach::Unreached),
        ]);
    }
    damage.push(Damage::Memo(greenroom_model::EntityUid::new("nobody")));
    storage.heal(world.tenant, damage).await.unwrap();
    assert_eq!(world.settle().await.len(), 4);
    assert_eq!(world.check_orphans().await, 0);
    assert_eq!(world.all_served().await, served);
    assert_eq!(world.log().await, before);
}
