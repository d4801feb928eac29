//! Proves that a batch is a constant number of statements.

use greenroom_model::{Diagnostic, Digest, EntityRef, ProcessorName, Relation, Stage, TenantId};
use greenroom_storage::conformance::queue::{provide, provided, worker};
use greenroom_storage::conformance::tenant;
use greenroom_storage::{
    Child, Claimed, Failure, Lane, ReadKey, RunCalls, RunRecord, RunResult, Slots, Success,
    TracedRead, WorkQueue as _,
};

use crate::PostgresStorage;
use crate::testing::run;
use crate::transaction::STATEMENTS;

fn record(item: &Claimed, result: RunResult) -> RunRecord {
    RunRecord {
        claim: item.claim.clone(),
        result,
        faults: Vec::new(),
        cpu_us: 100,
        calls: RunCalls::default(),
    }
}

/// A run that leaves something in every table, and something else in each round.
fn success(item: &Claimed, round: usize) -> RunResult {
    let entity_ref = &item.entity_ref;
    let related = EntityRef::new("group", "default", &format!("g{round}"));
    RunResult::Succeeded(Box::new(Success {
        processed: format!("{round}"),
        memo: Digest::of("m"),
        trace: vec![trace(round)],
        caches: "{}".to_owned(),
        relations: vec![Relation {
            source: entity_ref.clone(),
            r#type: "ownedBy".into(),
            target: related,
        }],
        refresh_keys: vec![format!("key {round}")],
        children: vec![Child {
            entity_ref: EntityRef::new("api", "default", &format!("{}-{round}", entity_ref.name())),
            unprocessed: "x".to_owned(),
            location_key: None,
        }],
        complete: true,
        diagnostics: vec![Diagnostic::error("Error", "e")],
        due: None,
    }))
}

fn failure(round: usize) -> RunResult {
    RunResult::Rejected(Box::new(Failure {
        diagnostics: vec![Diagnostic::error("Error", format!("{round}"))],
        memo: None,
        trace: vec![trace(round)],
        retry_at: None,
        dead_letter: true,
    }))
}

fn trace(round: usize) -> TracedRead {
    TracedRead {
        stage: Stage::PreProcess,
        processor: ProcessorName::parse("p").unwrap(),
        key: ReadKey {
            credential: String::new(),
            want: format!("get {round}"),
        },
        digest: Digest::of("1"),
    }
}

/// Claims everything and records it in one batch; answers the statements of both.
async fn step(
    storage: &PostgresStorage,
    runs: usize,
    result: impl Fn(&Claimed) -> RunResult,
) -> (usize, usize) {
    STATEMENTS.set(0);
    let claimed = storage.claim(&worker("w"), 200, Slots::Any).await.unwrap();
    let claiming = STATEMENTS.replace(0);
    assert_eq!(claimed.len(), runs);
    let records = claimed.iter().map(|item| record(item, result(item)));
    storage.record(records.collect()).await.unwrap();
    (claiming, STATEMENTS.take())
}

/// The statements of each step of a tenant of that many entities.
async fn steps(
    storage: &PostgresStorage,
    tenant: TenantId,
    entities: usize,
) -> Vec<(usize, usize)> {
    let roots = (0..entities).map(|number| provided(&format!("component:c{number}"), "x", None));
    provide(storage, tenant, "p", roots.collect()).await;
    let mut made = vec![step(storage, entities, |item| success(item, 0)).await];
    // What they emitted.
    made.push(step(storage, entities, |_| RunResult::Skipped { due: None }).await);
    for round in 1..3 {
        requeue(storage, tenant).await;
        made.push(step(storage, entities, |item| success(item, round)).await);
        made.push(step(storage, entities, |_| RunResult::Skipped { due: None }).await);
    }
    requeue(storage, tenant).await;
    made.push(step(storage, entities, |_| failure(3)).await);
    made
}

async fn requeue(storage: &PostgresStorage, tenant: TenantId) {
    let tx = storage.begin("test").await.unwrap();
    let roots = tx
        .all(
            "SELECT entity_id FROM refresh_state WHERE tenant_id = $1 AND entity_ref LIKE 'component:%'",
            &[&tenant.0],
            |row| crate::damage::uid(row, 0, "refresh_state.entity_id"),
        )
        .await
        .unwrap();
    crate::work::enqueue(&tx, tenant, Lane::Changed, &roots, tx.now_ms(), true)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[test]
fn a_batch_of_one_and_of_a_hundred_make_the_same_statements() {
    run(async |storage, _| {
        let one = tenant(storage, "one").await;
        let alone = steps(storage, one, 1).await;
        let many = tenant(storage, "many").await;
        assert_eq!(steps(storage, many, 100).await, alone);
        let most = alone.iter().map(|(claim, record)| claim.max(record)).max();
        assert!(most < Some(&32), "{alone:?}");
    });
}
