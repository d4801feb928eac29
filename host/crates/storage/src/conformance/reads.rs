//! Reads and when they are looked at again; what a changed one queues is in the tests of the work queue.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{World, claim_only, entity_ref, succeed, success, worker};
use super::{HOSTILE_TEXT, TestClock, processor_name, tenant};
use crate::{ReadKey, RefreshScope, Storage, StoredOutcome, StoredRead, TracedRead};
use bytes::Bytes;
use greenroom_model::{Clock, Digest, Stage, Timestamp};

fn key(want: &str) -> ReadKey {
    ReadKey {
        credential: "github.com".into(),
        want: want.into(),
    }
}

fn read(want: &str, outcome: StoredOutcome, digest: &str, next_due: Timestamp) -> StoredRead {
    StoredRead {
        key: key(want),
        outcome,
        digest: Digest::of(digest),
        etag: Some(HOSTILE_TEXT.into()),
        last_modified: None,
        next_due,
    }
}

fn document(body: Option<&str>) -> StoredOutcome {
    StoredOutcome::Document {
        body: body.map(|text| Bytes::from(text.to_owned())),
        final_url: "https://github.com/a".into(),
    }
}

/// In the order asked for, with `None` where there is none; a body over 1 MiB is not kept.
pub async fn every_outcome_comes_back(storage: &dyn Storage, clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let outcomes = [
        document(Some(HOSTILE_TEXT)),
        document(None),
        StoredOutcome::Listing(vec![HOSTILE_TEXT.into(), "b".into()]),
        StoredOutcome::NotFound,
        StoredOutcome::Refused(HOSTILE_TEXT.into()),
    ];
    let keys: Vec<_> = (0..6).map(|number| key(&format!("get {number}"))).collect();
    for (key, outcome) in keys.iter().zip(&outcomes) {
        let read = read(&key.want, outcome.clone(), "d", clock.now());
        storage.put_read(tenant, read).await.unwrap();
    }
    let found = storage.find_reads(tenant, &keys).await.unwrap();
    assert_eq!(found.len(), 6);
    assert!(found[5].is_none());
    for ((found, key), outcome) in found.iter().zip(&keys).zip(&outcomes) {
        let found = found.as_ref().unwrap();
        assert_eq!(&found.key, key);
        assert_eq!(&found.outcome, outcome);
        assert_eq!(found.digest, Digest::of("d"));
        assert_eq!(found.etag.as_deref(), Some(HOSTILE_TEXT));
        assert_eq!(found.last_modified, None);
        assert_eq!(found.next_due, clock.now());
    }
    let large = StoredOutcome::Document {
        body: Some(Bytes::from(vec![b'x'; (1 << 20) + 1])),
        final_url: "u".into(),
    };
    storage
        .put_read(tenant, read("get large", large, "large", clock.now()))
        .await
        .unwrap();
    let found = storage
        .find_reads(tenant, &[key("get large")])
        .await
        .unwrap();
    let outcome = &found[0].as_ref().unwrap().outcome;
    assert!(matches!(
        outcome,
        StoredOutcome::Document { body: None, .. }
    ));
}

/// The digest decides: the same one is the same bytes.
pub async fn an_unchanged_read_keeps_its_body_and_a_changed_one_does_not(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let put = async |body: Option<&str>, digest: &str| {
        let read = read("get a", document(body), digest, clock.now());
        storage.put_read(tenant, read).await.unwrap();
        let found = storage.find_reads(tenant, &[key("get a")]).await.unwrap();
        found[0].as_ref().unwrap().outcome.clone()
    };
    assert_eq!(put(Some("one"), "1").await, document(Some("one")));
    assert_eq!(put(None, "1").await, document(Some("one")));
    assert_eq!(put(None, "2").await, document(None));
    assert_eq!(put(Some("two"), "2").await, document(Some("two")));
    assert_eq!(put(Some("three"), "3").await, document(Some("three")));
}

/// A read nobody uses goes when it is due and old enough that no run in flight may still use it.
pub async fn an_unused_read_is_dropped_when_its_time_comes(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let due = clock.now().plus_ms(120_000);
    storage
        .put_read(tenant, read("get a", document(Some("a")), "a", due))
        .await
        .unwrap();
    clock.advance(120_000);
    assert!(storage.claim_due_reads(10).await.unwrap().is_empty());
    assert!(storage.find_reads(tenant, &[key("get a")]).await.unwrap()[0].is_some());
    let later = clock.now().plus_ms(3_660_000);
    for key in [key("get a"), key("get missing")] {
        storage.reschedule_read(tenant, &key, later).await.unwrap();
    }
    clock.advance(3_600_000);
    assert!(storage.claim_due_reads(10).await.unwrap().is_empty());
    assert!(storage.find_reads(tenant, &[key("get a")]).await.unwrap()[0].is_some());
    clock.advance(60_000);
    assert!(storage.claim_due_reads(10).await.unwrap().is_empty());
    assert!(storage.find_reads(tenant, &[key("get a")]).await.unwrap()[0].is_none());
}

/// Neither another tenant nor another credential sees a read; a tenant that is gone stores none.
pub async fn a_tenants_reads_are_its_own(storage: &dyn Storage, clock: &TestClock) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    storage
        .put_read(a, read("get x", document(Some("x")), "x", clock.now()))
        .await
        .unwrap();
    assert!(storage.find_reads(b, &[key("get x")]).await.unwrap()[0].is_none());
    let anonymous = ReadKey {
        credential: String::new(),
        want: "get x".into(),
    };
    assert!(storage.find_reads(a, &[anonymous]).await.unwrap()[0].is_none());
    storage.delete_tenant(a).await.unwrap();
    storage
        .put_read(a, read("get x", document(Some("x")), "x", clock.now()))
        .await
        .unwrap();
    assert!(storage.find_reads(a, &[key("get x")]).await.unwrap()[0].is_none());
}

/// Stores the read `get a`, due in two minutes, and an entity that used it.
async fn use_a_read(world: &World<'_>) {
    let storage = world.storage;
    world.provide("p", &["component:default/a"]).await;
    let due = world.clock.now().plus_ms(120_000);
    let put = read("get a", document(Some("a")), "a", due);
    storage.put_read(world.tenant, put).await.unwrap();
    let claimed = claim_only(storage, &worker("w"), "component:default/a").await;
    let mut done = success(&claimed, Vec::new());
    done.trace = vec![TracedRead {
        stage: Stage::PreProcess,
        processor: processor_name("placeholder"),
        key: key("get a"),
        digest: Digest::of("a"),
    }];
    succeed(storage, &claimed, done).await;
}

/// Whoever asks for an entity while its read is looked at wants what is there now, which that look may have missed.
pub async fn a_read_that_is_asked_for_while_it_is_looked_at_is_looked_at_again(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    use_a_read(&world).await;
    clock.advance(120_000);
    let ask = async || {
        let asked = entity_ref("component:default/a");
        let scope = RefreshScope::Reads;
        storage
            .refresh_entity(world.tenant, &asked, scope)
            .await
            .unwrap();
    };
    let later = clock.now().plus_ms(3_600_000);
    for found in ["a", "b"] {
        assert_eq!(storage.claim_due_reads(10).await.unwrap().len(), 1);
        clock.advance(1_000);
        ask().await;
        clock.advance(1_000);
        if found == "a" {
            storage
                .reschedule_read(world.tenant, &key("get a"), later)
                .await
                .unwrap();
        } else {
            let changed = read("get a", document(Some(found)), found, later);
            storage.put_read(world.tenant, changed).await.unwrap();
        }
    }
    let again = storage.claim_due_reads(10).await.unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].read.digest, Digest::of("b"));
}

/// A read that is used is handed out when it is due, without its body and to one claimer for a minute.
pub async fn a_used_read_is_claimed_when_it_is_due(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    use_a_read(&world).await;

    assert!(storage.claim_due_reads(10).await.unwrap().is_empty());
    clock.advance(120_000);
    assert!(storage.claim_due_reads(0).await.unwrap().is_empty());
    let reads = storage.claim_due_reads(10).await.unwrap();
    assert_eq!(reads.len(), 1);
    assert_eq!(reads[0].tenant, world.tenant);
    assert_eq!(reads[0].read.key, key("get a"));
    assert_eq!(reads[0].read.outcome, document(None));
    assert_eq!(reads[0].read.digest, Digest::of("a"));
    assert!(storage.claim_due_reads(10).await.unwrap().is_empty());
    // The claimer died: another takes it.
    clock.advance(60_000);
    assert_eq!(storage.claim_due_reads(10).await.unwrap().len(), 1);
    storage
        .reschedule_read(world.tenant, &key("get a"), clock.now().plus_ms(3_600_000))
        .await
        .unwrap();
    clock.advance(3_599_000);
    assert!(storage.claim_due_reads(10).await.unwrap().is_empty());
    clock.advance(1_000);
    assert_eq!(storage.claim_due_reads(10).await.unwrap().len(), 1);
}
