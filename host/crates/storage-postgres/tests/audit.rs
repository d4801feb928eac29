//! Proves that the audit is shown what is damaged behind everybody's back, each kind of it, and that mending it leaves what
//! was there before. The damage is done in SQL.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

#[path = "support/database.rs"]
mod database;

use std::collections::BTreeMap;

use database::{Database, block_on};
use greenroom_model::{Clock as _, Digest, EntityRef, LocationRef, ProcessorName, Stage};
use greenroom_storage::conformance::queue::{
    World, child, claim_only, entity_ref, provided, succeed, success, worker,
};
use greenroom_storage::{
    AuditedEntity, ChangeLog as _, Damage, EntityRepository as _, HealingRepository as _,
    LocationRepository as _, NewLocation, Reach, ReadKey, ReadRepository as _, StoredOutcome,
    StoredRead, TracedRead,
};
use greenroom_storage_postgres::PostgresStorage;

/// A catalog whose `system` emits `api` and `web`; `alone` emits nothing.
async fn settled<'a>(storage: &'a PostgresStorage, database: &'a Database) -> World<'a> {
    let mut world = World::new(storage, &database.clock).await;
    let children = vec![
        child("component:api", "api", None),
        child("component:web", "web", None),
    ];
    world.emits("component:default/system", children);
    let roots = ["component:default/system", "component:default/alone"];
    world.provide("p", &roots).await;
    world.settle().await;
    world
}

/// All that is shown of the tenant, by ref.
async fn audited(world: &World<'_>) -> BTreeMap<String, AuditedEntity> {
    let page = world.storage.audit_page(world.tenant, None, 100).await;
    let page = page.unwrap();
    assert!(page.last);
    page.entities
        .into_iter()
        .map(|entity| (entity.entity_ref.to_string(), entity))
        .collect()
}

/// What the audit would find: entities without a memo that nobody has queued, edges, reach.
async fn found(world: &World<'_>) -> Vec<Damage> {
    let mut found = Vec::new();
    for entity in audited(world).await.into_values() {
        let memo = entity.memo == Some(Digest::of(&entity.unprocessed)) && entity.reads_current;
        if !memo && !entity.queued {
            found.push(Damage::Memo(entity.uid.clone()));
        }
        if !entity.edges_as_left && !entity.queued {
            found.push(Damage::Edges(entity.uid.clone()));
        }
        if entity.reach != Reach::AsMarked {
            found.push(Damage::Reach(entity.entity_ref, entity.reach));
        }
    }
    found
}

/// Mends what is found, of which there is one; answers it and the refs that ran.
async fn mended(world: &World<'_>) -> (Damage, Vec<String>) {
    let mut damage = found(world).await;
    assert_eq!(damage.len(), 1, "{damage:?}");
    let healed = world.storage.heal(world.tenant, damage.clone()).await;
    healed.unwrap();
    let ran = world.settle().await;
    world.check_orphans().await;
    (damage.remove(0), ran)
}

async fn parents(world: &World<'_>, name: &str) -> Vec<String> {
    let state = world.storage.find_processing(world.tenant, &of(name)).await;
    state.unwrap().unwrap().parents
}

fn of(name: &str) -> EntityRef {
    EntityRef::new("component", "default", name)
}

#[test]
fn what_is_whole_is_shown_so() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let world = settled(&storage, &database).await;
        assert_eq!(audited(&world).await.len(), 4);
        assert_eq!(found(&world).await, []);
    });
}

/// A memo that is not that of the inputs, a memo that is gone, and work that is gone before it was done.
#[test]
fn a_damaged_memo_makes_one_run() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let world = settled(&storage, &database).await;
        for sql in [
            "UPDATE refresh_state SET memo = sha256('') WHERE entity_ref = 'component:default/api'",
            "UPDATE refresh_state SET memo = NULL WHERE entity_ref = 'component:default/api'",
        ] {
            database.write(sql).await;
            let (damage, ran) = mended(&world).await;
            assert!(matches!(damage, Damage::Memo(_)), "{damage:?}");
            assert_eq!(ran, ["component:default/api"]);
            assert_eq!(found(&world).await, []);
        }
        world.provide("q", &["component:default/new"]).await;
        assert_eq!(found(&world).await, [], "it is queued");
        database.write("DELETE FROM work").await;
        assert!(world.settle().await.is_empty(), "nobody knows of it");
        assert_eq!(mended(&world).await.1, ["component:default/new"]);
        assert!(world.served("component:new").await.is_some());
    });
}

/// A lost edge, a foreign one, a foreign relation: one run of the parent each, and its children are where they were.
#[test]
fn a_damaged_edge_comes_back_and_its_child_stays() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let world = settled(&storage, &database).await;
        let uid = world.served("component:api").await.unwrap().uid;
        let lost = "DELETE FROM refresh_state_references WHERE target_entity_ref = 'component:default/api'";
        let foreign = "INSERT INTO refresh_state_references
                (tenant_id, target_entity_ref, source_key, source_entity_ref)
             SELECT tenant_id, 'component:default/alone', '', 'component:default/system' FROM tenants";
        let relation = "INSERT INTO relations
                (tenant_id, source_entity_ref, type, target_entity_ref, originating_entity_id)
             SELECT tenant_id, entity_ref, 'hasPart', 'component:default/api', entity_id
             FROM refresh_state WHERE entity_ref = 'component:default/system'";
        for sql in [lost, foreign, relation] {
            database.write(sql).await;
            // The child that nothing reaches is found too.
            let damage = found(&world).await;
            let edges = |one: &&Damage| matches!(one, Damage::Edges(_));
            assert_eq!(damage.iter().filter(edges).count(), 1, "{damage:?}");
            world.storage.heal(world.tenant, damage).await.unwrap();
            let ran = world.settle().await;
            assert!(
                ran.contains(&"component:default/system".to_owned()),
                "{sql}"
            );
            world.check_orphans().await;
            assert_eq!(parents(&world, "api").await, ["component:default/system"]);
            assert_eq!(parents(&world, "alone").await, ["p"]);
            assert_eq!(database.sql("SELECT count(*) FROM relations").await, 0);
            assert_eq!(found(&world).await, [], "{sql}");
        }
        database.clock.advance(60_000);
        world.check_orphans().await;
        assert_eq!(world.served("component:api").await.unwrap().uid, uid);
    });
}

/// A mark as an orphan that is wrong either way.
#[test]
fn marks_of_orphans_are_what_edges_say() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let world = settled(&storage, &database).await;
        let mark =
            "UPDATE refresh_state SET orphaned_at = 1 WHERE entity_ref = 'component:default/api'";
        database.write(mark).await;
        let (damage, ran) = mended(&world).await;
        assert_eq!(damage, Damage::Reach(of("api"), Reach::Reached));
        assert!(ran.is_empty());
        assert_eq!(found(&world).await, []);

        let cut = "DELETE FROM refresh_state_references WHERE target_entity_ref = 'component:default/alone'";
        database.write(cut).await;
        let (damage, _) = mended(&world).await;
        assert_eq!(damage, Damage::Reach(of("alone"), Reach::Unreached));
        let alone = world.served("component:alone").await.unwrap();
        assert!(alone.body.ends_with("|true"), "{}", alone.body);
        assert_eq!(found(&world).await, []);
        database.clock.advance(31_000);
        world.check_orphans().await;
        assert!(world.served("component:alone").await.is_none());
    });
}

/// A registered location is one as long as it is listed.
#[test]
fn a_registered_location_keeps_its_entity() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let world = settled(&storage, &database).await;
        let location = NewLocation {
            id: "1".into(),
            location: LocationRef::new("url", "https://h.test/a"),
            entity: provided("location:generated-1", "x", None),
        };
        storage.add_location(world.tenant, location).await.unwrap();
        world.settle().await;
        let cut = "DELETE FROM refresh_state_references WHERE source_key = 'locations'";
        database.write(cut).await;
        let (damage, ran) = mended(&world).await;
        let location = entity_ref("location:generated-1");
        assert_eq!(damage, Damage::Reach(location, Reach::Unregistered));
        assert!(ran.is_empty());
        database.clock.advance(31_000);
        world.check_orphans().await;
        assert!(world.served("location:generated-1").await.is_some());
        assert_eq!(found(&world).await, []);
    });
}

/// A served body that is not what would be stitched, one that is gone, and one that stands for nothing.
#[test]
fn a_damaged_stitch_is_served_right_again_and_logged() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let world = settled(&storage, &database).await;
        let right = world.served("component:web").await.unwrap();
        for sql in [
            "UPDATE final_entities SET final_entity = '{}' WHERE entity_ref = 'component:default/web'",
            "UPDATE final_entities SET etag = 'x' WHERE entity_ref = 'component:default/web'",
            "DELETE FROM final_entities WHERE entity_ref = 'component:default/web'",
        ] {
            let log = storage.log_position(world.tenant).await.unwrap();
            database.write(sql).await;
            let shown = audited(&world).await.remove("component:default/web");
            let served = shown.unwrap().served;
            let is_right = served.is_some_and(|served| {
                (served.body, served.etag) == (right.body.clone(), right.etag.clone())
            });
            assert!(!is_right, "{sql}");
            let damage = vec![Damage::Stitch(of("web"))];
            storage.heal(world.tenant, damage).await.unwrap();
            assert!(audited(&world).await["component:default/web"].stitch_queued);
            world.stitch().await;
            let web = world.served("component:web").await.unwrap();
            assert_eq!(
                (web.body, web.etag),
                (right.body.clone(), right.etag.clone())
            );
            let changes = storage.changes_after(world.tenant, log.seq, 10).await;
            assert_eq!(
                changes.unwrap().unwrap().len(),
                1,
                "followers are told: {sql}"
            );
        }
        let stray =
            "INSERT INTO final_entities (tenant_id, entity_id, entity_ref, etag, final_entity)
             SELECT tenant_id, 'ffffffff', 'component:default/stray', 'x', '{}' FROM tenants";
        database.write(stray).await;
        let page = storage.audit_page(world.tenant, None, 100).await.unwrap();
        assert_eq!(page.strays, [of("stray")]);
        let damage = vec![Damage::Stitch(of("stray"))];
        storage.heal(world.tenant, damage).await.unwrap();
        world.stitch().await;
        assert!(world.served("component:stray").await.is_none());
        assert_eq!(storage.count_entities(world.tenant).await.unwrap(), 4);
    });
}

/// A read that is not what it was when the entity ran, and one that is gone.
#[test]
fn a_read_that_is_another_is_shown() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let world = World::new(&storage, &database.clock).await;
        let key = ReadKey {
            credential: "h".into(),
            want: "w".into(),
        };
        let read = StoredRead {
            key: key.clone(),
            outcome: StoredOutcome::NotFound,
            digest: Digest::of("1"),
            etag: None,
            last_modified: None,
            next_due: database.clock.now().plus_ms(3_600_000),
        };
        storage.put_read(world.tenant, read).await.unwrap();
        world.provide("p", &["component:default/a"]).await;
        let item = claim_only(&storage, &worker("w"), "component:default/a").await;
        let mut done = success(&item, Vec::new());
        done.trace = vec![TracedRead {
            stage: Stage::PreProcess,
            processor: ProcessorName::parse("p").unwrap(),
            key,
            digest: Digest::of("1"),
        }];
        succeed(&storage, &item, done).await;
        world.stitch().await;
        assert_eq!(found(&world).await, []);
        for sql in ["UPDATE reads SET digest = sha256('2')", "DELETE FROM reads"] {
            database.write(sql).await;
            assert!(!audited(&world).await["component:default/a"].reads_current);
        }
    });
}
