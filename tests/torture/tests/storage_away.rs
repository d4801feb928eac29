//! Proves that hosts outlive their database (s06): while it is away, answers late or cuts every connection, processes live, reads
//! from the index go on, writes are refused with 503 and `Retry-After`, nobody is restarted, and afterwards all catches up by itself.

use std::time::{Duration, Instant};

use greenroom_test_support::{Backend, Client, Reply, quiet, wait_until};
use greenroom_torture::{Node, World};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(60);
/// Longer than a token is believed without asking.
const AWAY: Duration = Duration::from_secs(7);
const LIVENESS: &str = "/.backstage/health/v1/liveness";
const FACETS: &str = "/tenants/default/api/catalog/entity-facets?facet=kind";
/// What asking in vain costs a read now and then.
const READ_BOUND: Duration = Duration::from_secs(8);

fn component(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": "service", "lifecycle": "production", "owner": "core"},
    })
}

async fn push(client: &Client, name: &str) -> Reply {
    client.push("default", "p", [component(name)]).await
}

fn assert_later(reply: &Reply) {
    assert_eq!(reply.error(503), "ServiceUnavailableError");
    assert!(reply.retry_after.is_some(), "{reply:?}");
}

/// The probe, and a read that only the index answers, on every API process.
async fn goes_on(clients: &[Client]) {
    for client in clients {
        client.get(LIVENESS).await.ok();
        let asked = Instant::now();
        let facets = client.get(FACETS).await.ok();
        assert_eq!(facets["facets"]["kind"][0]["count"], 1, "{facets}");
        assert!(asked.elapsed() < READ_BOUND, "{:?}", asked.elapsed());
    }
}

/// Once its own index shows that many.
async fn follows(client: &Client, count: u64) {
    wait_until("the index follows", BOUND, async || {
        let facets = client.get(FACETS).await;
        (facets.status == 200 && facets.json()["facets"]["kind"][0]["count"] == count).then_some(())
    })
    .await;
}

fn everywhere(world: &World, what: impl Fn(&greenroom_torture::Proxy)) {
    world.nodes().iter().filter_map(Node::proxy).for_each(what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06_hosts_outlive_a_database_that_is_away_late_or_cuts_them() {
    if Backend::Postgres.skipped() {
        return;
    }
    let world = World::start(Backend::Postgres).await;
    let clients = world.clients();
    push(&clients[0], "a").await.ok();
    quiet(&clients[0], "default", BOUND).await;
    for client in &clients {
        follows(client, 1).await;
    }
    let pids = || {
        let nodes = world.nodes().iter();
        nodes
            .map(|node| (node.pid(), node.workers()))
            .collect::<Vec<_>>()
    };
    let before = pids();

    everywhere(&world, |proxy| proxy.go_away());
    let gone = Instant::now();
    while gone.elapsed() < AWAY {
        goes_on(&clients).await;
        assert_later(&push(&clients[1], "b").await);
    }
    world.heal();
    wait_until("writes are taken again", BOUND, async || {
        (push(&clients[1], "b").await.status == 200).then_some(())
    })
    .await;
    quiet(&clients[0], "default", BOUND).await;
    for client in &clients {
        follows(client, 2).await;
    }

    // In the middle of whatever they do, and then every piece of an answer late.
    let pushed = tokio::spawn({
        let client = clients[0].clone();
        async move {
            let entities = (0..400).map(|number| component(&format!("n{number}")));
            client.push("default", "many", entities).await.status
        }
    });
    for _ in 0..10 {
        everywhere(&world, greenroom_torture::Proxy::cut);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = pushed.await.expect("it was answered");
    assert!(matches!(status, 200 | 503), "{status}");
    everywhere(&world, |proxy| proxy.delay(Duration::from_secs(5)));
    let late = Instant::now();
    for client in &clients {
        client.get(LIVENESS).await.ok();
        client.get(FACETS).await.ok();
    }
    assert!(late.elapsed() < 2 * READ_BOUND, "{:?}", late.elapsed());
    world.heal();
    wait_until("writes are taken again", BOUND, async || {
        (push(&clients[0], "c").await.status == 200).then_some(())
    })
    .await;
    let states = quiet(&clients[0], "default", BOUND).await;
    assert!(
        states.iter().all(|state| state["status"] == "ok"),
        "{states:?}"
    );
    assert_eq!(pids(), before, "nobody was restarted");
}
