//! Entities as they go into their next run, for dry runs and previews.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::TestClock;
use super::queue::{World, entity_ref};
use crate::Storage;

/// By ref, and in pages by uid; before the first success too, and not what nothing emits any more.
pub async fn entities_are_found_and_scanned_as_they_go_into_their_next_run(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    let other = World::named(storage, clock, "other").await;
    let all = ["a", "b", "c", "d", "e"].map(|name| format!("component:default/{name}"));
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    world.provide("p", &all).await;
    other.provide("p", &["component:default/z"]).await;

    let a = entity_ref("component:default/a");
    let found = storage.find_unprocessed(world.tenant, &a).await.unwrap();
    let found = found.unwrap();
    assert_eq!(found.entity_ref, a);
    assert!(!found.unprocessed.is_empty());
    let elsewhere = storage.find_unprocessed(other.tenant, &a).await.unwrap();
    assert!(elsewhere.is_none());

    let mut scanned = Vec::new();
    let mut after = None;
    loop {
        let page = storage
            .scan_unprocessed(world.tenant, after.as_ref(), 2)
            .await
            .unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.uid.clone());
        scanned.extend(page);
    }
    assert!(scanned.contains(&found));
    let mut refs: Vec<_> = scanned
        .iter()
        .map(|entity| entity.entity_ref.to_string())
        .collect();
    refs.sort();
    assert_eq!(refs, all);
}
