//! Uploads, settings with a version, and revisions that go.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::trial::Trial;
use super::{TestClock, processor_name, tenant};
use crate::{
    Blob, BlobKind, NewRevision, ProcessorSettings, Revision, RevisionDeleted, RevisionState,
    SettingsPut, Storage, UploadId,
};
use bytes::Bytes;
use greenroom_model::{Digest, ProcessorName, TenantId};
use serde_json::json;

fn ready() -> RevisionState {
    RevisionState::Ready {
        descriptor: "{}".into(),
    }
}

fn component(digest: Digest) -> Blob {
    Blob {
        kind: BlobKind::Component,
        digest,
    }
}

/// A processor with as many ready revisions.
async fn with_revisions(storage: &dyn Storage, tenant: TenantId, name: &ProcessorName, count: u32) {
    storage.create_processor(tenant, name).await.unwrap();
    for number in 1..=count {
        let digest = Digest::of(number.to_string());
        storage
            .add_revision(tenant, name, &digest, 1)
            .await
            .unwrap();
        storage
            .finish_inspection(tenant, name, number, ready())
            .await
            .unwrap();
    }
}

async fn upload(storage: &dyn Storage, tenant: TenantId, id: &str, pieces: &[&[u8]]) -> UploadId {
    let id = UploadId(id.to_owned());
    for (number, piece) in (0..).zip(pieces) {
        storage
            .stage_upload(tenant, &id, number, Bytes::copy_from_slice(piece))
            .await
            .unwrap();
    }
    id
}

/// A version is met once in a tenant, and equal settings keep theirs and queue nothing.
pub async fn settings_are_replaced_only_at_the_version_they_were_read_at(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("p");
    let put = async |priority, expected| {
        let settings = ProcessorSettings {
            priority: Some(priority),
            ..ProcessorSettings::default()
        };
        storage
            .put_processor_settings_if(tenant, &name, settings, expected)
            .await
            .unwrap()
    };
    let find = async || {
        storage
            .find_processor(tenant, &name)
            .await
            .unwrap()
            .unwrap()
    };
    assert_eq!(put(1, None).await, SettingsPut::NoProcessor);
    storage.create_processor(tenant, &name).await.unwrap();
    let first = find().await.settings_version;
    let SettingsPut::Put(second) = put(1, Some(first)).await else {
        panic!("the version is the one that was read");
    };
    assert_ne!(second, first);
    assert_eq!(find().await.settings_version, second);
    assert_eq!(put(2, Some(first)).await, SettingsPut::Changed(second));
    assert_eq!(find().await.settings.priority, Some(1));

    let pipeline = storage.pipeline_version(tenant).await.unwrap();
    assert_eq!(put(1, Some(second)).await, SettingsPut::Put(second));
    assert_eq!(storage.pipeline_version(tenant).await.unwrap(), pipeline);
    let SettingsPut::Put(third) = put(3, None).await else {
        panic!("no version is expected");
    };
    storage.delete_processor(tenant, &name).await.unwrap();
    storage.create_processor(tenant, &name).await.unwrap();
    let anew = find().await.settings_version;
    assert!(![first, second, third].contains(&anew), "{anew} again");
}

/// The pieces in order, the empty upload too; the revision is there with its bytes or not at all.
pub async fn an_upload_is_published_whole_with_its_revision(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("p");
    storage.create_processor(tenant, &name).await.unwrap();
    let chunk = vec![7; 256 << 10];
    for (number, pieces) in [vec![], vec![b"a".as_slice(), &chunk, b"", b"z"]]
        .into_iter()
        .enumerate()
    {
        let bytes = pieces.concat();
        let digest = Digest::of(&bytes);
        let id = upload(storage, tenant, &number.to_string(), &pieces).await;
        assert!(
            storage
                .get_blob(tenant, &component(digest))
                .await
                .unwrap()
                .is_none()
        );
        let added = storage
            .publish_revision(tenant, &name, &id, &digest, bytes.len() as u64)
            .await
            .unwrap()
            .unwrap();
        let NewRevision::Added(revision) = added else {
            panic!("these bytes are new");
        };
        assert_eq!(
            (revision.digest, revision.bytes),
            (digest, bytes.len() as u64)
        );
        let stored = storage.get_blob(tenant, &component(digest)).await.unwrap();
        assert!(stored.unwrap() == bytes);
    }
    // Nothing is left over to be swept.
    assert_eq!(storage.sweep().await.unwrap(), 0);
}

/// Known bytes are the known revision; an upload for a processor that went meanwhile is dropped.
pub async fn an_upload_of_known_bytes_or_for_nobody_leaves_nothing(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    let name = processor_name("p");
    let digest = Digest::of("one");
    let publish = async |tenant, id: &str| {
        let id = upload(storage, tenant, id, &[b"one"]).await;
        storage
            .publish_revision(tenant, &name, &id, &digest, 3)
            .await
            .unwrap()
    };
    assert!(publish(a, "u1").await.is_none());
    storage.create_processor(a, &name).await.unwrap();
    assert!(matches!(
        publish(a, "u2").await,
        Some(NewRevision::Added(_))
    ));
    let again = publish(a, "u3").await;
    assert!(matches!(
        again,
        Some(NewRevision::Known(Revision { number: 1, .. }))
    ));
    assert_eq!(
        storage
            .get_blob(a, &component(digest))
            .await
            .unwrap()
            .unwrap(),
        "one"
    );
    // Another tenant sees what new bytes give.
    storage.create_processor(b, &name).await.unwrap();
    assert!(
        storage
            .get_blob(b, &component(digest))
            .await
            .unwrap()
            .is_none()
    );
    assert!(matches!(
        publish(b, "u4").await,
        Some(NewRevision::Added(_))
    ));
    assert_eq!(storage.sweep().await.unwrap(), 0);
}

/// The bytes and the state come together, and the same bytes once more are only known.
pub async fn s03_an_upload_heals_the_damaged_revision_of_its_bytes(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("p");
    let digest = Digest::of("one");
    storage.create_processor(tenant, &name).await.unwrap();
    let publish = async |id: &str| {
        let id = upload(storage, tenant, id, &[b"one"]).await;
        let published = storage.publish_revision(tenant, &name, &id, &digest, 3);
        published.await.unwrap()
    };
    publish("u1").await;
    let blob = component(digest);
    // One that was not inspected yet is not known to be whole.
    storage.put_blob(tenant, &blob, "two".into()).await.unwrap();
    publish("u1 again").await;
    let stored = storage.get_blob(tenant, &blob).await;
    assert_eq!(stored.unwrap().unwrap(), "one");
    let inspected = storage.finish_inspection(tenant, &name, 1, ready());
    inspected.await.unwrap();
    storage.put_blob(tenant, &blob, "two".into()).await.unwrap();
    let marked = storage.mark_damaged(tenant, &digest, Some("it is another"));
    assert_eq!(marked.await.unwrap(), 1);
    for id in ["u2", "u3"] {
        let Some(NewRevision::Known(known)) = publish(id).await else {
            panic!("the revision is there");
        };
        assert_eq!((known.number, known.state), (1, ready()));
        let stored = storage.get_blob(tenant, &blob).await;
        assert_eq!(stored.unwrap().unwrap(), "one");
    }
    assert_eq!(storage.sweep().await.unwrap(), 0);
}

/// At once when it is dropped, after an hour when nobody says so.
pub async fn an_upload_that_is_dropped_or_abandoned_leaves_nothing(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let nothing = UploadId("never begun".to_owned());
    storage.drop_upload(tenant, &nothing).await.unwrap();
    let dropped = upload(storage, tenant, "dropped", &[b"a", b"b"]).await;
    storage.drop_upload(tenant, &dropped).await.unwrap();
    assert_eq!(storage.sweep().await.unwrap(), 0);
    upload(storage, tenant, "abandoned", &[b"a", b"b"]).await;
    assert_eq!(storage.sweep().await.unwrap(), 0);
    clock.advance(3_600_001);
    assert_eq!(storage.sweep().await.unwrap(), 3);
    assert_eq!(storage.sweep().await.unwrap(), 0);
}

/// The current one and what a roll-back goes to stay.
pub async fn a_revision_that_something_needs_is_not_deleted(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    let name = processor_name("p");
    let delete = async |tenant, number| {
        storage
            .delete_revision(tenant, &name, number)
            .await
            .unwrap()
    };
    assert_eq!(delete(a, 1).await, RevisionDeleted::NotFound);
    with_revisions(storage, a, &name, 4).await;
    for number in [1, 2, 4] {
        storage.activate_revision(a, &name, number).await.unwrap();
    }
    assert_eq!(delete(b, 3).await, RevisionDeleted::NotFound);
    assert_eq!(delete(a, 4).await, RevisionDeleted::Current);
    assert_eq!(delete(a, 2).await, RevisionDeleted::RollBackTarget);
    assert_eq!(delete(a, 1).await, RevisionDeleted::Deleted);
    assert_eq!(delete(a, 1).await, RevisionDeleted::NotFound);
    assert_eq!(delete(a, 3).await, RevisionDeleted::Deleted);
    let left = storage.list_revisions(a, &name).await.unwrap();
    let left: Vec<_> = left.iter().map(|revision| revision.number).collect();
    assert_eq!(left, [4, 2]);
    assert!(!storage.activate_revision(a, &name, 3).await.unwrap());
    // A number is not given again, and the same bytes are a new revision.
    let again = storage
        .add_revision(a, &name, &Digest::of("3"), 1)
        .await
        .unwrap();
    assert!(matches!(
        again,
        Some(NewRevision::Added(Revision { number: 5, .. }))
    ));
}

/// Also where a roll-back would go elsewhere.
pub async fn what_a_quarantine_returns_to_is_neither_deleted_nor_dropped(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let trial = Trial::new(storage, clock, 2).await;
    let (tenant, name) = (trial.world.tenant, &trial.name);
    let one = trial.pass("one", 50).await;
    let two = trial.pass("two", 50).await;
    trial.revision("three").await;
    trial.activate(one).await;
    let older = storage.find_roll_back_target(tenant, name).await.unwrap();
    assert!(older.is_none());
    let deleted = storage.delete_revision(tenant, name, two).await.unwrap();
    assert_eq!(deleted, RevisionDeleted::RollBackTarget);
    let dropped = storage.drop_old_revisions(tenant, name, 0).await.unwrap();
    assert_eq!(dropped, [3]);
    let left = storage.list_revisions(tenant, name).await.unwrap();
    let left: Vec<_> = left.iter().map(|revision| revision.number).collect();
    assert_eq!(left, [two, one]);
}

/// Not to one that was never current, nor to a newer one.
pub async fn rolling_back_goes_to_the_newest_older_one_that_was_current(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("p");
    let target = async || {
        let target = storage.find_roll_back_target(tenant, &name).await.unwrap();
        target.map(|revision| revision.number)
    };
    assert_eq!(target().await, None);
    with_revisions(storage, tenant, &name, 4).await;
    for (activated, expected) in [(1, None), (3, Some(1)), (4, Some(3)), (3, Some(1))] {
        storage
            .activate_revision(tenant, &name, activated)
            .await
            .unwrap();
        assert_eq!(target().await, expected, "after {activated}");
    }
}

/// Both or neither.
pub async fn a_revision_is_activated_with_its_configuration(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("p");
    with_revisions(storage, tenant, &name, 1).await;
    let before = ProcessorSettings {
        priority: Some(5),
        ..ProcessorSettings::default()
    };
    storage
        .put_processor_settings(tenant, &name, before.clone())
        .await
        .unwrap();
    let version = storage
        .find_processor(tenant, &name)
        .await
        .unwrap()
        .unwrap();
    let config = json!({"team": "a"});
    let activate = async |number| {
        storage
            .activate_revision_with_config(tenant, &name, number, config.clone())
            .await
            .unwrap()
    };
    assert!(!activate(2).await);
    let kept = storage
        .find_processor(tenant, &name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((kept.settings, kept.current), (before.clone(), None));
    assert!(activate(1).await);
    let found = storage
        .find_processor(tenant, &name)
        .await
        .unwrap()
        .unwrap();
    let expected = ProcessorSettings {
        config: Some(config.clone()),
        ..before
    };
    assert_eq!((found.settings, found.current), (expected, Some(1)));
    assert_ne!(found.settings_version, version.settings_version);
}
