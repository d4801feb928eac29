//! Registered locations.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::TestClock;
use super::queue::{World, child, provided};
use crate::{AddedLocation, NewLocation, Storage};
use greenroom_model::LocationRef;

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
