//! Proves that workers that die as soon as they are started take nothing with them (s11): the API answers and is ready all the
//! while, they are started ever more rarely, readiness, metrics and log say so, and once one lives the work goes on.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use greenroom_test_support::{TestHost, kill_hard, quiet, wait_until};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(30);
/// How long none lives: they are started after 0.1, 0.3, 0.7 and 1.5 s, and without a pause some fifty times.
const DYING: Duration = Duration::from_millis(1_700);
const READINESS: &str = "/.backstage/health/v1/readiness";
const FACETS: &str = "/tenants/default/api/catalog/entity-facets?facet=kind";
const RESTARTS: &str = "greenroom_worker_restarts_total{reason=\"died\"}";

fn component(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": "service", "lifecycle": "production", "owner": "core"},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s11_workers_that_die_at_once_are_started_ever_more_rarely_beside_an_api_that_is_ready() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    client.push("default", "p", [component("a")]).await.ok();
    quiet(client, "default", BOUND).await;

    let (began, mut killed) = (Instant::now(), BTreeSet::new());
    while began.elapsed() < DYING {
        for worker in host.workers() {
            kill_hard(worker);
            killed.insert(worker);
        }
        assert_eq!(client.get(READINESS).await.ok()["status"], "ok");
        client.get(FACETS).await.ok();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.push("default", "p", [component("b")]).await.ok();
    assert!((3..=7).contains(&killed.len()), "{} workers", killed.len());

    let died = killed.len() as u64;
    let said = client.get(READINESS).await.ok()["workers"]["restarts"].clone();
    assert!(
        said.as_u64() >= Some(died - 1),
        "{said}, {died} were killed"
    );
    assert!(host.metric(RESTARTS).await >= died - 1);
    assert!(host.log().contains("worker is replaced"));

    // The last one lives.
    wait_until("a worker runs", BOUND, async || {
        let running = client.get(READINESS).await.ok()["workers"]["running"].clone();
        (running == 1).then_some(())
    })
    .await;
    let states = quiet(client, "default", BOUND).await;
    assert_eq!(states.len(), 2);
}
