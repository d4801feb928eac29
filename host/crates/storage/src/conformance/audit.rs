//! The audit log, and that every change and its record are one.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{World, entity_ref, provided};
use super::{HOSTILE_TEXT, TestClock, processor_name, tenant};
use crate::{
    AddedLocation, AuditEntry, BundledSettings, Lane, Mutation, MutationId, MutationKind,
    MutationLine, NewLocation, NewRevision, NewTenant, NewToken, ProcessorSettings, QuotaOverrides,
    RefreshScope, RevisionState, Scope, SettingsPut, Storage, TaskAnswer, TaskSettings,
    UpdatedLocation, UploadId,
};
use bytes::Bytes;
use greenroom_model::{Clock, Digest, LocationRef, TenantId, TenantName, Timestamp};
use serde_json::json;
use std::cell::Cell;
use std::sync::Arc;

/// Newest first, of one tenant or of all, with the storage's time.
pub async fn the_audit_log_keeps_order_and_tenant(storage: &dyn Storage, clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    for (action, of) in [
        ("first", Some(tenant)),
        ("second", None),
        (HOSTILE_TEXT, Some(tenant)),
    ] {
        let entry = AuditEntry {
            subject: HOSTILE_TEXT.into(),
            after: Some(HOSTILE_TEXT.into()),
            ..entry(action, of)
        };
        storage.append_audit(entry).await.unwrap();
    }
    let actions = |entries: &[AuditEntry]| -> Vec<String> {
        entries.iter().map(|entry| entry.action.clone()).collect()
    };
    let all = storage.list_audit(None, 10).await.unwrap();
    assert_eq!(actions(&all), [HOSTILE_TEXT, "second", "first"]);
    assert_eq!(all[0].at, clock.now());
    assert_eq!(all[0].subject, HOSTILE_TEXT);
    assert_eq!(all[0].after.as_deref(), Some(HOSTILE_TEXT));
    let own = storage.list_audit(Some(tenant), 1).await.unwrap();
    assert_eq!(actions(&own), [HOSTILE_TEXT]);
    // It outlives the tenant, but not 400 days.
    assert!(storage.delete_tenant(tenant).await.unwrap());
    storage.sweep().await.unwrap();
    assert_eq!(storage.list_audit(Some(tenant), 10).await.unwrap().len(), 2);
    clock.advance(401 * 86_400_000);
    storage.sweep().await.unwrap();
    assert!(storage.list_audit(None, 10).await.unwrap().is_empty());
}

fn entry(action: &str, tenant: Option<TenantId>) -> AuditEntry {
    AuditEntry {
        at: Timestamp(0),
        tenant,
        actor: "t1".into(),
        action: action.into(),
        subject: "it".into(),
        remote: "127.0.0.1".into(),
        before: None,
        after: None,
    }
}

/// The log as a reader sees it who comes back after each change.
struct Reader<'a> {
    storage: &'a dyn Storage,
    tenant: TenantId,
    read: Cell<usize>,
}

impl<'a> Reader<'a> {
    async fn new(storage: &'a dyn Storage, tenant: TenantId) -> Reader<'a> {
        let read = Cell::new(storage.list_audit(None, 1_000).await.unwrap().len());
        Reader {
            storage,
            tenant,
            read,
        }
    }

    /// A handle for that.
    fn doing(&self, action: &str) -> Arc<dyn Storage> {
        self.storage.audited(entry(action, Some(self.tenant)))
    }

    /// What has come since it last looked, which is this and nothing else.
    async fn finds(&self, actions: &[&str]) -> Vec<AuditEntry> {
        let mut all = self.storage.list_audit(None, 1_000).await.unwrap();
        let new = all.len() - self.read.replace(all.len());
        all.truncate(new);
        let found: Vec<_> = all.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(found, actions);
        all
    }
}

fn new_tenant(name: &str) -> NewTenant {
    NewTenant {
        name: TenantName::parse(name).unwrap(),
        secret: [7; 32],
        epoch: "epoch".into(),
    }
}

/// Tenants, tokens, quotas, tasks. A change is told once by a handle, and an operation that changes nothing is not told.
pub async fn a_change_of_the_operator_leaves_one_record(storage: &dyn Storage, _clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let reader = Reader::new(storage, tenant).await;

    let storage = reader.doing("create");
    let made = storage.create_tenant(new_tenant("new")).await.unwrap();
    let told = reader.finds(&["create"]).await;
    assert_eq!(told[0].tenant, Some(made.unwrap().id), "its own id");
    let again = reader
        .doing("create")
        .create_tenant(new_tenant("new"))
        .await;
    assert!(again.unwrap().is_none());
    reader.finds(&[]).await;
    // A handle tells one thing.
    storage.create_tenant(new_tenant("newer")).await.unwrap();
    reader.finds(&[]).await;

    let token = NewToken {
        id: "t".into(),
        tenant: Some(tenant),
        name: String::new(),
        secret_hash: [7; 32],
        scopes: vec![Scope::Read],
        not_before: None,
        expires_at: None,
    };
    reader.doing("grant").create_token(token).await.unwrap();
    reader.finds(&["grant"]).await;
    for (of, told) in [(None, vec![]), (Some(tenant), vec!["revoke"])] {
        let revoked = reader.doing("revoke").revoke_token(of, "t").await.unwrap();
        assert_eq!(revoked, !told.is_empty());
        reader.finds(&told).await;
    }

    let set = QuotaOverrides {
        entities: Some(5),
        ..QuotaOverrides::default()
    };
    let put = reader
        .doing("quotas")
        .put_quota_overrides(tenant, set)
        .await;
    put.unwrap();
    reader.finds(&["quotas"]).await;

    let settings = TaskSettings {
        cadence_ms: 5_000,
        initial_delay_ms: 1_000,
        timeout_ms: 4_000,
    };
    reader.storage.keep_task("t", settings).await.unwrap();
    for (id, answer, told) in [
        ("t", TaskAnswer::Done, vec!["trigger"]),
        ("none", TaskAnswer::Unknown, vec![]),
    ] {
        let triggered = reader.doing("trigger").trigger_task(id).await.unwrap();
        assert_eq!(triggered, answer);
        reader.finds(&told).await;
    }
    let cancelled = reader.doing("cancel").cancel_task("t").await.unwrap();
    assert_eq!(cancelled, TaskAnswer::WrongState);
    reader.finds(&[]).await;

    for (deleted, told) in [(true, vec!["delete"]), (false, vec![])] {
        let gone = reader.doing("delete").delete_tenant(tenant).await.unwrap();
        assert_eq!(gone, deleted);
        reader.finds(&told).await;
    }
}

/// Processors, their settings and their revisions. What is tidied up beside is not told.
pub async fn a_change_of_a_processor_leaves_one_record(storage: &dyn Storage, _clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let reader = Reader::new(storage, tenant).await;
    let name = processor_name("p");
    for told in [vec!["create"], vec![]] {
        let created = reader.doing("create").create_processor(tenant, &name).await;
        created.unwrap();
        reader.finds(&told).await;
    }
    let settings = ProcessorSettings {
        priority: Some(7),
        ..ProcessorSettings::default()
    };
    for told in [vec!["put"], vec![]] {
        let put = reader
            .doing("put")
            .put_processor_settings_if(tenant, &name, settings.clone(), None)
            .await;
        assert!(matches!(put.unwrap(), SettingsPut::Put(_)));
        reader.finds(&told).await;
    }
    let stale = reader
        .doing("put")
        .put_processor_settings_if(tenant, &name, ProcessorSettings::default(), Some(-1))
        .await;
    assert!(matches!(stale.unwrap(), SettingsPut::Changed(_)));
    reader.finds(&[]).await;
    for told in [vec!["bundled"], vec![]] {
        let bundled = processor_name("bundled");
        let put = reader
            .doing("bundled")
            .put_bundled_settings(tenant, &bundled, BundledSettings::default(), None)
            .await;
        put.unwrap();
        reader.finds(&told).await;
    }

    for (bytes, known) in [("one", false), ("two", false), ("one", true)] {
        let (id, digest) = (UploadId(format!("{bytes}{known}")), Digest::of(bytes));
        let piece = Bytes::copy_from_slice(bytes.as_bytes());
        storage.stage_upload(tenant, &id, 0, piece).await.unwrap();
        let added = reader
            .doing("upload")
            .publish_revision(tenant, &name, &id, &digest, 3)
            .await
            .unwrap()
            .unwrap();
        if known {
            assert!(matches!(added, NewRevision::Known(_)));
            reader.finds(&[]).await;
        } else {
            let told = reader.finds(&["upload"]).await;
            let after: serde_json::Value =
                serde_json::from_str(told[0].after.as_deref().unwrap()).unwrap();
            assert_eq!(after["digest"], json!(digest));
        }
    }
    for number in [1, 2] {
        let ready = RevisionState::Ready {
            descriptor: "{}".into(),
        };
        let inspected = storage.finish_inspection(tenant, &name, number, ready);
        inspected.await.unwrap();
    }
    for (number, told) in [(1, vec!["activate"]), (9, vec![])] {
        let activated = reader
            .doing("activate")
            .activate_revision(tenant, &name, number)
            .await
            .unwrap();
        assert_eq!(activated, !told.is_empty());
        reader.finds(&told).await;
    }
    // An activation is one also where its revision was current before.
    let again = reader
        .doing("again")
        .activate_revision_with_config(tenant, &name, 1, json!({}))
        .await;
    assert!(again.unwrap());
    reader.finds(&["again"]).await;
    for told in [vec!["drop"], vec![]] {
        let dropped = reader
            .doing("drop")
            .drop_old_revisions(tenant, &name, 0)
            .await;
        assert_eq!(dropped.unwrap().len(), told.len());
        for record in reader.finds(&told).await {
            assert_eq!(record.before.as_deref(), Some(r#"{"revisions":[2]}"#));
        }
    }
    let current = reader
        .doing("delete")
        .delete_revision(tenant, &name, 1)
        .await;
    current.unwrap();
    reader.finds(&[]).await;
    // Blobs wait to be tidied up, which is nobody's deed.
    for (deleted, told) in [(true, vec!["delete"]), (false, vec![])] {
        let gone = reader.doing("delete").delete_processor(tenant, &name).await;
        assert_eq!(gone.unwrap(), deleted);
        reader.finds(&told).await;
    }
}

/// Locations, entities and mutations.
pub async fn a_change_of_the_catalog_leaves_one_record(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    let reader = Reader::new(storage, tenant).await;
    let location = |id: &str| NewLocation {
        id: id.into(),
        location: LocationRef::new("url", "https://h/a"),
        entity: provided("location:a", "bytes", Some("url:https://h/a")),
    };
    for (id, told) in [("1", vec!["register"]), ("2", vec![])] {
        let added = reader
            .doing("register")
            .add_location(tenant, location(id))
            .await;
        let added = added.unwrap();
        assert_eq!(matches!(added, AddedLocation::Added(_)), id == "1");
        reader.finds(&told).await;
    }
    world.settle().await;
    for (id, told) in [("1", vec!["move"]), ("9", vec![])] {
        let to = LocationRef::new("url", "https://h/b");
        let entity = provided("location:a", "other", Some("url:https://h/b"));
        let updated = reader
            .doing("move")
            .update_location(tenant, id, to, entity)
            .await
            .unwrap();
        assert_eq!(matches!(updated, UpdatedLocation::Updated(_)), id == "1");
        reader.finds(&told).await;
    }
    world.settle().await;

    for (name, told) in [("location:a", true), ("location:none", false)] {
        let told = |action| if told { vec![action] } else { vec![] };
        let entity_ref = entity_ref(name);
        let refreshed = reader
            .doing("refresh")
            .refresh_entity(tenant, &entity_ref, RefreshScope::Forced)
            .await;
        assert_eq!(refreshed.unwrap(), !told("").is_empty());
        reader.finds(&told("refresh")).await;
        world.settle().await;
        let redriven = reader.doing("redrive").redrive(tenant, &entity_ref).await;
        assert_eq!(redriven.unwrap(), !told("").is_empty());
        reader.finds(&told("redrive")).await;
    }

    for (told, added) in [(vec!["push"], 400), (vec![], 0)] {
        let mutation = Mutation {
            kind: MutationKind::Full,
            added: (0..400)
                .map(|number| provided(&format!("component:c{number}"), "bytes", None))
                .collect(),
            removed: Vec::new(),
        };
        let pushed = reader
            .doing("push")
            .apply_mutation(tenant, "p", mutation)
            .await;
        assert_eq!(pushed.unwrap().added, added);
        reader.finds(&told).await;
    }
    let id = MutationId("m".into());
    let lines = vec![MutationLine::Remove(entity_ref("component:c0"))];
    storage
        .stage_mutation(tenant, &id, "p", MutationKind::Delta, 0, lines)
        .await
        .unwrap();
    for told in [vec!["staged"], vec![]] {
        let applied = reader.doing("staged").apply_staged(tenant, &id).await;
        assert_eq!(applied.unwrap().is_some(), !told.is_empty());
        reader.finds(&told).await;
    }
    world.settle().await;

    let uid = &world.served("component:c1").await.unwrap().uid;
    for told in [vec!["delete"], vec![]] {
        let deleted = reader.doing("delete").delete_entity(tenant, uid).await;
        assert_eq!(deleted.unwrap().entities, told.len() as u64);
        reader.finds(&told).await;
    }
    for told in [vec!["unregister"], vec![]] {
        let deleted = reader
            .doing("unregister")
            .delete_location(tenant, "1")
            .await;
        assert_eq!(deleted.unwrap().is_some(), !told.is_empty());
        reader.finds(&told).await;
    }
    let keys = vec!["no such key".to_owned()];
    let refreshed = reader.doing("keys").refresh_by_keys(tenant, keys).await;
    assert_eq!(refreshed.unwrap(), 0);
    reader.finds(&[]).await;
}

/// What a quota refuses has changed nothing, also where lines or pieces of it were kept before.
pub async fn what_has_no_room_leaves_no_record(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    let none = QuotaOverrides {
        entities: Some(0),
        component_bytes: Some(1),
        ..QuotaOverrides::default()
    };
    storage.put_quota_overrides(tenant, none).await.unwrap();
    let reader = Reader::new(storage, tenant).await;

    let location = NewLocation {
        id: "1".into(),
        location: LocationRef::new("url", "https://h/a"),
        entity: provided("location:a", "bytes", None),
    };
    let added = reader
        .doing("register")
        .add_location(tenant, location)
        .await;
    assert!(matches!(added.unwrap(), AddedLocation::OverQuota(_)));
    let id = MutationId("m".into());
    let lines = vec![MutationLine::Add(provided("component:c", "bytes", None))];
    storage
        .stage_mutation(tenant, &id, "p", MutationKind::Full, 0, lines)
        .await
        .unwrap();
    let pushed = reader.doing("push").apply_staged(tenant, &id).await;
    assert!(pushed.unwrap().unwrap().refused.is_some());

    let name = processor_name("p");
    storage.create_processor(tenant, &name).await.unwrap();
    let (upload, digest) = (UploadId("u".into()), Digest::of("one"));
    storage
        .stage_upload(tenant, &upload, 0, Bytes::from_static(b"one"))
        .await
        .unwrap();
    let published = reader
        .doing("upload")
        .publish_revision(tenant, &name, &upload, &digest, 3)
        .await;
    assert!(matches!(
        published.unwrap(),
        Some(NewRevision::OverQuota(_))
    ));
    reader.finds(&[]).await;
    assert_eq!(storage.queue_depth().await.unwrap(), [] as [(Lane, u64); 0]);
}
