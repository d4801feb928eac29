//! Proves that claims, records, mutations and checks that meet lose nothing, whatever order they meet in.

use greenroom_model::TenantId;
use greenroom_storage::conformance::queue::{
    child, entity_ref, provide, provided, success, worker,
};
use greenroom_storage::conformance::tenant;
use greenroom_storage::{
    Claimed, OrphanQueue as _, ProvidedEntity, Recorded, RunCalls, RunRecord, RunResult, Slots,
    StitchQueue as _, Stitched, WorkQueue as _, WorkerId, Workers as _,
};
use tokio::task::JoinSet;

use crate::PostgresStorage;
use crate::testing::{new_database, parse, runtime};

const ROOTS: usize = 40;
const ROUNDS: usize = 60;

fn roots(without: Option<usize>) -> Vec<ProvidedEntity> {
    (0..ROOTS)
        .filter(|number| Some(*number) != without)
        .map(|number| {
            provided(
                &format!("component:c{number}"),
                &format!("{without:?}"),
                None,
            )
        })
        .collect()
}

/// Every root emits two of ten children, so that many emit the same, in whatever order.
fn run(item: &Claimed) -> RunRecord {
    let number: usize = item.entity_ref.name()[1..].parse().unwrap();
    let mut children = Vec::new();
    if item.entity_ref.kind() == "component" {
        for of in [number % 10, number * 7 % 10] {
            children.push(child(&format!("api:a{of}"), "x", None));
        }
    }
    RunRecord {
        claim: item.claim.clone(),
        result: RunResult::Succeeded(Box::new(success(item, children))),
        faults: Vec::new(),
        cpu_us: 100,
        calls: RunCalls::default(),
    }
}

/// A worker that sometimes gives back what it claimed, and sometimes dies with it.
async fn work(storage: PostgresStorage, me: WorkerId, careful: bool) -> usize {
    let (mut recorded, mut idle) = (0, 0);
    for round in 0.. {
        let slots = match round % 5 {
            4 => Slots::Kept,
            _ => Slots::Any,
        };
        let claimed = storage.claim(&me, 7, slots).await.unwrap();
        if claimed.is_empty() {
            idle += 1;
            if idle > 50 {
                break;
            }
            continue;
        }
        idle = 0;
        if !careful && round % 6 == 2 {
            let claims: Vec<_> = claimed.into_iter().map(|item| item.claim).collect();
            storage.release(&claims).await.unwrap();
        } else if !careful && round % 6 == 4 {
            storage.expire_worker(&me).await.unwrap();
        } else {
            let outcomes = storage.record(claimed.iter().map(run).collect()).await;
            let outcomes = outcomes.unwrap();
            let applied = outcomes.iter().filter(|one| **one == Recorded::Applied);
            recorded += applied.count();
        }
    }
    recorded
}

/// Queues, removes and gives again.
async fn disturb(storage: PostgresStorage, tenants: Vec<TenantId>) -> usize {
    for round in 0..ROUNDS {
        let tenant = tenants[round % tenants.len()];
        match round % 4 {
            0 => {
                let which = entity_ref(&format!("component:c{}", round % ROOTS));
                storage.redrive(tenant, &which).await.unwrap();
            }
            1 => {
                storage.enqueue_all(tenant).await.unwrap();
            }
            2 => {
                provide(&storage, tenant, "p", roots(Some(round % ROOTS))).await;
            }
            _ => {
                provide(&storage, tenant, "p", roots(None)).await;
            }
        }
    }
    0
}

async fn stitch_and_check(storage: PostgresStorage) -> usize {
    for _ in 0..ROUNDS {
        let inputs = storage.claim_stitches(20).await.unwrap();
        let results = inputs.into_iter().map(|input| (input, Stitched::Unchanged));
        storage.record_stitches(results.collect()).await.unwrap();
        storage.check_orphans(20).await.unwrap();
    }
    0
}

async fn number(storage: &PostgresStorage, sql: &str) -> i64 {
    let tx = storage.snapshot("look").await.unwrap();
    let number = tx.number(sql, &[]).await.unwrap();
    tx.commit().await.unwrap();
    number
}

#[test]
fn many_claim_record_and_queue_at_once_and_nothing_is_lost() {
    if greenroom_test_postgres::skipped() {
        return;
    }
    let url = new_database();
    runtime().block_on(async {
        let storage = PostgresStorage::open(&parse(&url)).await.unwrap();
        let mut tenants = Vec::new();
        for name in ["a", "b", "c"] {
            let tenant = tenant(&storage, name).await;
            provide(&storage, tenant, "p", roots(None)).await;
            tenants.push(tenant);
        }
        let mut tasks = JoinSet::new();
        for name in ["w0", "w1", "w2", "w3", "w4"] {
            tasks.spawn(work(storage.clone(), worker(name), false));
        }
        tasks.spawn(disturb(storage.clone(), tenants.clone()));
        tasks.spawn(stitch_and_check(storage.clone()));
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        for tenant in &tenants {
            provide(&storage, *tenant, "p", roots(None)).await;
        }
        work(storage.clone(), worker("last"), true).await;
        for (what, left) in [
            ("items", "SELECT count(*) FROM work"),
            (
                "held",
                "SELECT coalesce(sum(held), 0)::bigint FROM tenant_lanes",
            ),
            (
                "walks",
                "SELECT count(*) FROM tenant_lanes WHERE bulk_after IS NOT NULL",
            ),
            (
                "not run",
                "SELECT count(*) FROM refresh_state WHERE status <> 1 AND orphaned_at IS NULL",
            ),
        ] {
            assert_eq!(number(&storage, left).await, 0, "{what}");
        }
        let edges = "SELECT count(*) FROM refresh_state_references WHERE source_key <> ''";
        assert_eq!(number(&storage, edges).await, (3 * ROOTS) as i64);
        let emitted = (0..ROOTS).map(|number| if number % 10 == number * 7 % 10 { 1 } else { 2 });
        let edges = "SELECT count(*) FROM refresh_state_references WHERE source_key = ''";
        assert_eq!(number(&storage, edges).await, 3 * emitted.sum::<i64>());
        assert_eq!(storage.next_due().await.unwrap(), None);
    });
}
