//! Proves what Postgres alone must stand: several processes on one database, one that dies at any moment, damaged values.
//!
//! Two handles on one database share nothing but the database, as two processes do.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

#[path = "support/database.rs"]
mod database;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use database::{Database, block_on};
use greenroom_model::{Digest, EntityRef, ProcessorName, TenantId, TenantName, Timestamp};
use greenroom_storage::conformance::HOSTILE_TEXT;
use greenroom_storage::conformance::queue::{World, provided, stitch, succeed, success, worker};
use greenroom_storage::{
    AuditEntry, AuditLog as _, Blob, BlobKind, BlobRepository as _, HealingRepository as _,
    Maintenance as _, Mutation, MutationId, MutationKind, MutationLine, MutationRepository as _,
    NewTenant, NewToken, OrphanQueue as _, ProcessorRepository as _, ProvidedEntity, Reach, Scope,
    Slots, StorageError, TenantRepository as _, TokenRepository as _, WorkQueue as _,
};
use greenroom_storage_postgres::PostgresStorage;

fn new_tenant(name: &str) -> NewTenant {
    NewTenant {
        name: TenantName::parse(name).unwrap(),
        secret: [0; 32],
        epoch: "e".into(),
    }
}

async fn tenant(storage: &PostgresStorage) -> TenantId {
    let created = storage.create_tenant(new_tenant("acme")).await;
    created.unwrap().unwrap().id
}

/// A record of that text.
fn entry(text: &str, tenant: Option<TenantId>) -> AuditEntry {
    AuditEntry {
        at: Timestamp(0),
        tenant,
        actor: text.into(),
        action: text.into(),
        subject: text.into(),
        remote: text.into(),
        before: Some(text.into()),
        after: Some(text.into()),
    }
}

fn token(id: String) -> NewToken {
    NewToken {
        id,
        tenant: None,
        name: HOSTILE_TEXT.into(),
        secret_hash: [0; 32],
        scopes: vec![Scope::Operator],
        not_before: None,
        expires_at: None,
    }
}

#[test]
fn processes_that_start_at_once_on_a_new_database_all_come_up() {
    let Some(database) = Database::new() else {
        return;
    };
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let (start, database) = (&start, &database);
            scope.spawn(move || {
                start.wait();
                block_on(async {
                    let storage = database.open().await;
                    let created = storage.create_tenant(new_tenant(name)).await;
                    created.unwrap().unwrap();
                });
            });
        }
    });
    block_on(async {
        let storage = database.open().await;
        assert_eq!(storage.list_tenants().await.unwrap().len(), 4);
    });
}

#[test]
fn two_processes_write_at_the_same_time_and_nothing_is_lost() {
    const EACH: usize = 50;
    let Some(database) = Database::new() else {
        return;
    };
    let tenant = block_on(async { tenant(&database.open().await).await });
    let name = ProcessorName::parse("p").unwrap();
    thread::scope(|scope| {
        for prefix in ["a", "b"] {
            let (database, name) = (&database, &name);
            scope.spawn(move || {
                block_on(async {
                    let storage = database.open().await;
                    for number in 0..EACH {
                        let token = token(format!("{prefix}{number}"));
                        storage.create_token(token).await.unwrap();
                        // Read, decide and write in one transaction: both count on.
                        storage.create_processor(tenant, name).await.unwrap();
                        let digest = Digest::of(format!("{prefix}{number}"));
                        let added = storage.add_revision(tenant, name, &digest, 1).await;
                        added.unwrap();
                    }
                });
            });
        }
    });
    block_on(async {
        let storage = database.open().await;
        assert_eq!(storage.list_tokens(None).await.unwrap().len(), 2 * EACH);
        let revisions = storage.list_revisions(tenant, &name).await.unwrap();
        let numbers: Vec<_> = revisions
            .iter()
            .rev()
            .map(|revision| revision.number)
            .collect();
        assert_eq!(numbers, (1..=2 * EACH as u32).collect::<Vec<_>>());
    });
}

/// What a provider gives in a round: half of it is what it gave before.
fn given(round: u32) -> Vec<ProvidedEntity> {
    let range = if round.is_multiple_of(2) {
        0..60
    } else {
        30..90
    };
    range
        .map(|number| provided(&format!("component:c{number}"), &round.to_string(), None))
        .collect()
}

/// Gives everything anew, again and again.
async fn provide(storage: &PostgresStorage, tenant: TenantId, source: &str) {
    for round in 0..=14 {
        let mutation = Mutation {
            kind: MutationKind::Full,
            added: given(round),
            removed: Vec::new(),
        };
        let applied = storage.apply_mutation(tenant, source, mutation).await;
        applied.unwrap();
    }
}

/// Processes and stitches until told to stop.
async fn work(storage: &PostgresStorage, name: &str, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        let claimed = storage.claim(&worker(name), 20, Slots::Any).await.unwrap();
        for item in claimed {
            // Where it went meanwhile, this is a lost claim.
            succeed(storage, &item, success(&item, Vec::new())).await;
        }
        stitch(storage).await;
        storage.check_orphans(100).await.unwrap();
    }
}

/// Providers that give and take the same entities beside workers that process them: nobody waits for another in a circle,
/// the log has no gap, and in the end there is what the providers have, marked as it is reached.
#[test]
fn providers_and_workers_share_a_graph() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let world = World::new(&storage, &database.clock).await;
        let (tenant, stop) = (world.tenant, AtomicBool::new(false));
        thread::scope(|scope| {
            let (database, stop) = (&database, &stop);
            let providers = ["p", "q", "r"].map(|source| {
                scope.spawn(move || {
                    block_on(async { provide(&database.open().await, tenant, source).await });
                })
            });
            for name in ["v", "w"] {
                scope.spawn(move || {
                    block_on(async { work(&database.open().await, name, stop).await });
                });
            }
            let ended = providers.map(thread::ScopedJoinHandle::join);
            stop.store(true, Ordering::SeqCst);
            assert!(ended.iter().all(Result::is_ok));
        });
        world.settle().await;
        world.check_orphans().await;
        assert_eq!(world.all_served().await.len(), 60);
        world.log().await;
        let page = storage.audit_page(tenant, None, 500).await.unwrap();
        assert_eq!((page.entities.len(), page.strays.len()), (60, 0));
        for entity in page.entities {
            assert_eq!(entity.reach, Reach::AsMarked, "{}", entity.entity_ref);
            assert!(entity.edges_as_left && !entity.queued);
        }
        assert_eq!(database.sql("SELECT count(*) FROM work").await, 0);
        let held = "SELECT sum(held)::bigint FROM tenant_lanes";
        assert_eq!(database.sql(held).await, 0);
    });
}

#[test]
fn another_process_sees_a_commit_by_the_data_version() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let (one, two) = (database.open().await, database.open().await);
        let before = two.data_version().await.unwrap();
        one.create_token(token("t".into())).await.unwrap();
        assert_ne!(two.data_version().await.unwrap(), before);
    });
}

#[test]
fn a_newer_schema_is_refused_by_name() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        drop(database.open().await);
        database
            .write("UPDATE schema_version SET version = 999")
            .await;
        let error = database.try_open().await.err().unwrap();
        assert!(matches!(
            error,
            StorageError::NewerSchema { found: 999, .. }
        ));
        assert!(error.to_string().contains("run a newer greenroom"));
    });
}

/// Every damaged value is named by its column; none is guessed, and none breaks what lies beside it.
#[test]
fn a_damaged_value_is_named_by_its_column() {
    let column_of = |error: StorageError| match error {
        StorageError::Damaged { column, .. } => column,
        other => panic!("{other} is not damage"),
    };
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let damage = async |sql: &str| assert_eq!(database.sql(sql).await, 1, "{sql}");
        let name = ProcessorName::parse("p").unwrap();
        let tenant = tenant(&storage).await;
        storage.create_token(token("t".into())).await.unwrap();
        storage.create_processor(tenant, &name).await.unwrap();
        let digest = Digest::of("x");
        let added = storage.add_revision(tenant, &name, &digest, 1).await;
        added.unwrap();

        damage("UPDATE tokens SET scopes = '[\"read\"'").await;
        let error = storage.find_token("t").await.unwrap_err();
        assert_eq!(column_of(error), "tokens.scopes");
        damage("UPDATE tokens SET scopes = '[]', secret_hash = '\\x00'").await;
        let error = storage.find_token("t").await.unwrap_err();
        assert_eq!(column_of(error), "tokens.secret_hash");

        damage("UPDATE processor_revisions SET state = '{\"state\":\"sideways\"}'").await;
        let error = storage.list_revisions(tenant, &name).await.unwrap_err();
        assert_eq!(column_of(error), "processor_revisions.state");
        damage("UPDATE processors SET settings = '{'").await;
        let error = storage.find_processor(tenant, &name).await.unwrap_err();
        assert_eq!(column_of(error), "processors.settings");
        // A write that meets it changes nothing and says the same.
        let error = storage.create_processor(tenant, &name).await.unwrap_err();
        assert_eq!(column_of(error), "processors.settings");
        damage("UPDATE processors SET settings = '{\"priority\":1}', current_revision = 7").await;
        let error = storage.pipeline(tenant).await.unwrap_err();
        assert_eq!(column_of(error), "processors.current_revision");
        damage("UPDATE processors SET current_revision = NULL").await;
        damage(
            "INSERT INTO bundled_settings (tenant_id, name, settings, settings_version)
             SELECT tenant_id, 'codeowners', '{\"limits\":{}}', 1 FROM processors LIMIT 1",
        )
        .await;
        let error = storage.pipeline(tenant).await.unwrap_err();
        assert_eq!(column_of(error), "bundled_settings.settings");

        damage("UPDATE tenants SET name = 'No Name'").await;
        let error = storage.find_tenant_by_id(tenant).await.unwrap_err();
        assert_eq!(column_of(error), "tenants.name");
    });
}

#[test]
fn s03_component_bytes_changed_in_storage_are_never_handed_out() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let tenant = tenant(&storage).await;
        let blob = Blob {
            kind: BlobKind::Component,
            digest: Digest::of("x"),
        };
        let put = storage.put_blob(tenant, &blob, Bytes::from(vec![1; 300 << 10]));
        put.await.unwrap();
        for sql in [
            "UPDATE blob_chunks SET data = set_byte(data, 0, 0) WHERE number = 0",
            "DELETE FROM blob_chunks WHERE number = 1",
        ] {
            assert_eq!(database.sql(sql).await, 1, "{sql}");
            let error = storage.get_blob(tenant, &blob).await.unwrap_err();
            assert!(matches!(
                error,
                StorageError::Damaged {
                    column: "blob_chunks.data",
                    ..
                }
            ));
        }
        // Putting it again heals it.
        let put = storage.put_blob(tenant, &blob, Bytes::from("x"));
        put.await.unwrap();
        let found = storage.get_blob(tenant, &blob).await.unwrap();
        assert_eq!(found.unwrap(), "x");
    });
}

/// A record that cannot be written takes its change back, as on a disk with room for one of them alone (s05).
#[test]
fn s05_there_is_no_change_without_its_record() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        for sql in [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$",
            "CREATE TRIGGER refuse BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refuse()",
        ] {
            database.sql(sql).await;
        }
        let audited = storage.audited(entry("create", None));
        audited.create_tenant(new_tenant("acme")).await.unwrap_err();
        assert!(storage.list_tenants().await.unwrap().is_empty());
        database.sql("DROP TRIGGER refuse ON audit").await;
        let made = audited.create_tenant(new_tenant("acme")).await.unwrap();
        let told = storage.list_audit(None, 2).await.unwrap();
        assert_eq!((told.len(), told[0].tenant), (1, Some(made.unwrap().id)));
    });
}

#[test]
fn text_of_any_kind_is_data_in_every_column() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        for text in [HOSTILE_TEXT, "'; DROP TABLE tenants; --", "\0", ""] {
            let entry = entry(text, Some(TenantId(i64::MAX)));
            storage.append_audit(entry).await.unwrap();
            let found = storage.list_audit(None, 1).await.unwrap().remove(0);
            assert_eq!(found.tenant, Some(TenantId(i64::MAX)));
            for column in [&found.actor, &found.action, &found.subject, &found.remote] {
                assert_eq!(column, text);
            }
            assert_eq!(found.before.as_deref(), Some(text));
            assert_eq!(found.after.as_deref(), Some(text));
        }
        assert!(storage.list_tenants().await.unwrap().is_empty());
    });
}

fn entities(range: std::ops::Range<u32>) -> Vec<ProvidedEntity> {
    range
        .map(|number| ProvidedEntity {
            entity_ref: EntityRef::new("component", "default", &format!("c{number}")),
            unprocessed: "x".into(),
            location_key: None,
        })
        .collect()
}

/// A process that dies between two steps of a mutation has committed it: another completes it from where it was. One of the
/// same provider that comes first takes its place instead.
#[test]
fn a_mutation_whose_process_died_is_completed() {
    block_on(async {
        let Some(database) = Database::new() else {
            return;
        };
        let storage = database.open().await;
        let tenant = tenant(&storage).await;
        let id = |name: &str| MutationId(name.to_owned());
        let stage = async |name: &str, range| {
            let lines = entities(range).into_iter().map(MutationLine::Add).collect();
            let id = id(name);
            let staged = storage.stage_mutation(tenant, &id, "p", MutationKind::Full, 0, lines);
            staged.await.unwrap();
        };
        let died = async |name: &str, placed: u32| {
            let sql = format!(
                "UPDATE mutations SET committed = 1, placed = {placed}, stepped_at = 0 WHERE mutation_id = '{name}'"
            );
            database.write(&sql).await;
        };
        // What it had before, and the 300 it placed before it died.
        let before = Mutation {
            kind: MutationKind::Full,
            added: entities(0..300)
                .into_iter()
                .chain(entities(900..910))
                .collect(),
            removed: Vec::new(),
        };
        storage.apply_mutation(tenant, "p", before).await.unwrap();
        stage("a", 0..600).await;
        died("a", 300).await;
        assert_eq!(storage.resume_mutations().await.unwrap(), 1);
        assert_eq!(storage.count_provided(tenant, "p").await.unwrap(), 600);
        assert_eq!(storage.resume_mutations().await.unwrap(), 0);

        stage("b", 0..500).await;
        died("b", 0).await;
        stage("c", 0..550).await;
        let newer = storage.apply_staged(tenant, &id("c")).await.unwrap();
        let newer = newer.unwrap();
        assert_eq!((newer.unchanged, newer.removed), (550, 50));
        assert_eq!(storage.resume_mutations().await.unwrap(), 0);
        assert_eq!(storage.apply_staged(tenant, &id("b")).await.unwrap(), None);
        assert_eq!(storage.count_provided(tenant, "p").await.unwrap(), 550);
        storage.sweep().await.unwrap();
        let rows = database.sql("SELECT count(*) FROM mutation_rows").await;
        assert_eq!(rows, 0, "what is over leaves nothing");
    });
}
