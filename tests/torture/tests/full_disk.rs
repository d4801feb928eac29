//! Proves that a full disk is told and survived (s05): writes, uploads among them, are refused with a 503 that says so, reads and
//! probes go on, and once there is room everything goes on by itself, in the same processes.

use std::time::Duration;

use greenroom_test_artifacts::ANNOTATE_COMPONENT;
use greenroom_test_support::{Backend, Client, Reply, quiet};
use greenroom_torture::World;
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(60);
const ENTITIES: usize = 20;
const PROCESSOR: &str = "/tenants/default/processors/p";
/// Mutations that certainly do not fit what the files have grown to before.
const MUTATIONS: usize = 40;
/// As many tenants.
const TENANTS: usize = 2_000;

/// A large one, and another in each round, so that files must grow.
fn component(number: usize, round: usize) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": format!("c{round}-{number}"), "description": "x".repeat(20_000)},
        "spec": {"type": "service", "lifecycle": "production", "owner": "core"},
    })
}

async fn push(client: &Client, round: usize) -> Reply {
    let entities = (0..ENTITIES).map(|number| component(number, round));
    client.push("default", "p", entities).await
}

/// It says what is wrong, and when to come back.
fn assert_full(reply: &Reply) {
    assert_eq!(reply.error(503), "ServiceUnavailableError");
    assert!(reply.body.contains("has no room"), "{}", reply.body);
    assert!(reply.retry_after.is_some(), "{reply:?}");
}

/// Makes tenants until one is refused, whose name it is: files may have room left for something small. Those that were made are
/// there, and the refused one is not.
async fn refused_tenant(client: &Client) -> String {
    for number in 0..TENANTS {
        let name = format!("t{number}");
        let reply = client.post("/admin/tenants", &json!({"name": name})).await;
        if reply.status == 201 {
            continue;
        }
        assert_full(&reply);
        let listed = client.get("/admin/tenants").await.ok();
        let made = listed["items"].as_array().map(Vec::len);
        assert_eq!(made, Some(number + 1), "those and the default one");
        return name;
    }
    panic!("files did not have to grow for {TENANTS} tenants");
}

async fn reads_go_on(client: &Client) {
    for path in [
        "/.backstage/health/v1/liveness",
        "/.backstage/health/v1/readiness",
        "/tenants/default/api/catalog/entities/by-query?limit=5",
        "/tenants/default/api/catalog/entity-facets?facet=kind",
        "/tenants/default/api/catalog/entities/by-name/component/default/c0-1",
        "/tenants/default/changes",
    ] {
        client.get(path).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s05_a_full_disk_is_told_reads_go_on_and_nothing_is_restarted() {
    let world = World::start(Backend::Sqlite).await;
    let (client, node) = (&world.clients()[0], &world.nodes()[0]);
    push(client, 0).await.ok();
    client.put(PROCESSOR, &json!({})).await.ok();
    let revisions = &format!("{PROCESSOR}/revisions?wait=60");
    quiet(client, "default", BOUND).await;
    let (pid, workers) = (node.pid(), node.workers());

    node.machine().fill_disk(true);
    let mut refused = None;
    for round in 1..MUTATIONS {
        let reply = push(client, round).await;
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    assert_full(&refused.expect("files did not have to grow"));
    let bytes = std::fs::read(ANNOTATE_COMPONENT).expect("the program is built");
    assert_full(&client.upload(revisions, bytes.clone()).await);
    let tenant = json!({"name": refused_tenant(client).await});
    reads_go_on(client).await;

    node.machine().fill_disk(false);
    client.post("/admin/tenants", &tenant).await.ok();
    let revision = client.upload(revisions, bytes).await.ok();
    assert_eq!(revision["state"], "ready", "{revision}");
    push(client, MUTATIONS).await.ok();
    let states = quiet(client, "default", BOUND).await;
    assert!(
        states.iter().all(|state| state["status"] == "ok"),
        "{states:?}"
    );
    let last = format!("component:default/c{MUTATIONS}-1");
    assert!(client.entity("default", &last).await.is_some());
    assert_eq!((node.pid(), node.workers()), (pid, workers));
}
