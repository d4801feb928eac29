//! Registered locations.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::TestClock;
use super::queue::{World, child, provided};
use crate::{AddedLocation, NewLocation, Storage, UpdatedLocation};
use greenroom_model::LocationRef;
use greenroom_model::location::{generated_ref, registered};

fn location(id: &str, target: &str, entity: &str) -> NewLocation {
    NewLocation {
        id: id.into(),
        location: LocationRef::new("url", target),
        entity: provided(entity, entity, Some(target)),
    }
}

/// By type and target; the second answer is the first one's row.
pub async fn a_location_is_registered_once(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    let other = super::tenant(storage, "other").await;
    let new = storage
        .add_location(tenant, location("1", "https://h/a", "location:a"))
        .await
        .unwrap();
    assert!(matches!(new, AddedLocation::Added(added) if added.id == "1"));
    let known = storage
        .add_location(tenant, location("2", "https://h/a", "location:a"))
        .await
        .unwrap();
    assert!(matches!(known, AddedLocation::Exists(known) if known.id == "1"));
    storage
        .add_location(tenant, location("0", "https://h/b", "location:b"))
        .await
        .unwrap();
    storage
        .add_location(other, location("1", "https://h/a", "location:a"))
        .await
        .unwrap();
    let listed = storage.list_locations(tenant).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|location| location.id.as_str()).collect();
    assert_eq!(ids, ["0", "1"]);
    let target = LocationRef::new("url", "https://h/a");
    let found = storage.find_location_by_target(tenant, &target);
    let found = found.await.unwrap().unwrap();
    assert_eq!(
        (found.id.as_str(), found.entity_ref.as_str()),
        ("1", "location:default/a")
    );
    assert_eq!(
        storage
            .find_location(tenant, "1")
            .await
            .unwrap()
            .unwrap()
            .location,
        found.location
    );
    assert!(storage.find_location(tenant, "2").await.unwrap().is_none());
    assert!(
        storage
            .find_location_by_target(tenant, &LocationRef::new("file", "https://h/a"))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        storage.count_provided(tenant, "locations").await.unwrap(),
        2
    );
}

/// By id, each once, and only the tenant's own.
pub async fn locations_are_walked_in_parts(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let other = super::tenant(storage, "other").await;
    for (tenant, id) in [
        (world.tenant, "b"),
        (world.tenant, "c"),
        (world.tenant, "a"),
        (other, "aa"),
    ] {
        let new = location(id, &format!("https://h/{id}"), &format!("location:{id}"));
        storage.add_location(tenant, new).await.unwrap();
    }
    let mut walked: Vec<String> = Vec::new();
    loop {
        let after = walked.last().map(String::as_str);
        let part = storage.scan_locations(world.tenant, after, 2);
        let part = part.await.unwrap();
        if part.is_empty() {
            break;
        }
        assert!(part.len() <= 2);
        walked.extend(part.into_iter().map(|location| location.id));
    }
    assert_eq!(walked, ["a", "b", "c"]);
}

/// The row, its entity's uid and its children's parent stay; only another location's target is refused.
pub async fn a_location_keeps_its_entity_when_its_target_changes(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let mut world = World::new(storage, clock).await;
    world.emits(
        "location:default/a",
        vec![child("component:x", "x", Some("k"))],
    );
    for (id, name) in [("1", "a"), ("2", "b")] {
        let new = location(
            id,
            &format!("https://h/{name}"),
            &format!("location:{name}"),
        );
        storage.add_location(world.tenant, new).await.unwrap();
    }
    world.settle().await;
    let uid = world.served("location:default/a").await.unwrap().uid;
    let update = async |id: &str, target: &str| {
        let entity = provided("location:a", target, Some(target));
        let to = LocationRef::new("url", target);
        let updated = storage.update_location(world.tenant, id, to, entity);
        updated.await.unwrap()
    };
    assert!(matches!(
        update("1", "https://h/b").await,
        UpdatedLocation::Taken
    ));
    assert!(matches!(
        update("3", "https://h/c").await,
        UpdatedLocation::Missing
    ));
    assert!(world.settle().await.is_empty(), "nothing was changed");

    let updated = update("1", "https://h/c").await;
    let UpdatedLocation::Updated(updated) = updated else {
        panic!("{updated:?}");
    };
    assert_eq!(
        (
            updated.id.as_str(),
            updated.location.target.as_str(),
            updated.entity_ref.as_str()
        ),
        ("1", "https://h/c", "location:default/a")
    );
    let found = storage.find_location(world.tenant, "1").await.unwrap();
    assert_eq!(found.unwrap().location, updated.location);
    assert_eq!(world.settle().await, ["location:default/a"]);
    let served = world.served("location:default/a").await.unwrap();
    assert_eq!(served.uid, uid);
    assert!(served.body.contains("https://h/c"), "{}", served.body);
    assert!(world.served("component:default/x").await.is_some());

    assert!(matches!(
        update("1", "https://h/c").await,
        UpdatedLocation::Updated(_)
    ));
    assert!(world.settle().await.is_empty(), "the same again is no work");
}

/// A location is registered for the target that another one had before: both stand behind one entity. Whichever goes, the
/// one that stays is read.
pub async fn a_shared_entity_becomes_the_other_locations(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let [first, second] = ["https://h/a", "https://h/b"].map(|to| LocationRef::new("url", to));
    let entity_ref = generated_ref(&first);
    let entity = |at: &LocationRef| {
        let body = registered(at, &entity_ref).unwrap().to_json();
        provided(entity_ref.as_str(), &body, Some(&at.to_string()))
    };
    let add = |id: &str| NewLocation {
        id: id.to_owned(),
        location: first.clone(),
        entity: entity(&first),
    };
    storage.add_location(world.tenant, add("1")).await.unwrap();
    let moved = storage.update_location(world.tenant, "1", second.clone(), entity(&second));
    assert!(matches!(moved.await.unwrap(), UpdatedLocation::Updated(_)));
    storage.add_location(world.tenant, add("2")).await.unwrap();
    world.settle().await;
    let body = async || world.served(entity_ref.as_str()).await.unwrap().body;
    assert!(body().await.contains("https://h/a"), "the last one's");

    let deleted = storage.delete_location(world.tenant, "2").await.unwrap();
    assert_eq!(deleted.unwrap().entities, 0);
    world.settle().await;
    assert!(body().await.contains("https://h/b"), "{}", body().await);
    let deleted = storage.delete_location(world.tenant, "1").await.unwrap();
    assert_eq!(deleted.unwrap().entities, 1);
    assert!(world.all_served().await.is_empty());
}

/// A list after the 204 no longer shows it; what another location reaches stays.
pub async fn deleting_a_location_takes_what_only_it_reaches(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let mut world = World::new(storage, clock).await;
    let shared = child("component:s", "s", Some("k"));
    world.emits(
        "location:default/a",
        vec![child("component:x", "x", None), shared.clone()],
    );
    world.emits("location:default/b", vec![shared]);
    for (id, name) in [("1", "a"), ("2", "b")] {
        let new = location(
            id,
            &format!("https://h/{name}"),
            &format!("location:default/{name}"),
        );
        storage.add_location(world.tenant, new).await.unwrap();
    }
    world.settle().await;
    assert!(
        storage
            .delete_location(world.tenant, "3")
            .await
            .unwrap()
            .is_none()
    );
    let deleted = storage
        .delete_location(world.tenant, "1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(deleted.entities, 2);
    assert_eq!(
        world.all_served().await,
        ["component:default/s", "location:default/b"]
    );
    assert_eq!(deleted.seq, world.log().await.len() as u64);
    assert!(
        storage
            .delete_location(world.tenant, "1")
            .await
            .unwrap()
            .is_none()
    );
}
