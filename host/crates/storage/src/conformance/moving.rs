//! A tenant out of a database and into another; here both are one, which a tenant cannot tell.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{
    World, child, claim_all, entity_ref, provide, provided, succeed, success, worker,
};
use super::{HOSTILE_TEXT, TestClock, processor_name};
use crate::{
    Blob, BlobKind, IMPORT_REST_MS, ImportEnd, Imported, Lane, MOVED_BYTES, MOVED_ROWS,
    MOVED_TABLES, MovedRow, MovedTable, MovedValue, NewLocation, NewTenant, ProcessorSettings,
    RevisionState, Storage, Tenant, UploadId,
};
use bytes::Bytes;
use greenroom_model::{Digest, LocationRef, Relation, TenantId, TenantName};
use std::collections::BTreeMap;

const COMPONENT: &[u8] = b"the bytes of a component";

fn table(name: &str) -> &'static MovedTable {
    let found = MOVED_TABLES.iter().find(|table| table.name == name);
    found.unwrap()
}

fn new(name: &str) -> NewTenant {
    NewTenant {
        name: TenantName::parse(name).unwrap(),
        secret: [9; 32],
        epoch: format!("epoch-{name}"),
    }
}

/// Everything that is moved of a tenant.
async fn out(storage: &dyn Storage, tenant: TenantId) -> BTreeMap<&'static str, Vec<MovedRow>> {
    let mut all = BTreeMap::new();
    for table in MOVED_TABLES {
        let mut rows: Vec<MovedRow> = Vec::new();
        loop {
            let page = storage
                .export_rows(tenant, table, rows.last())
                .await
                .unwrap();
            assert!(page.len() <= MOVED_ROWS);
            if page.is_empty() {
                break;
            }
            rows.extend(page);
        }
        all.insert(table.name, rows);
    }
    all
}

async fn add(storage: &dyn Storage, id: TenantId, name: &str, rows: Vec<MovedRow>) -> Imported {
    storage.import_rows(id, table(name), rows).await.unwrap()
}

async fn add_component(storage: &dyn Storage, id: TenantId) -> Imported {
    let upload = UploadId(format!("upload-{}", id.0));
    let piece = Bytes::from_static(COMPONENT);
    storage.stage_upload(id, &upload, 0, piece).await.unwrap();
    let digest = Digest::of(COMPONENT);
    let bytes = COMPONENT.len() as u64;
    storage
        .import_component(id, &upload, &digest, bytes)
        .await
        .unwrap()
}

async fn finish(storage: &dyn Storage, id: TenantId, name: &str) -> Option<Tenant> {
    match storage.finish_import(id, new(name)).await.unwrap() {
        ImportEnd::Finished(tenant) => Some(tenant),
        _ => None,
    }
}

/// A tenant with something in nearly every table.
async fn furnished<'a>(storage: &'a dyn Storage, clock: &'a TestClock) -> World<'a> {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    storage
        .put_tenant_settings(tenant, r#"{"catalog":{}}"#)
        .await
        .unwrap();
    let name = processor_name("p");
    storage.create_processor(tenant, &name).await.unwrap();
    let settings = ProcessorSettings {
        config: Some(serde_json::json!({ "text": HOSTILE_TEXT })),
        ..ProcessorSettings::default()
    };
    storage
        .put_processor_settings(tenant, &name, settings)
        .await
        .unwrap();
    let digest = Digest::of(COMPONENT);
    let blob = Blob {
        kind: BlobKind::Component,
        digest,
    };
    storage
        .put_blob(tenant, &blob, Bytes::from_static(COMPONENT))
        .await
        .unwrap();
    storage
        .add_revision(tenant, &name, &digest, COMPONENT.len() as u64)
        .await
        .unwrap();
    let ready = RevisionState::Ready {
        descriptor: HOSTILE_TEXT.into(),
    };
    storage
        .finish_inspection(tenant, &name, 1, ready)
        .await
        .unwrap();
    let location = NewLocation {
        id: "11111111-1111-4111-8111-111111111111".into(),
        location: LocationRef::new("url", "https://h/x"),
        entity: provided("location:l", "bytes", Some("url:https://h/x")),
    };
    storage.add_location(tenant, location).await.unwrap();
    provide(
        storage,
        tenant,
        "provider:q",
        vec![
            provided("component:b", HOSTILE_TEXT, None),
            provided("component:a", "other", Some("another key")),
        ],
    )
    .await;
    for _ in 0..3 {
        for item in claim_all(storage, &worker("w")).await {
            let mut ran = success(&item, Vec::new());
            match item.entity_ref.as_str() {
                // One that is its own, and one that is another's.
                "location:default/l" => {
                    ran.children = vec![
                        child("component:c", "bytes", Some("key")),
                        child("component:a", HOSTILE_TEXT, Some("key")),
                    ];
                }
                "component:default/b" => {
                    ran.refresh_keys = vec!["a key".into()];
                    ran.relations = vec![Relation {
                        source: entity_ref("component:b"),
                        r#type: "ownedBy".into(),
                        target: entity_ref("group:g"),
                    }];
                }
                _ => {}
            }
            succeed(storage, &item, ran).await;
        }
    }
    world.stitch().await;
    storage.activate_revision(tenant, &name, 1).await.unwrap();
    world
}

/// Every row, every body and the bytes of components are the same, uids included; what is the host's own is new.
pub async fn a_tenant_comes_in_as_it_came_out(storage: &dyn Storage, clock: &TestClock) {
    let world = furnished(storage, clock).await;
    let moved = out(storage, world.tenant).await;
    for name in [
        "refresh_state",
        "final_entities",
        "relations",
        "refresh_keys",
        "conflicts",
        "locations",
        "activations",
    ] {
        assert!(!moved[name].is_empty(), "{name} is empty");
    }
    let id = storage.begin_import(&new("b")).await.unwrap();
    for table in MOVED_TABLES {
        let rows = moved[table.name].clone();
        for batch in rows.chunks(MOVED_ROWS) {
            assert_eq!(
                add(storage, id, table.name, batch.to_vec()).await,
                Imported::Added
            );
        }
        if table.name == "processor_revisions" {
            assert_eq!(add_component(storage, id).await, Imported::Added);
        }
    }
    // Nobody sees it yet, and its name is free.
    assert!(storage.find_tenant_by_id(id).await.unwrap().is_none());
    assert_eq!(storage.list_tenants().await.unwrap().len(), 1);
    assert!(storage.find_tenant(&new("b").name).await.unwrap().is_none());
    assert!(!storage.delete_tenant(id).await.unwrap());
    let tenant = finish(storage, id, "b").await.unwrap();
    assert_eq!((tenant.id, tenant.secret), (id, [9; 32]));
    let found = storage.find_tenant(&new("b").name).await.unwrap().unwrap();
    assert_eq!(found.id, id);

    let position = storage.log_position(id).await.unwrap();
    assert_eq!((position.epoch.as_str(), position.seq), ("epoch-b", 0));
    let entities = storage.scan_entities(id, None, 100).await.unwrap();
    let before = storage
        .scan_entities(world.tenant, None, 100)
        .await
        .unwrap();
    let shown = |entities: &[crate::FinalEntity]| {
        let shown = entities.iter();
        shown
            .map(|one| (one.uid.clone(), one.etag.clone(), one.body.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&entities), shown(&before));
    let pipeline = storage.pipeline(id).await.unwrap();
    let (processor, revision) = &pipeline.processors[0];
    assert_eq!(
        (processor.current, revision.digest),
        (Some(1), Digest::of(COMPONENT))
    );
    let blob = Blob {
        kind: BlobKind::Component,
        digest: revision.digest,
    };
    assert_eq!(
        storage.get_blob(id, &blob).await.unwrap().unwrap(),
        COMPONENT
    );
    // Its canary begins anew, and all of it is looked at once.
    let picked = storage.unpicked_canaries().await.unwrap();
    assert!(picked.iter().any(|canary| canary.tenant == id));
    let depth = storage.queue_depth().await.unwrap();
    let bulk = depth.iter().find(|(lane, _)| *lane == Lane::Bulk).unwrap();
    assert_eq!(bulk.1, entities.len() as u64);
    let mut again = out(storage, id).await;
    let canaries = moved["activations"].clone();
    assert_eq!(again["activations"].len(), canaries.len());
    again.insert("activations", canaries);
    assert_eq!(again, moved);
    assert_eq!(out(storage, world.tenant).await, moved);
}

/// Of rows a page has so many, and of bytes so many and one row more.
pub async fn pages_of_an_export_are_bounded(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let small = (0..=MOVED_ROWS).map(|n| provided(&format!("component:c{n}"), "small", None));
    provide(storage, world.tenant, "p", small.collect()).await;
    let state = table("refresh_state");
    let page = storage
        .export_rows(world.tenant, state, None)
        .await
        .unwrap();
    assert_eq!(page.len(), MOVED_ROWS);
    let rest = storage
        .export_rows(world.tenant, state, page.last())
        .await
        .unwrap();
    assert_eq!(rest.len(), 1);
    let large = "x".repeat(MOVED_BYTES / 2 + 1);
    let large = (0..5).map(|n| provided(&format!("component:l{n}"), &large, None));
    provide(storage, world.tenant, "p", large.collect()).await;
    let moved = out(storage, world.tenant).await;
    assert_eq!(moved["refresh_state"].len(), 5);
    let page = storage
        .export_rows(world.tenant, state, None)
        .await
        .unwrap();
    assert_eq!(page.len(), 2);
}

/// A batch is added whole or not at all, and an import that is wrong never ends well.
pub async fn what_does_not_belong_to_an_import_is_refused(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = furnished(storage, clock).await;
    let moved = out(storage, world.tenant).await;
    let id = storage.begin_import(&new("b")).await.unwrap();
    for name in ["processors", "processor_revisions"] {
        assert_eq!(
            add(storage, id, name, moved[name].clone()).await,
            Imported::Added
        );
    }
    let states = moved["refresh_state"].clone();
    let mut twice = states.clone();
    twice.push(states[0].clone());
    assert_eq!(
        add(storage, id, "refresh_state", twice).await,
        Imported::Twice
    );
    // The same name under another uid.
    let mut other = states[0].clone();
    other.0[0] = MovedValue::Text("22222222-2222-4222-8222-222222222222".into());
    assert_eq!(
        add(storage, id, "refresh_state", vec![states[0].clone(), other]).await,
        Imported::Twice
    );
    let finals = moved["final_entities"].clone();
    assert_eq!(
        add(storage, id, "final_entities", finals.clone()).await,
        Imported::NoEntity
    );
    assert!(out(storage, id).await["refresh_state"].is_empty());
    assert_eq!(
        add(storage, id, "refresh_state", states.clone()).await,
        Imported::Added
    );
    assert_eq!(
        add(storage, id, "refresh_state", states[..1].to_vec()).await,
        Imported::Twice
    );
    assert_eq!(
        add(storage, id, "final_entities", finals).await,
        Imported::Added
    );

    let without = storage.finish_import(id, new("b")).await.unwrap();
    assert!(
        matches!(without, ImportEnd::NoComponent(ref name, 1) if name == "p"),
        "{without:?}"
    );
    assert_eq!(add_component(storage, id).await, Imported::Added);
    let again = UploadId("again".into());
    storage
        .stage_upload(id, &again, 0, Bytes::from_static(b"x"))
        .await
        .unwrap();
    for (digest, bytes) in [
        (Digest::of(COMPONENT), COMPONENT.len() as u64),
        (Digest::of("x"), 1),
    ] {
        let refused = storage
            .import_component(id, &again, &digest, bytes)
            .await
            .unwrap();
        assert_eq!(refused, Imported::Twice);
    }
    // Of two imports of a name the first to end has it.
    let second = storage.begin_import(&new("b")).await.unwrap();
    assert!(finish(storage, id, "b").await.is_some());
    let taken = storage.finish_import(second, new("b")).await.unwrap();
    assert!(matches!(taken, ImportEnd::NameTaken), "{taken:?}");
    let ended = add(storage, id, "refresh_state", states).await;
    assert_eq!(ended, Imported::Gone);
    let ended = storage.finish_import(id, new("c")).await.unwrap();
    assert!(matches!(ended, ImportEnd::Gone), "{ended:?}");
    storage.drop_import(id).await.unwrap();
    assert!(
        storage.find_tenant_by_id(id).await.unwrap().is_some(),
        "it is no import any more"
    );
}

/// At once where its caller says so, after an hour where nobody does; and its rows are gone.
pub async fn an_import_that_is_dropped_or_rests_leaves_nothing(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = furnished(storage, clock).await;
    let states = out(storage, world.tenant)
        .await
        .remove("refresh_state")
        .unwrap();
    let dropped = storage.begin_import(&new("b")).await.unwrap();
    add(storage, dropped, "refresh_state", states.clone()).await;
    storage.drop_import(dropped).await.unwrap();
    assert!(out(storage, dropped).await["refresh_state"].is_empty());
    assert_eq!(
        add(storage, dropped, "refresh_state", states.clone()).await,
        Imported::Gone
    );

    let rests = storage.begin_import(&new("b")).await.unwrap();
    clock.advance(IMPORT_REST_MS - 1);
    add(storage, rests, "refresh_state", states.clone()).await;
    clock.advance(IMPORT_REST_MS - 1);
    storage.sweep().await.unwrap();
    assert_eq!(
        out(storage, rests).await["refresh_state"].len(),
        states.len()
    );
    clock.advance(2);
    storage.sweep().await.unwrap();
    assert!(out(storage, rests).await["refresh_state"].is_empty());
    let late = storage.finish_import(rests, new("b")).await.unwrap();
    assert!(matches!(late, ImportEnd::Gone), "{late:?}");
}

/// The memo of a parent whose child was not read out is not kept: its run makes the child again.
pub async fn an_edge_to_nothing_makes_its_parent_run(storage: &dyn Storage, clock: &TestClock) {
    let world = furnished(storage, clock).await;
    let mut moved = out(storage, world.tenant).await;
    let state = table("refresh_state");
    let named = |row: &MovedRow, name: &str| state.value(row, "entity_ref").text() == Some(name);
    let memo = |rows: &[MovedRow]| {
        let row = rows
            .iter()
            .find(|row| named(row, "location:default/l"))
            .unwrap();
        state.value(row, "memo").clone()
    };
    assert_ne!(memo(&moved["refresh_state"]), MovedValue::Null);
    let states = moved.get_mut("refresh_state").unwrap();
    states.retain(|row| !named(row, "component:default/c"));
    let id = storage.begin_import(&new("b")).await.unwrap();
    for name in ["refresh_state", "refresh_state_references"] {
        assert_eq!(
            add(storage, id, name, moved[name].clone()).await,
            Imported::Added
        );
    }
    assert_eq!(
        memo(&out(storage, id).await["refresh_state"]),
        MovedValue::Null
    );
}
