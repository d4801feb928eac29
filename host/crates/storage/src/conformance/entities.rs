//! Entities as the API sees them.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{
    World, child, claim_all, claim_only, entity_ref, refs, succeed, success, worker,
};
use super::{HOSTILE_TEXT, TestClock};
use crate::{
    Lane, ProcessingFilter, ProcessingStatus, ReadKey, RefreshScope, Storage, StoredOutcome,
    StoredRead, TracedRead,
};
use greenroom_model::{Clock, Digest, EntityUid, ProcessorName, Stage};

/// By ref, by refs in order, by uid, by uids, and by scanning in pages.
pub async fn an_entity_is_found_every_way(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    world
        .provide(
            "p",
            &[
                "component:default/a",
                "component:default/b",
                "component:default/c",
            ],
        )
        .await;
    assert!(
        world.served("component:a").await.is_none(),
        "before its first success"
    );
    world.settle().await;
    assert_eq!(storage.count_entities(tenant).await.unwrap(), 3);
    let a = world.served("component:a").await.unwrap();
    let b = world.served("component:b").await.unwrap();
    let asked = [
        "component:default/b",
        HOSTILE_TEXT,
        "Component:default/a",
        "component:default/a",
    ];
    let found = storage
        .find_entities_by_refs(tenant, &asked.map(String::from), usize::MAX)
        .await
        .unwrap();
    let uids: Vec<_> = found
        .iter()
        .map(|entity| entity.as_ref().map(|entity| &entity.uid))
        .collect();
    assert_eq!(uids, [Some(&b.uid), None, None, Some(&a.uid)]);
    let gone = EntityUid::new(HOSTILE_TEXT);
    let asked = [gone.clone(), b.uid.clone()];
    let found = storage
        .find_entities_by_uids(tenant, &asked, usize::MAX)
        .await
        .unwrap();
    assert!(found[0].is_none());
    assert_eq!(found[1].as_ref().unwrap().body, b.body);
    // An answer ends with the row that is too much, and has one however large that is.
    for (max_bytes, rows) in [(1, 1), (a.body.len(), 1), (a.body.len() + 1, 2)] {
        let both = [a.uid.clone(), b.uid.clone()];
        let found = storage.find_entities_by_uids(tenant, &both, max_bytes);
        assert_eq!(found.await.unwrap().len(), rows, "{max_bytes}");
        let both = [a.entity_ref.to_string(), b.entity_ref.to_string()];
        let found = storage.find_entities_by_refs(tenant, &both, max_bytes);
        assert_eq!(found.await.unwrap().len(), rows, "{max_bytes}");
    }
    assert!(
        storage
            .find_entity_by_uid(tenant, &gone)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        storage
            .find_entity_by_uid(tenant, &a.uid)
            .await
            .unwrap()
            .unwrap()
            .etag,
        a.etag
    );
    let mut scanned = Vec::new();
    let mut after = None;
    loop {
        let page = storage
            .scan_entities(tenant, after.as_ref(), 2)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.uid.clone());
        scanned.extend(page.into_iter().map(|entity| entity.uid));
    }
    assert_eq!(scanned.len(), 3);
    assert!(scanned.is_sorted());
}

/// Ref §5.5: still declared, it comes back under a new uid; its own children are looked at.
pub async fn deleting_by_uid_runs_the_parent_again(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    world.emits("location:default/l", vec![child("location:m", "m", None)]);
    world.emits("location:default/m", vec![child("component:a", "a", None)]);
    world.provide("p", &["location:default/l"]).await;
    world.settle().await;
    let (m, a) = (
        world.served("location:m").await.unwrap(),
        world.served("component:a").await.unwrap(),
    );
    let deleted = storage.delete_entity(world.tenant, &m.uid).await.unwrap();
    assert_eq!((deleted.entities, deleted.seq), (1, 4));
    assert_eq!(
        world.all_served().await,
        ["component:default/a", "location:default/l"]
    );
    let ran = world.settle().await;
    assert_eq!(ran[..2], ["location:default/l", "location:default/m"]);
    assert_ne!(world.served("location:m").await.unwrap().uid, m.uid);
    clock.advance(60_000);
    assert_eq!(world.check_orphans().await, 0);
    assert_eq!(world.served("component:a").await.unwrap().uid, a.uid);
    // A run of what is gone is dropped, and nothing else is.
    let unknown = storage.delete_entity(world.tenant, &m.uid).await.unwrap();
    assert_eq!((unknown.entities, unknown.seq), (0, 5));
    storage.redrive(world.tenant, &a.entity_ref).await.unwrap();
    let held = claim_only(storage, &worker("w"), "component:default/a").await;
    storage.delete_entity(world.tenant, &a.uid).await.unwrap();
    let late = succeed(storage, &held, success(&held, Vec::new())).await;
    assert_eq!(late, crate::Recorded::LostClaim);
    world.settle().await;
    world.log().await;
}

/// Itself first; cycles end.
pub async fn an_ancestry_has_every_parent_once(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    world.emits(
        "location:default/a",
        vec![
            child("component:x", "x", None),
            child("location:b", "b", None),
        ],
    );
    world.emits(
        "location:default/b",
        vec![
            child("component:x", "x", None),
            child("location:a", "location:default/a", None),
        ],
    );
    world.provide("p", &["location:default/a"]).await;
    world.settle().await;
    let ancestry = storage
        .ancestry(world.tenant, &entity_ref("component:x"))
        .await
        .unwrap()
        .unwrap();
    let items: Vec<(String, Vec<String>)> = ancestry
        .iter()
        .map(|item| {
            let parents = item.parent_refs.iter().map(ToString::to_string).collect();
            (item.entity.entity_ref.to_string(), parents)
        })
        .collect();
    let (a, b) = (
        "location:default/a".to_owned(),
        "location:default/b".to_owned(),
    );
    assert_eq!(
        items,
        [
            ("component:default/x".to_owned(), vec![a.clone(), b.clone()]),
            (a.clone(), vec![b.clone()]),
            (b, vec![a]),
        ]
    );
    assert!(
        storage
            .ancestry(world.tenant, &entity_ref("component:y"))
            .await
            .unwrap()
            .is_none()
    );
}

fn read(want: &str) -> ReadKey {
    ReadKey {
        credential: "h".into(),
        want: want.into(),
    }
}

/// Records a run of each due item; Locations read something.
async fn run_with_reads(world: &World<'_>, emitted: &[(&str, &str)]) {
    for _ in 0..3 {
        for item in claim_all(world.storage, &worker("w")).await {
            let children = emitted
                .iter()
                .filter(|(parent, _)| *parent == item.entity_ref.as_str())
                .map(|(_, name)| child(name, name, None))
                .collect();
            let mut done = success(&item, children);
            if item.entity_ref.kind() == "location" {
                done.trace = vec![TracedRead {
                    stage: Stage::ReadLocation,
                    processor: ProcessorName::parse("url-reader").unwrap(),
                    key: read(item.entity_ref.name()),
                    digest: Digest::of("1"),
                }];
            }
            succeed(world.storage, &item, done).await;
        }
    }
}

async fn put_read(world: &World<'_>, want: &str) {
    let stored = StoredRead {
        key: read(want),
        outcome: StoredOutcome::NotFound,
        digest: Digest::of("1"),
        etag: None,
        last_modified: None,
        next_due: world.clock.now().plus_ms(3_600_000),
    };
    world.storage.put_read(world.tenant, stored).await.unwrap();
}

/// Of the entity and of its Location ancestors, which are queued; nothing runs that is not due to.
pub async fn a_refresh_makes_reads_due(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    for want in ["l", "other"] {
        put_read(&world, want).await;
    }
    world
        .provide("p", &["location:default/l", "location:default/other"])
        .await;
    run_with_reads(&world, &[("location:default/l", "component:default/x")]).await;
    assert!(storage.claim_due_reads(10).await.unwrap().is_empty());
    let x = entity_ref("component:x");
    assert!(
        storage
            .refresh_entity(world.tenant, &x, RefreshScope::Reads)
            .await
            .unwrap()
    );
    let due = storage.claim_due_reads(10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].read.key, read("l"));
    let queued = claim_all(storage, &worker("w")).await;
    assert_eq!(refs(&queued), ["component:default/x", "location:default/l"]);
    assert!(
        queued
            .iter()
            .all(|item| item.lane == Lane::OnRequest && item.memo.is_some())
    );
    let unknown = entity_ref("component:none");
    let none = storage.refresh_entity(world.tenant, &unknown, RefreshScope::Reads);
    assert!(!none.await.unwrap());
}

/// Whoever has the key, and nobody else; a key that a run no longer has finds nobody.
pub async fn a_refresh_by_key_makes_the_reads_of_its_entities_due(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    put_read(&world, "l").await;
    let all: Vec<String> = (0..1_001)
        .map(|number| format!("component:default/c{number:04}"))
        .collect();
    let refs: Vec<&str> = all.iter().map(String::as_str).collect();
    world.provide("p", &refs).await;
    let keyed = async |key: Option<&str>| {
        loop {
            let claimed = claim_all(storage, &worker("w")).await;
            for item in &claimed {
                let mut done = success(item, Vec::new());
                if item.entity_ref.name() != "c0000" {
                    done.refresh_keys = key.map(str::to_owned).into_iter().collect();
                    done.trace = vec![TracedRead {
                        stage: Stage::PreProcess,
                        processor: ProcessorName::parse("placeholder").unwrap(),
                        key: read("l"),
                        digest: Digest::of("1"),
                    }];
                }
                succeed(storage, item, done).await;
            }
            if claimed.is_empty() {
                return;
            }
        }
    };
    keyed(Some(HOSTILE_TEXT)).await;
    let refresh = async |tenant, key: &str| {
        let refreshed = storage.refresh_by_keys(tenant, vec![key.to_owned(), "none".to_owned()]);
        refreshed.await.unwrap()
    };
    let other = super::tenant(storage, "other").await;
    assert_eq!(refresh(other, HOSTILE_TEXT).await, 0);
    assert_eq!(refresh(world.tenant, "a key").await, 0);
    assert!(storage.claim_due_reads(10).await.unwrap().is_empty());
    assert_eq!(refresh(world.tenant, HOSTILE_TEXT).await, 1_000);
    let due = storage.claim_due_reads(10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].read.key, read("l"));
    assert_eq!(
        storage.queue_depth().await.unwrap(),
        [(Lane::Changed, 1_000)]
    );
    keyed(None).await;
    assert_eq!(refresh(world.tenant, HOSTILE_TEXT).await, 0);
}

/// Whatever its inputs are.
pub async fn a_forced_refresh_runs_again(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    world.emits("location:default/l", vec![child("component:x", "x", None)]);
    world.provide("p", &["location:default/l"]).await;
    world.settle().await;
    let x = entity_ref("component:x");
    assert!(
        storage
            .refresh_entity(world.tenant, &x, RefreshScope::Reads)
            .await
            .unwrap()
    );
    assert!(world.settle().await.is_empty());
    assert!(
        storage
            .refresh_entity(world.tenant, &x, RefreshScope::Forced)
            .await
            .unwrap()
    );
    let mut ran = world.settle().await;
    ran.sort();
    assert_eq!(ran, ["component:default/x", "location:default/l"]);
}

/// Also before the first success; in pages by ref.
pub async fn every_state_is_shown(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world
        .provide(
            "p",
            &[
                "component:default/a",
                "component:default/b",
                "component:default/c",
            ],
        )
        .await;
    let list = |status, after: Option<&'static str>, limit| async move {
        let filter = ProcessingFilter {
            status,
            dead_letters: false,
        };
        let after = after.map(entity_ref);
        let states = storage
            .list_processing(world.tenant, filter, after.as_ref(), limit)
            .await
            .unwrap();
        states
            .into_iter()
            .map(|state| state.entity_ref.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list(None, None, 2).await,
        ["component:default/a", "component:default/b"]
    );
    assert_eq!(
        list(None, Some("component:b"), 2).await,
        ["component:default/c"]
    );
    assert_eq!(
        list(Some(ProcessingStatus::Pending), Some("component:a"), 9)
            .await
            .len(),
        2
    );
    assert!(list(Some(ProcessingStatus::Ok), None, 9).await.is_empty());
    let a = storage
        .find_processing(world.tenant, &entity_ref("component:a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (a.status, a.lane, a.next_due),
        (
            ProcessingStatus::Pending,
            Some(Lane::New),
            Some(clock.now())
        )
    );
    assert_eq!(
        (a.parents, a.last_run, a.served),
        (vec!["p".to_owned()], None, false)
    );
    let item = claim_all(storage, &worker("w")).await.remove(0);
    succeed(storage, &item, success(&item, Vec::new())).await;
    let done = list(Some(ProcessingStatus::Ok), None, 9).await;
    assert_eq!(done, [item.entity_ref.to_string()]);
    let done = storage
        .find_processing(world.tenant, &item.entity_ref)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (done.lane, done.next_due, done.last_run),
        (None, None, Some(clock.now()))
    );
}

/// The same refs in two tenants do not meet anywhere.
pub async fn a_tenants_entities_are_its_own(storage: &dyn Storage, clock: &TestClock) {
    let mut first = World::new(storage, clock).await;
    first.emits(
        "location:default/l",
        vec![child("component:x", "x", Some("k"))],
    );
    let second = World::named(storage, clock, "other").await;
    first.provide("p", &["location:default/l"]).await;
    second
        .provide("p", &["location:default/l", "component:default/x"])
        .await;
    first.settle().await;
    assert_eq!(second.provide("p", &[]).await.removed, 3 - 1);
    assert_eq!(
        first.all_served().await,
        ["component:default/x", "location:default/l"]
    );
    let x = first.served("component:x").await.unwrap();
    assert!(
        storage
            .find_entity_by_uid(second.tenant, &x.uid)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        storage
            .delete_entity(second.tenant, &x.uid)
            .await
            .unwrap()
            .entities,
        0
    );
    assert!(!storage.redrive(second.tenant, &x.entity_ref).await.unwrap());
    assert!(
        storage
            .list_processing(second.tenant, ProcessingFilter::default(), None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    clock.advance(60_000);
    assert_eq!(first.check_orphans().await, 0);
    assert_eq!(first.log().await.len(), 2);
}
