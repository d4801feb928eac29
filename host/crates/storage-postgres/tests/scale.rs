//! Proves that the hot statements do not feel the size of a cell: at a million entities of a thousand tenants, all with work,
//! no statement of a claim, a record, a stitch, a mutation or a read looks through a table, and a claim takes milliseconds.
//!
//! What ran is judged, not what the planner says it would run: Postgres counts the looks through each table. The same
//! statements are planned one by one, all there are, in `plans`.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

#[path = "support/database.rs"]
mod database;

use std::time::{Duration, Instant};

use greenroom_model::{Relation, TenantName};
use greenroom_storage::conformance::queue::{
    child, entity_ref, provide, provided, record, stitch, succeed, success, worker,
};
use greenroom_storage::{
    ChangeLog as _, Claimed, EntityRepository as _, MutationRepository as _, OrphanQueue as _,
    ProcessingFilter, ProcessingRepository as _, Recorded, RefreshScope, RunResult, Slots,
    TenantRepository as _, WorkQueue as _, Workers as _,
};
use greenroom_storage_postgres::PostgresStorage;

use database::{Database, block_on};

const TENANTS: i64 = 1_000;
/// Entities of each.
const ENTITIES: i64 = 1_000;
/// Claims that are timed.
const CLAIMS: usize = 100;
/// What the slower half of claims must stay below: far from 2 ms, which is measured (DESIGN §7), and farther from the 1 640 ms
/// of a look through everything.
const MILLISECONDS: Duration = Duration::from_millis(50);

/// Entities with their edges, relations and bodies, all of them due in lane *new* since a second ago. Rows are in the order
/// of their keys, so that filling costs little.
const FILL: &[&str] = &[
    "INSERT INTO tenants (name, secret, created_at) SELECT 't' || t, decode(repeat('07', 32), 'hex'), 0 FROM generate_series(1, $TENANTS) t",
    "INSERT INTO tenant_seq (tenant_id, epoch, seq) SELECT tenant_id, 'epoch', 0 FROM tenants",
    "INSERT INTO tenant_lanes (tenant_id, lane, ready, weight) SELECT tenant_id, 1, true, 8 FROM tenants",
    "CREATE TABLE filling AS SELECT t.tenant_id, e AS number,
        'component:default/c' || to_char(e, 'FM000000') AS entity_ref,
        '00000000-0000-4000-8000-' || lpad(to_hex(t.tenant_id * 1048576 + e), 12, '0') AS entity_id
        FROM tenants t CROSS JOIN generate_series(1, $ENTITIES) e ORDER BY t.tenant_id, e",
    "INSERT INTO refresh_state (tenant_id, entity_id, entity_ref, unprocessed_entity)
        SELECT tenant_id, entity_id, entity_ref, '{}' FROM filling",
    "INSERT INTO refresh_state_references (tenant_id, target_entity_ref, source_key, source_entity_ref)
        SELECT tenant_id, entity_ref, 'provider', '' FROM filling",
    "INSERT INTO relations (tenant_id, source_entity_ref, type, target_entity_ref, originating_entity_id)
        SELECT tenant_id, entity_ref, 'ownedBy', 'group:default/g', entity_id FROM filling",
    "INSERT INTO final_entities (tenant_id, entity_id, entity_ref, etag, final_entity)
        SELECT tenant_id, entity_id, entity_ref, 'etag', '{}' FROM filling",
    "INSERT INTO work (tenant_id, entity_id, lane, due_at, claim_no)
        SELECT tenant_id, entity_id, 1, $NOW - 1000, 1 FROM filling",
];

/// Tables with a row for each entity.
const LARGE: &str =
    "'refresh_state', 'refresh_state_references', 'relations', 'final_entities', 'work'";

async fn fill(database: &Database, tenants: i64, entities: i64) {
    use greenroom_model::Clock as _;
    let now = database.clock.now().0.to_string();
    for statement in FILL {
        let statement = statement
            .replace("$TENANTS", &tenants.to_string())
            .replace("$ENTITIES", &entities.to_string());
        database.write(&statement.replace("$NOW", &now)).await;
    }
    database.sql("DROP TABLE filling").await;
    database.sql("VACUUM ANALYZE").await;
}

/// Waits until all sessions but this have ended, and so have told what they counted.
async fn all_have_left(database: &Database) {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'";
    while database.sql(others).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Looks through a large table since the database was made, by those who have left it.
async fn looks(database: &Database) -> i64 {
    all_have_left(database).await;
    let counted =
        format!("SELECT sum(seq_scan)::bigint FROM pg_stat_user_tables WHERE relname IN ({LARGE})");
    database.sql(&counted).await
}

/// Records what was claimed, each with another child and another relation, and gives one of three back.
async fn end(storage: &PostgresStorage, claimed: &[Claimed]) {
    for (number, item) in claimed.iter().enumerate() {
        match number % 3 {
            0 => storage
                .release(std::slice::from_ref(&item.claim))
                .await
                .unwrap(),
            1 => {
                let skipped = RunResult::Skipped { due: None };
                assert_eq!(record(storage, item, skipped).await, Recorded::Applied);
            }
            _ => {
                let emitted = format!("api:{}", item.entity_ref.name());
                let mut done = success(item, vec![child(&emitted, "{}", None)]);
                done.relations = vec![Relation {
                    source: item.entity_ref.clone(),
                    r#type: "providesApi".into(),
                    target: entity_ref(&emitted),
                }];
                assert_eq!(succeed(storage, item, done).await, Recorded::Applied);
            }
        }
    }
}

/// What else a busy catalog does, for one of its tenants.
async fn everything_else(storage: &PostgresStorage, name: &str) {
    let name = TenantName::parse(name).unwrap();
    let tenant = storage.find_tenant(&name).await.unwrap().unwrap().id;
    let known = entity_ref("component:c000500");
    let found = storage.find_entity(tenant, &known).await.unwrap().unwrap();
    let uids = [found.uid];
    assert!(
        storage
            .find_entity_by_uid(tenant, &uids[0])
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        storage
            .find_entities_by_uids(tenant, &uids, 1_000)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        storage
            .scan_entities(tenant, None, 100)
            .await
            .unwrap()
            .len(),
        100
    );
    assert!(
        !storage
            .ancestry(tenant, &known)
            .await
            .unwrap()
            .unwrap()
            .is_empty()
    );
    assert!(
        storage
            .refresh_entity(tenant, &known, RefreshScope::Forced)
            .await
            .unwrap()
    );
    assert!(storage.redrive(tenant, &known).await.unwrap());
    assert!(
        storage
            .find_processing(tenant, &known)
            .await
            .unwrap()
            .is_some()
    );
    let all = ProcessingFilter::default();
    assert!(
        !storage
            .list_processing(tenant, all, None, 100)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        storage.count_provided(tenant, "provider").await.unwrap(),
        1_000
    );

    // All but a hundred go, and one comes.
    let kept = (1..=100).map(|number| provided(&format!("component:c{number:06}"), "{}", None));
    let come = kept.chain([provided("component:new", "{}", None)]);
    provide(storage, tenant, "provider", come.collect()).await;
    storage.check_orphans(100).await.unwrap();
    assert!(storage.delete_entity(tenant, &uids[0]).await.is_ok());
    assert!(
        !storage
            .changes_after(tenant, 0, 100)
            .await
            .unwrap()
            .unwrap()
            .is_empty()
    );
}

/// A busy minute; answers what its claims took. With its end its sessions end, and tell what they counted.
fn work(database: &Database) -> Vec<Duration> {
    block_on(async {
        let storage = database.open().await;
        let worker = worker("w");
        storage.renew_lease(&worker).await.unwrap();
        let mut took = Vec::with_capacity(CLAIMS);
        for _ in 0..CLAIMS {
            let began = Instant::now();
            let claimed = storage.claim(&worker, 32, Slots::Any).await.unwrap();
            took.push(began.elapsed());
            assert_eq!(claimed.len(), 32);
            end(&storage, &claimed).await;
        }
        stitch(&storage).await;
        everything_else(&storage, "t500").await;
        stitch(&storage).await;
        storage.next_due().await.unwrap();
        storage.expire_worker(&worker).await.unwrap();
        storage.release_expired().await.unwrap();
        took
    })
}

#[test]
fn a_million_entities_of_a_thousand_tenants_are_looked_through_by_nobody() {
    let Some(database) = Database::new() else {
        return;
    };
    block_on(async {
        drop(database.open().await);
        fill(&database, TENANTS, ENTITIES).await;
    });
    let before = block_on(looks(&database));
    let mut took = work(&database);
    assert_eq!(
        block_on(looks(&database)),
        before,
        "a table was looked through"
    );
    took.sort();
    let half = took[CLAIMS / 2];
    println!(
        "a claim of 32 took {half:?}, and {:?} at most",
        took[CLAIMS - 1]
    );
    assert!(half < MILLISECONDS, "{took:?}");

    // One that does look is counted.
    block_on(database.sql("SELECT count(*) FROM work WHERE again = 7"));
    assert!(block_on(looks(&database)) > before);
}

/// Where all work is one tenant's, any row looks right to the planner, which then reads all of them for one item.
#[test]
fn q01_a_claim_beside_a_backlog_of_one_tenant_reads_what_it_takes() {
    let Some(database) = Database::new() else {
        return;
    };
    block_on(async {
        drop(database.open().await);
        fill(&database, 1, 100_000).await;
    });
    let read = "SELECT (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint
        FROM pg_stat_user_tables WHERE relname = 'work'";
    block_on(all_have_left(&database));
    let before = block_on(database.sql(read));
    block_on(async {
        let storage = database.open().await;
        for _ in 0..20 {
            let claimed = storage.claim(&worker("w"), 1, Slots::Any).await.unwrap();
            assert_eq!(claimed.len(), 1);
            end(&storage, &claimed).await;
            assert!(
                storage
                    .claim(&worker("w"), 8, Slots::Kept)
                    .await
                    .unwrap()
                    .len()
                    <= 1
            );
            storage.expire_worker(&worker("w")).await.unwrap();
        }
    });
    block_on(all_have_left(&database));
    let rows = block_on(database.sql(read)) - before;
    println!("20 rounds read {rows} rows of work");
    assert!((20..20 * 100).contains(&rows), "{rows} rows were read");
}
