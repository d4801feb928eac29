//! Proves what SQLite alone must stand: two processes on one file, crashes at any moment, damaged values.
//!
//! Two handles on one file share nothing but the file, as two processes do.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]
#![expect(
    clippy::disallowed_methods,
    reason = "looks at the files as a crash leaves them on the disk"
)]

use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;

use bytes::Bytes;
use greenroom_model::{Digest, EntityRef, ProcessorName, TenantId, TenantName};
use greenroom_storage::conformance::{HOSTILE_TEXT, TestClock};
use greenroom_storage::{
    AuditEntry, AuditLog, Blob, BlobKind, BlobRepository, Maintenance, Mutation, MutationId,
    MutationKind, MutationLine, MutationRepository, NewTenant, NewToken, ProcessorRepository,
    ProvidedEntity, Scope, StorageError, TenantRepository, TokenRepository,
};
use greenroom_storage_sqlite::SqliteStorage;
use rusqlite::Connection;

fn open(path: &Path) -> SqliteStorage {
    SqliteStorage::open(path, Arc::new(TestClock::new())).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn new_tenant(name: &str) -> NewTenant {
    NewTenant {
        name: TenantName::parse(name).unwrap(),
        secret: [0; 32],
        epoch: "e".into(),
    }
}

/// A record of that text.
fn entry(text: &str, tenant: Option<TenantId>) -> AuditEntry {
    AuditEntry {
        at: greenroom_model::Timestamp(0),
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
fn processes_that_start_at_once_on_a_new_file_all_come_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let (start, path) = (&start, &path);
            scope.spawn(move || {
                start.wait();
                let storage = open(path);
                block_on(storage.create_tenant(new_tenant(name)))
                    .unwrap()
                    .unwrap();
            });
        }
    });
    assert_eq!(block_on(open(&path).list_tenants()).unwrap().len(), 4);
}

#[test]
fn two_processes_write_at_the_same_time_and_nothing_is_lost() {
    const EACH: usize = 150;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let (one, two) = (open(&path), open(&path));
    let tenant = block_on(one.create_tenant(new_tenant("acme")))
        .unwrap()
        .unwrap()
        .id;
    let name = ProcessorName::parse("p").unwrap();
    thread::scope(|scope| {
        for (storage, prefix) in [(&one, "a"), (&two, "b")] {
            let name = &name;
            scope.spawn(move || {
                block_on(async {
                    for number in 0..EACH {
                        storage
                            .create_token(token(format!("{prefix}{number}")))
                            .await
                            .unwrap();
                        // Read, decide and write in one transaction: both count on.
                        storage.create_processor(tenant, name).await.unwrap();
                        let digest = Digest::of(format!("{prefix}{number}"));
                        storage
                            .add_revision(tenant, name, &digest, 1)
                            .await
                            .unwrap();
                    }
                });
            });
        }
    });
    assert_eq!(block_on(two.list_tokens(None)).unwrap().len(), 2 * EACH);
    let revisions = block_on(one.list_revisions(tenant, &name)).unwrap();
    let numbers: Vec<_> = revisions
        .iter()
        .rev()
        .map(|revision| revision.number)
        .collect();
    assert_eq!(numbers, (1..=2 * EACH as u32).collect::<Vec<_>>());
}

#[test]
fn another_process_sees_a_commit_by_the_data_version() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let (one, two) = (open(&path), open(&path));
    let before = block_on(two.data_version()).unwrap();
    block_on(one.create_token(token("t".into()))).unwrap();
    assert_ne!(block_on(two.data_version()).unwrap(), before);
}

/// What lies on the disk at any moment between two commits, without the shared memory, is a whole catalog.
#[test]
fn a_crash_keeps_what_was_committed_and_a_torn_wal_only_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let storage = open(&path);
    block_on(async {
        for number in 0..10 {
            storage
                .create_token(token(format!("t{number}")))
                .await
                .unwrap();
        }
    });
    let crashed = directory.path().join("crashed");
    fs::create_dir(&crashed).unwrap();
    for file in ["catalog.db", "catalog.db-wal"] {
        fs::copy(directory.path().join(file), crashed.join(file)).unwrap();
    }
    assert_eq!(
        block_on(open(&crashed.join("catalog.db")).list_tokens(None))
            .unwrap()
            .len(),
        10
    );

    let torn = directory.path().join("torn");
    fs::create_dir(&torn).unwrap();
    fs::copy(&path, torn.join("catalog.db")).unwrap();
    let wal = fs::read(directory.path().join("catalog.db-wal")).unwrap();
    fs::write(torn.join("catalog.db-wal"), &wal[..wal.len() - 100]).unwrap();
    let storage = open(&torn.join("catalog.db"));
    assert_eq!(block_on(storage.list_tokens(None)).unwrap().len(), 9);
    block_on(storage.create_token(token("t9".into()))).unwrap();
}

#[test]
fn a_newer_schema_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    drop(open(&path));
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 999).unwrap();
    let error = SqliteStorage::open(&path, Arc::new(TestClock::new()))
        .err()
        .unwrap();
    assert!(matches!(
        error,
        StorageError::NewerSchema { found: 999, .. }
    ));
    assert!(error.to_string().contains("run a newer greenroom"));
}

#[test]
fn a_file_that_is_no_database_is_an_error_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    fs::write(
        &path,
        "not a database, and longer than a header\n".repeat(100),
    )
    .unwrap();
    let before = fs::read(&path).unwrap();
    let error = SqliteStorage::open(&path, Arc::new(TestClock::new()))
        .err()
        .unwrap();
    assert!(matches!(error, StorageError::Failed { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);
    let missing = directory.path().join("missing/catalog.db");
    assert!(SqliteStorage::open(&missing, Arc::new(TestClock::new())).is_err());
}

/// Every damaged value is named by its column; none is guessed, and none breaks what lies beside it.
#[test]
fn a_damaged_value_is_named_by_its_column() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let storage = open(&path);
    let damage = |sql: &str| {
        assert_eq!(
            Connection::open(&path).unwrap().execute(sql, []).unwrap(),
            1
        );
    };
    let column_of = |error: StorageError| match error {
        StorageError::Damaged { column, .. } => column,
        other => panic!("{other} is not damage"),
    };
    let name = ProcessorName::parse("p").unwrap();
    let tenant = block_on(async {
        let tenant = storage
            .create_tenant(new_tenant("acme"))
            .await
            .unwrap()
            .unwrap()
            .id;
        storage.create_token(token("t".into())).await.unwrap();
        storage.create_processor(tenant, &name).await.unwrap();
        storage
            .add_revision(tenant, &name, &Digest::of("x"), 1)
            .await
            .unwrap();
        tenant
    });

    damage("UPDATE tokens SET scopes = '[\"read\"'");
    assert_eq!(
        column_of(block_on(storage.find_token("t")).unwrap_err()),
        "tokens.scopes"
    );
    damage("UPDATE tokens SET scopes = '[]', secret_hash = x'00'");
    assert_eq!(
        column_of(block_on(storage.find_token("t")).unwrap_err()),
        "tokens.secret_hash"
    );
    damage("UPDATE tokens SET secret_hash = zeroblob(32), name = cast(x'ff' AS TEXT)");
    assert_eq!(
        column_of(block_on(storage.find_token("t")).unwrap_err()),
        "tokens.name"
    );

    damage("UPDATE processor_revisions SET state = '{\"state\":\"sideways\"}'");
    let error = block_on(storage.list_revisions(tenant, &name)).unwrap_err();
    assert_eq!(column_of(error), "processor_revisions.state");
    damage("UPDATE processors SET settings = '{'");
    let error = block_on(storage.find_processor(tenant, &name)).unwrap_err();
    assert_eq!(column_of(error), "processors.settings");
    // A write that meets it changes nothing and says the same.
    let error = block_on(storage.create_processor(tenant, &name)).unwrap_err();
    assert_eq!(column_of(error), "processors.settings");
    damage("UPDATE processors SET settings = '{\"priority\":1}', current_revision = 7");
    let error = block_on(storage.pipeline(tenant)).unwrap_err();
    assert_eq!(column_of(error), "processors.current_revision");
    damage("UPDATE processors SET current_revision = NULL");
    damage(
        "INSERT INTO bundled_settings (tenant_id, name, settings, settings_version)
         SELECT tenant_id, 'codeowners', '{\"limits\":{}}', 1 FROM processors LIMIT 1",
    );
    let error = block_on(storage.pipeline(tenant)).unwrap_err();
    assert_eq!(column_of(error), "bundled_settings.settings");

    damage("UPDATE tenants SET name = 'No Name'");
    let error = block_on(storage.find_tenant_by_id(tenant)).unwrap_err();
    assert_eq!(column_of(error), "tenants.name");
}

#[test]
fn s03_component_bytes_changed_in_storage_are_never_handed_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let storage = open(&path);
    let tenant = block_on(storage.create_tenant(new_tenant("acme")))
        .unwrap()
        .unwrap()
        .id;
    let blob = Blob {
        kind: BlobKind::Component,
        digest: Digest::of("x"),
    };
    block_on(storage.put_blob(tenant, &blob, Bytes::from(vec![1; 300 << 10]))).unwrap();
    for sql in [
        "UPDATE blob_chunks SET data = zeroblob(262144) WHERE number = 0",
        "DELETE FROM blob_chunks WHERE number = 1",
    ] {
        assert_eq!(
            Connection::open(&path).unwrap().execute(sql, []).unwrap(),
            1
        );
        let error = block_on(storage.get_blob(tenant, &blob)).unwrap_err();
        assert!(matches!(
            error,
            StorageError::Damaged {
                column: "blob_chunks.data",
                ..
            }
        ));
    }
    // Putting it again heals it.
    block_on(storage.put_blob(tenant, &blob, Bytes::from("x"))).unwrap();
    assert_eq!(
        block_on(storage.get_blob(tenant, &blob)).unwrap().unwrap(),
        "x"
    );
}

#[test]
fn text_of_any_kind_is_data_in_every_column() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(&directory.path().join("catalog.db"));
    block_on(async {
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

/// A record that cannot be written takes its change back, as on a disk with room for one of them alone (s05).
#[test]
fn s05_there_is_no_change_without_its_record() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let storage = open(&path);
    let refuse = Connection::open(&path).unwrap();
    refuse
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    block_on(async {
        let audited = storage.audited(entry("create", None));
        audited.create_tenant(new_tenant("acme")).await.unwrap_err();
        assert!(storage.list_tenants().await.unwrap().is_empty());
        refuse.execute_batch("DROP TRIGGER refuse").unwrap();
        let made = audited.create_tenant(new_tenant("acme")).await.unwrap();
        let told = storage.list_audit(None, 2).await.unwrap();
        assert_eq!((told.len(), told[0].tenant), (1, Some(made.unwrap().id)));
    });
}

/// A process that dies between two steps of a mutation has committed it: another completes it from where it was. One of the
/// same provider that comes first takes its place instead.
#[test]
fn a_mutation_whose_process_died_is_completed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let storage = open(&path);
    let entities = |range: std::ops::Range<u32>| -> Vec<ProvidedEntity> {
        range
            .map(|number| ProvidedEntity {
                entity_ref: EntityRef::new("component", "default", &format!("c{number}")),
                unprocessed: "x".into(),
                location_key: None,
            })
            .collect()
    };
    let id = |name: &str| MutationId(name.to_owned());
    let died = |name: &str, placed: u32| {
        let sql = "UPDATE mutations SET committed = 1, placed = ?2, stepped_at = 0 WHERE mutation_id = ?1";
        let conn = Connection::open(&path).unwrap();
        assert_eq!(
            conn.execute(sql, rusqlite::params![name, placed]).unwrap(),
            1
        );
    };
    let stage = async |tenant, name: &str, range| {
        let lines = entities(range).into_iter().map(MutationLine::Add).collect();
        let id = id(name);
        let staged = storage.stage_mutation(tenant, &id, "p", MutationKind::Full, 0, lines);
        staged.await.unwrap();
    };
    block_on(async {
        let tenant = storage
            .create_tenant(new_tenant("acme"))
            .await
            .unwrap()
            .unwrap()
            .id;
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
        stage(tenant, "a", 0..600).await;
        died("a", 300);
        assert_eq!(storage.resume_mutations().await.unwrap(), 1);
        assert_eq!(storage.count_provided(tenant, "p").await.unwrap(), 600);
        assert_eq!(storage.resume_mutations().await.unwrap(), 0);

        stage(tenant, "b", 0..500).await;
        died("b", 0);
        stage(tenant, "c", 0..550).await;
        let newer = storage
            .apply_staged(tenant, &id("c"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((newer.unchanged, newer.removed), (550, 50));
        assert_eq!(storage.resume_mutations().await.unwrap(), 0);
        assert_eq!(storage.apply_staged(tenant, &id("b")).await.unwrap(), None);
        assert_eq!(storage.count_provided(tenant, "p").await.unwrap(), 550);
        storage.sweep().await.unwrap();
        let conn = Connection::open(&path).unwrap();
        let rows = conn.query_row("SELECT count(*) FROM mutation_rows", [], |row| row.get(0));
        assert_eq!(rows, Ok(0), "what is over leaves nothing");
    });
}
