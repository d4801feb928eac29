//! Processors and their revisions.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{World, claim_all, refs, worker};
use super::{HOSTILE_TEXT, TestClock, processor_name, tenant};
use crate::{
    Blob, BlobKind, BundledSettings, CreatedProcessor, Lane, NewRevision, Processor,
    ProcessorSettings, QuarantineMode, Revision, RevisionState, SetBundled, SettingsPut, Storage,
};
use greenroom_model::{Clock, Digest, Matcher, TenantId};
use serde_json::json;

fn ready() -> RevisionState {
    RevisionState::Ready {
        descriptor: HOSTILE_TEXT.into(),
    }
}

fn created(created: CreatedProcessor) -> Processor {
    match created {
        CreatedProcessor::There(processor) => *processor,
        CreatedProcessor::OverQuota(over) => panic!("{over}"),
    }
}

async fn add(storage: &dyn Storage, tenant: TenantId, name: &str, bytes: &str) -> Revision {
    let digest = Digest::of(bytes);
    let added = storage
        .add_revision(tenant, &processor_name(name), &digest, bytes.len() as u64)
        .await
        .unwrap();
    match added.unwrap() {
        NewRevision::Added(revision) => revision,
        other => panic!("it is not new: {other:?}"),
    }
}

/// Creating it again answers the one that is there.
pub async fn a_processor_is_created_once(storage: &dyn Storage, clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("owner");
    let created = created(storage.create_processor(tenant, &name).await.unwrap());
    assert_eq!(created.settings, ProcessorSettings::default());
    assert_eq!(created.current, None);
    let created_at = clock.now();
    clock.advance(1000);
    let again = self::created(storage.create_processor(tenant, &name).await.unwrap());
    assert_eq!(again.created_at, created_at);
    storage
        .create_processor(tenant, &processor_name("a"))
        .await
        .unwrap();
    let listed = storage.list_processors(tenant).await.unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|processor| processor.name.as_str())
        .collect();
    assert_eq!(names, ["a", "owner"]);
    let missing = processor_name("b");
    assert!(
        storage
            .find_processor(tenant, &missing)
            .await
            .unwrap()
            .is_none()
    );
}

/// All settings come back, and each change is seen in the version.
pub async fn settings_are_replaced_and_raise_the_pipeline_version(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("owner");
    assert_eq!(storage.pipeline_version(tenant).await.unwrap(), 0);
    storage.create_processor(tenant, &name).await.unwrap();
    let before = storage.pipeline_version(tenant).await.unwrap();
    let settings = ProcessorSettings {
        priority: Some(-3),
        config: Some(json!({"b": HOSTILE_TEXT, "a": [1, 2.5, null]})),
        limits: Some(json!({"fuel": 5})),
        grants: Some(vec!["origin".into(), HOSTILE_TEXT.into()]),
        enabled: false,
        subscription: Some(vec![Matcher {
            kinds: vec![HOSTILE_TEXT.into()],
            ..Matcher::default()
        }]),
        quarantine: QuarantineMode::Manual,
    };
    assert!(
        storage
            .put_processor_settings(tenant, &name, settings.clone())
            .await
            .unwrap()
    );
    let found = storage
        .find_processor(tenant, &name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.settings, settings);
    assert!(storage.pipeline_version(tenant).await.unwrap() > before);
    let missing = processor_name("b");
    assert!(
        !storage
            .put_processor_settings(tenant, &missing, settings)
            .await
            .unwrap()
    );
}

/// Set once or again, guarded by their version or not, each tenant for itself; the pipeline has them at its own version.
pub async fn bundled_settings_are_replaced_and_are_part_of_the_pipeline(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    let (name, other) = (processor_name("p"), processor_name("o"));
    assert!(storage.list_bundled_settings(a).await.unwrap().is_empty());
    let all = BundledSettings {
        enabled: false,
        priority: Some(-3),
        config: Some(json!({"b": HOSTILE_TEXT, "a": [1, 2.5, null]})),
        grants: Some(vec!["origin".into(), HOSTILE_TEXT.into()]),
        subscription: Some(vec![Matcher {
            kinds: vec![HOSTILE_TEXT.into()],
            ..Matcher::default()
        }]),
    };
    let put = async |tenant, name, settings: &BundledSettings, expected| {
        let put = storage.put_bundled_settings(tenant, name, settings.clone(), expected);
        put.await.unwrap()
    };
    // One as it ships has version 0.
    assert_eq!(put(a, &name, &all, Some(7)).await, SettingsPut::Changed(0));
    let SettingsPut::Put(first) = put(a, &name, &all, Some(0)).await else {
        panic!("version 0 was expected");
    };
    assert!(first > 0);
    assert_eq!(put(a, &name, &all, None).await, SettingsPut::Put(first));
    let on = BundledSettings::default();
    assert_eq!(
        put(a, &name, &on, Some(0)).await,
        SettingsPut::Changed(first)
    );
    let stored = storage.pipeline(a).await.unwrap();
    assert_eq!(stored.version, first);
    let found = SetBundled {
        name: name.clone(),
        settings: all,
        settings_version: first,
    };
    assert_eq!(stored.bundled, [found]);
    let SettingsPut::Put(second) = put(a, &name, &on, Some(first)).await else {
        panic!("the first version was expected");
    };
    assert!(second > first);
    put(a, &other, &on, None).await;
    let listed = storage.list_bundled_settings(a).await.unwrap();
    let names: Vec<_> = listed.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["o", "p"]);
    assert_eq!(
        (&listed[1].settings, listed[1].settings_version),
        (&on, second)
    );
    // Neither another tenant's, nor a processor of its own.
    assert!(storage.list_bundled_settings(b).await.unwrap().is_empty());
    assert!(storage.pipeline(b).await.unwrap().bundled.is_empty());
    assert!(storage.find_processor(a, &name).await.unwrap().is_none());
    assert!(storage.list_processors(a).await.unwrap().is_empty());
}

/// Numbers count from 1 within the processor; the same bytes are the same revision.
pub async fn a_revision_is_numbered_and_known_by_its_bytes(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let (a, b) = (processor_name("a"), processor_name("b"));
    let digest = Digest::of("one");
    assert!(
        storage
            .add_revision(tenant, &a, &digest, 3)
            .await
            .unwrap()
            .is_none()
    );
    storage.create_processor(tenant, &a).await.unwrap();
    storage.create_processor(tenant, &b).await.unwrap();
    let first = add(storage, tenant, "a", "one").await;
    assert_eq!((first.number, first.bytes), (1, 3));
    assert_eq!(first.state, RevisionState::Inspecting);
    assert_eq!(first.created_at, clock.now());
    assert_eq!(add(storage, tenant, "a", "two").await.number, 2);
    assert_eq!(add(storage, tenant, "b", "one").await.number, 1);
    let known = storage
        .add_revision(tenant, &a, &digest, 3)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(known, NewRevision::Known(revision) if revision.number == 1));
    let listed = storage.list_revisions(tenant, &a).await.unwrap();
    let numbers: Vec<_> = listed.iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, [2, 1]);
    let found = storage.find_revision(tenant, &a, 1).await.unwrap().unwrap();
    assert_eq!(found.digest, digest);
    assert!(
        storage
            .find_revision(tenant, &a, 3)
            .await
            .unwrap()
            .is_none()
    );
}

/// Neither an inspecting nor a rejected nor a missing revision; rolling back is activating again.
pub async fn only_a_ready_revision_becomes_current(storage: &dyn Storage, clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("a");
    storage.create_processor(tenant, &name).await.unwrap();
    for bytes in ["one", "two", "three"] {
        add(storage, tenant, "a", bytes).await;
    }
    let rejected = RevisionState::Rejected {
        reason: HOSTILE_TEXT.into(),
    };
    storage
        .finish_inspection(tenant, &name, 1, ready())
        .await
        .unwrap();
    storage
        .finish_inspection(tenant, &name, 2, rejected)
        .await
        .unwrap();
    let before = storage.pipeline_version(tenant).await.unwrap();
    for number in [2, 3, 4] {
        assert!(
            !storage
                .activate_revision(tenant, &name, number)
                .await
                .unwrap()
        );
    }
    assert_eq!(storage.pipeline(tenant).await.unwrap().version, before);
    assert!(
        storage
            .pipeline(tenant)
            .await
            .unwrap()
            .processors
            .is_empty()
    );

    assert!(storage.activate_revision(tenant, &name, 1).await.unwrap());
    let stored = storage.pipeline(tenant).await.unwrap();
    assert!(stored.version > before);
    let pipeline = stored.processors;
    assert_eq!(pipeline.len(), 1);
    assert_eq!(pipeline[0].0.current, Some(1));
    assert_eq!(pipeline[0].1.state, ready());
    assert_eq!(pipeline[0].1.activated_at, Some(clock.now()));

    storage
        .finish_inspection(tenant, &name, 3, ready())
        .await
        .unwrap();
    assert!(storage.activate_revision(tenant, &name, 3).await.unwrap());
    assert!(storage.activate_revision(tenant, &name, 1).await.unwrap());
    assert_eq!(
        storage.pipeline(tenant).await.unwrap().processors[0]
            .1
            .number,
        1
    );

    // A processor that is off is not part of the pipeline.
    let off = ProcessorSettings {
        enabled: false,
        ..ProcessorSettings::default()
    };
    storage
        .put_processor_settings(tenant, &name, off)
        .await
        .unwrap();
    assert!(
        storage
            .pipeline(tenant)
            .await
            .unwrap()
            .processors
            .is_empty()
    );
}

/// Two workers may inspect the same upload; the first verdict stands.
pub async fn an_inspection_ends_once(storage: &dyn Storage, _clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("a");
    storage.create_processor(tenant, &name).await.unwrap();
    add(storage, tenant, "a", "one").await;
    assert!(
        storage
            .finish_inspection(tenant, &name, 1, ready())
            .await
            .unwrap()
    );
    let rejected = RevisionState::Rejected {
        reason: "no".into(),
    };
    assert!(
        !storage
            .finish_inspection(tenant, &name, 1, rejected)
            .await
            .unwrap()
    );
    assert!(
        !storage
            .finish_inspection(tenant, &name, 2, ready())
            .await
            .unwrap()
    );
    let found = storage
        .find_revision(tenant, &name, 1)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.state, ready());
}

/// It leaves the pipeline with everything of it.
pub async fn deleting_a_processor_takes_its_revisions(storage: &dyn Storage, _clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("a");
    assert!(!storage.delete_processor(tenant, &name).await.unwrap());
    storage.create_processor(tenant, &name).await.unwrap();
    add(storage, tenant, "a", "one").await;
    storage
        .finish_inspection(tenant, &name, 1, ready())
        .await
        .unwrap();
    storage.activate_revision(tenant, &name, 1).await.unwrap();
    let before = storage.pipeline_version(tenant).await.unwrap();
    assert!(storage.delete_processor(tenant, &name).await.unwrap());
    let stored = storage.pipeline(tenant).await.unwrap();
    assert!(stored.version > before);
    assert!(stored.processors.is_empty());
    assert!(
        storage
            .list_revisions(tenant, &name)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(!storage.activate_revision(tenant, &name, 1).await.unwrap());
}

/// The same name in another tenant is another processor.
pub async fn a_tenants_processors_are_its_own(storage: &dyn Storage, _clock: &TestClock) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    let name = processor_name("p");
    storage.create_processor(a, &name).await.unwrap();
    add(storage, a, "p", "one").await;
    assert!(storage.find_processor(b, &name).await.unwrap().is_none());
    assert!(storage.find_revision(b, &name, 1).await.unwrap().is_none());
    assert!(
        !storage
            .finish_inspection(b, &name, 1, ready())
            .await
            .unwrap()
    );
    assert!(!storage.delete_processor(b, &name).await.unwrap());
    assert_eq!(storage.pipeline_version(b).await.unwrap(), 0);
    assert_eq!(storage.list_revisions(a, &name).await.unwrap().len(), 1);
}

/// Neither the current one nor what may be gone back to, and what it leaves is gone with its bytes.
pub async fn a20_old_revisions_are_dropped_but_none_that_is_needed(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let (a, b) = (processor_name("a"), processor_name("b"));
    storage.create_processor(tenant, &a).await.unwrap();
    storage.create_processor(tenant, &b).await.unwrap();
    let blob = |bytes: &str| Blob {
        kind: BlobKind::Component,
        digest: Digest::of(bytes),
    };
    for bytes in ["r1", "r2", "r3", "r4", "r5", "r6"] {
        storage
            .put_blob(tenant, &blob(bytes), bytes.into())
            .await
            .unwrap();
        let revision = add(storage, tenant, "a", bytes).await;
        if bytes != "r4" {
            storage
                .finish_inspection(tenant, &a, revision.number, ready())
                .await
                .unwrap();
        }
    }
    // Another processor has the bytes of `r3` too.
    add(storage, tenant, "b", "r3").await;
    storage.activate_revision(tenant, &a, 1).await.unwrap();
    storage.activate_revision(tenant, &a, 5).await.unwrap();
    assert!(
        storage
            .drop_old_revisions(tenant, &a, 6)
            .await
            .unwrap()
            .is_empty()
    );
    let dropped = storage.drop_old_revisions(tenant, &a, 4).await.unwrap();
    assert_eq!(dropped, [2, 3]);
    // `r1` is what a roll-back goes to, `r4` is being inspected, `r5` is current.
    assert_eq!(
        storage.drop_old_revisions(tenant, &a, 0).await.unwrap(),
        [6]
    );
    let kept = storage.list_revisions(tenant, &a).await.unwrap();
    let numbers: Vec<_> = kept.iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, [5, 4, 1]);
    assert!(
        storage
            .get_blob(tenant, &blob("r2"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        storage
            .get_blob(tenant, &blob("r3"))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        add(storage, tenant, "a", "r2").await.number,
        7,
        "numbers are not reused"
    );
}

/// It cannot be activated, stays part of the pipeline, and is well again when its bytes are stored anew.
pub async fn s03_a_damaged_revision_is_marked_and_healed(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("a");
    storage.create_processor(tenant, &name).await.unwrap();
    add(storage, tenant, "a", "one").await;
    let digest = Digest::of("one");
    let marked = storage.mark_damaged(tenant, &digest, Some(HOSTILE_TEXT));
    assert_eq!(
        marked.await.unwrap(),
        0,
        "what is inspected is not ready yet"
    );
    storage
        .finish_inspection(tenant, &name, 1, ready())
        .await
        .unwrap();
    storage.activate_revision(tenant, &name, 1).await.unwrap();
    let marked = storage.mark_damaged(tenant, &digest, Some(HOSTILE_TEXT));
    assert_eq!(marked.await.unwrap(), 1);
    let found = storage
        .find_revision(tenant, &name, 1)
        .await
        .unwrap()
        .unwrap();
    let damaged = RevisionState::Damaged {
        descriptor: HOSTILE_TEXT.into(),
        reason: HOSTILE_TEXT.into(),
    };
    assert_eq!(found.state, damaged);
    assert!(!storage.activate_revision(tenant, &name, 1).await.unwrap());
    assert_eq!(storage.pipeline(tenant).await.unwrap().processors.len(), 1);
    assert_eq!(
        storage.mark_damaged(tenant, &digest, None).await.unwrap(),
        1
    );
    let found = storage
        .find_revision(tenant, &name, 1)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.state, ready());
}

/// Activations, settings and deletions each queue the whole tenant, and no other.
pub async fn what_changes_the_pipeline_queues_the_tenant(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let other = World::named(storage, clock, "other").await;
    world
        .provide("p", &["component:default/a", "component:default/b"])
        .await;
    other.provide("p", &["component:default/c"]).await;
    world.settle().await;
    let name = processor_name("p");
    storage.create_processor(world.tenant, &name).await.unwrap();
    add(storage, world.tenant, "p", "one").await;
    storage
        .finish_inspection(world.tenant, &name, 1, ready())
        .await
        .unwrap();
    assert!(claim_all(storage, &worker("w")).await.is_empty());

    for step in 0..5 {
        match step {
            0 => {
                let activated = storage.activate_revision(world.tenant, &name, 1);
                assert!(activated.await.unwrap());
                let canary = storage.unpicked_canaries().await.unwrap().remove(0);
                assert!(storage.start_canary(&canary, &[]).await.unwrap());
            }
            1 => {
                let settings = ProcessorSettings {
                    priority: Some(1),
                    ..ProcessorSettings::default()
                };
                let put = storage.put_processor_settings(world.tenant, &name, settings);
                assert!(put.await.unwrap());
            }
            2 => storage
                .put_tenant_settings(world.tenant, r#"{"a":1}"#)
                .await
                .unwrap(),
            3 => {
                let off = BundledSettings {
                    enabled: false,
                    ..BundledSettings::default()
                };
                let bundled = processor_name("bundled");
                let put = storage.put_bundled_settings(world.tenant, &bundled, off, None);
                assert!(matches!(put.await.unwrap(), SettingsPut::Put(_)));
            }
            _ => assert!(storage.delete_processor(world.tenant, &name).await.unwrap()),
        }
        let claimed = claim_all(storage, &worker("w")).await;
        assert_eq!(
            refs(&claimed),
            ["component:default/a", "component:default/b"]
        );
        assert!(claimed.iter().all(|item| item.lane == Lane::Bulk));
        let claims: Vec<_> = claimed.into_iter().map(|item| item.claim).collect();
        storage.release(&claims).await.unwrap();
        world.settle().await;
    }
}
