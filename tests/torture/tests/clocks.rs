//! Proves that no clock but the storage's decides when something is done (s09): the clocks of the machines are set an hour ahead, an
//! hour back and apart from each other while work goes on, and nothing runs twice, nothing waits an hour.

use std::time::{Duration, Instant};

use greenroom_test_support::{Backend, Client, kill_hard, quiet, wait_until};
use greenroom_torture::World;
use serde_json::{Value, json};

/// Far below an hour; leases that run out are 10 s of it.
const BOUND: Duration = Duration::from_secs(300);
const HOUR_S: i64 = 3_600;
const ENTITIES: usize = 1_200;
/// What the log says when somebody else has done what a worker did.
const TWICE: &str = "results of lost claims were dropped";

fn component(provider: &str, number: usize) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": format!("{provider}-{number}")},
        "spec": {"type": "service", "lifecycle": "production", "owner": "core"},
    })
}

async fn push(client: &Client, provider: &str) {
    let entities = (0..ENTITIES).map(|number| component(provider, number));
    client.push("default", provider, entities).await.ok();
}

/// Waits until some are served that were not, or all are.
async fn some_more(client: &Client, all: usize) {
    let before = client.count("default").await;
    wait_until("work goes on", BOUND, async || {
        let now = client.count("default").await;
        (now > before + 20 || now == all as u64).then_some(())
    })
    .await;
}

async fn all_are_done(client: &Client, count: usize, began: Instant) {
    let states = quiet(client, "default", BOUND).await;
    assert_eq!(states.len(), count);
    assert!(states.iter().all(|state| state["status"] == "ok"));
    eprintln!("{count} entities are done after {:?}", began.elapsed());
}

async fn on(backend: Backend) {
    if backend.skipped() {
        return;
    }
    let world = World::start(backend).await;
    let clients = world.clients();
    let client = &clients[0];
    let began = Instant::now();
    push(client, "first").await;
    // On one machine for all processes, or one for each host: they differ by an hour, then by two.
    for ahead in [HOUR_S, -HOUR_S, 0] {
        some_more(client, ENTITIES).await;
        for (machine, node) in world.nodes().iter().enumerate() {
            let sign = if machine == 0 { 1 } else { -1 };
            node.machine().set_clock(sign * ahead);
        }
    }
    all_are_done(client, ENTITIES, began).await;
    let logs = || ["a", "b", "c"].map(|name| world.log(name)).concat();
    assert!(!logs().contains(TWICE), "something ran twice");

    // What a worker held that died is done although its clock was set.
    push(client, "second").await;
    some_more(client, 2 * ENTITIES).await;
    world.nodes()[0].machine().set_clock(-HOUR_S);
    for worker in world.workers() {
        kill_hard(worker);
    }
    all_are_done(client, 2 * ENTITIES, began).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s09_clocks_that_are_set_neither_repeat_nor_delay_anything_on_sqlite() {
    on(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s09_clocks_that_are_set_neither_repeat_nor_delay_anything_on_postgres() {
    on(Backend::Postgres).await;
}
