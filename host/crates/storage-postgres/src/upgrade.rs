//! Proves that processes of the version before go on working on this version's schema while an upgrade is under way (DESIGN §8:
//! expand, then contract).
//!
//! `migrations/NNNN_statements.txt` holds what the last binary of schema version NNNN says to the database, frozen when the next
//! version began. On the newest schema each statement must mean what it meant: the same tables, parameters and columns, of the
//! same types. And nothing may have become stricter than that binary knows: no column that must be given, no new constraint.
//!
//! Whoever adds a version freezes the statements of the one before, on a tree without the migration:
//! `FREEZE_STATEMENTS=1 cargo test -p greenroom-storage-postgres --lib upgrade`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deadpool_postgres::Object;
use greenroom_test_postgres::cluster;

use crate::migrations::MIGRATIONS;
use crate::testing::{parse, runtime, statements};
use crate::{connection, damage};

/// Stands between statements in the file.
const BETWEEN: &str = "\n;\n";

fn frozen(version: usize) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    folder.join(format!("{version:04}_statements.txt"))
}

/// A connection to a new database with the schema of that version.
async fn at(version: usize) -> Object {
    let pool = connection::pool(&parse(&cluster().database())).unwrap();
    let client = pool.get().await.unwrap();
    let first = "CREATE TABLE schema_version (version bigint NOT NULL)";
    client.batch_execute(first).await.unwrap();
    for script in MIGRATIONS[..version].iter().copied().flatten() {
        client.batch_execute(script).await.unwrap();
    }
    client
}

/// The types that go in and the columns that come out.
async fn shape(client: &Object, sql: &str) -> Result<String, String> {
    match client.prepare(sql).await {
        Ok(prepared) => {
            let columns = prepared.columns().iter();
            let columns: Vec<_> = columns
                .map(|column| (column.name(), column.type_()))
                .collect();
            Ok(format!("{:?} {columns:?}", prepared.params()))
        }
        Err(error) => Err(damage::storage_error("prepare", error).to_string()),
    }
}

/// Columns with their types, and whether a row can be written without them.
const COLUMNS: &str = "SELECT table_name || '.' || column_name,
        data_type, is_nullable = 'YES' OR column_default IS NOT NULL OR is_identity = 'YES'
    FROM information_schema.columns WHERE table_schema = 'public'";
/// What rows must obey, and the table of each.
const CONSTRAINTS: &str =
    "SELECT c.conrelid::regclass || ': ' || pg_get_constraintdef(c.oid), c.conrelid::regclass::text
    FROM pg_constraint c WHERE c.connamespace = 'public'::regnamespace AND c.conrelid <> 0
    UNION SELECT pg_get_indexdef(i.indexrelid), i.indrelid::regclass::text
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace";

/// Columns, each with its type and whether a row can be written without it.
async fn columns(client: &Object) -> BTreeMap<String, (String, bool)> {
    let rows = client.query(COLUMNS, &[]).await.unwrap();
    let column = |row: &tokio_postgres::Row| (row.get(0), (row.get(1), row.get(2)));
    rows.iter().map(column).collect()
}

/// What rows must obey, each with its table.
async fn constraints(client: &Object) -> BTreeMap<String, String> {
    let rows = client.query(CONSTRAINTS, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn changed_statements(before: &Object, now: &Object, said: &str) -> Vec<String> {
    let mut changed = Vec::new();
    for sql in said.split(BETWEEN) {
        let meant = shape(before, sql).await;
        assert!(meant.is_ok(), "{meant:?} in {sql}");
        let means = shape(now, sql).await;
        if means != meant {
            changed.push(format!("{means:?}\n  and not {meant:?}\n  in {sql}"));
        }
    }
    changed
}

async fn stricter(before: &Object, now: &Object) -> Vec<String> {
    let (old, new) = (columns(before).await, columns(now).await);
    let table = |column: &str| column.split('.').next().unwrap_or_default().to_owned();
    let tables: Vec<String> = old.keys().map(|column| table(column)).collect();
    let mut stricter = Vec::new();
    for (column, (kind, optional)) in &old {
        match new.get(column) {
            None => stricter.push(format!("{column} is gone")),
            Some((now, _)) if now != kind => {
                stricter.push(format!("{column} is {now} and was {kind}"));
            }
            Some((_, false)) if *optional => stricter.push(format!("{column} must be given")),
            Some(_) => {}
        }
    }
    for (column, (_, optional)) in &new {
        if !old.contains_key(column) && tables.contains(&table(column)) && !optional {
            stricter.push(format!("{column} is new and must be given"));
        }
    }
    let known = constraints(before).await;
    for (constraint, table) in constraints(now).await {
        if tables.contains(&table) && !known.contains_key(&constraint) {
            stricter.push(format!("{constraint} is new"));
        }
    }
    stricter
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test of the crate's own sources, which it freezes when it is told to"
)]
fn the_version_before_goes_on_working() {
    if greenroom_test_postgres::skipped() {
        return;
    }
    let newest = MIGRATIONS.len();
    if std::env::var_os("FREEZE_STATEMENTS").is_some() {
        std::fs::write(frozen(newest), statements().join(BETWEEN)).unwrap();
        return;
    }
    let file = frozen(newest - 1);
    let said = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; see the head of this file", file.display()));
    runtime().block_on(async {
        let (before, now) = (at(newest - 1).await, at(newest).await);
        let mut broken = changed_statements(&before, &now, &said).await;
        broken.extend(stricter(&before, &now).await);
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    });
}

#[test]
fn what_would_stop_the_version_before_is_seen() {
    if greenroom_test_postgres::skipped() {
        return;
    }
    runtime().block_on(async {
        let newest = MIGRATIONS.len();
        let (before, now) = (at(newest).await, at(newest).await);
        assert_eq!(stricter(&before, &now).await, Vec::<String>::new());
        let breaking = "ALTER TABLE audit RENAME COLUMN remote TO address;
            ALTER TABLE locations ADD COLUMN owner text NOT NULL;
            ALTER TABLE work ALTER COLUMN again_due SET NOT NULL;
            CREATE UNIQUE INDEX one_of_each ON conflicts (tenant_id, entity_ref)";
        now.batch_execute(breaking).await.unwrap();
        let seen = stricter(&before, &now).await;
        for what in [
            "audit.remote is gone",
            "audit.address is new and must be given",
            "locations.owner is new and must be given",
            "work.again_due must be given",
            "CREATE UNIQUE INDEX one_of_each",
        ] {
            assert!(
                seen.iter().any(|seen| seen.starts_with(what)),
                "{what}: {seen:?}"
            );
        }
        let said = "SELECT remote FROM audit";
        assert_eq!(changed_statements(&before, &now, said).await.len(), 1);
    });
}
