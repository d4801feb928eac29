//! Proves that swapping revisions under load costs nothing: 1 000 activations back and forth over HTTP while a real worker calls
//! flat out. No call fails, every result is signed by exactly one revision in both of its stages, what is current in the end is
//! what everything is signed by in the end, and memory stays flat.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use greenroom_test_artifacts::{SIGN_ONE_COMPONENT, SIGN_TWO_COMPONENT};
use greenroom_test_support::{Client, TestHost, children_of, wait_until};
use serde_json::{Value, json};

const PROCESSOR: &str = "/tenants/default/processors/p";
const ACTIVATIONS: usize = 1_000;
const ENTITIES: usize = 400;
const BOUND: Duration = Duration::from_secs(60);
/// Growth of all processes between the first hundred activations and the last, in KiB. A leak of one pipeline or one loaded
/// revision for each activation is more.
const GROWTH_KIB: u64 = 24 * 1_024;

async fn push(client: &Client, round: usize) {
    let entities = (0..ENTITIES).map(|number| {
        json!({
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Component",
            "metadata": {
                "name": format!("c{number}"),
                "annotations": {"example.com/round": round.to_string()},
            },
            "spec": {"type": "service", "lifecycle": "production", "owner": "team-a"},
        })
    });
    client.push("default", "fleet", entities).await.ok();
}

async fn upload(client: &Client, component: &str) -> u64 {
    let bytes = std::fs::read(component).expect("the program is built");
    let path = format!("{PROCESSOR}/revisions?wait=60");
    let revision = client.upload(&path, bytes).await.ok();
    assert_eq!(revision["state"], "ready", "{revision}");
    revision["number"].as_u64().expect("a number")
}

async fn activate(client: &Client, revision: u64) {
    let path = format!("{PROCESSOR}/activate");
    client
        .post(&path, &json!({"revision": revision}))
        .await
        .ok();
}

/// By whom entities are signed before and after, and how many each.
async fn signatures(client: &Client) -> BTreeMap<(String, String), usize> {
    let path = "/tenants/default/api/catalog/entities?fields=metadata.annotations";
    let mut signed = BTreeMap::new();
    for entity in client.get(path).await.ok().as_array().expect("entities") {
        let annotations = &entity["metadata"]["annotations"];
        let by = |stage: &str| annotations[stage].as_str().unwrap_or("nobody").to_owned();
        let pair = (by("example.com/before"), by("example.com/after"));
        *signed.entry(pair).or_default() += 1;
    }
    signed
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    figure.unwrap_or(0)
}

/// Of the API, its workers and their children.
fn resident(host: &TestHost) -> u64 {
    let workers = host.workers();
    let children = workers.iter().flat_map(|worker| children_of(*worker));
    let all = children.chain(workers.iter().copied()).chain([host.pid()]);
    all.map(resident_kib).sum()
}

/// Changes every entity again and again, so that there are calls to make at every moment; returns how often.
async fn keep_busy(client: Client, stop: Arc<AtomicBool>) -> usize {
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        push(&client, round).await;
    }
    round
}

/// Looks at what is served until told to stop; every look must be explained.
async fn watch(client: Client, stop: Arc<AtomicBool>) -> usize {
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        explained(&signatures(&client).await);
        looks += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    looks
}

fn explained(signed: &BTreeMap<(String, String), usize>) {
    for (before, after) in signed.keys() {
        assert_eq!(before, after, "a result of two revisions");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_activations_while_calls_run_flat_out() {
    let host = TestHost::builder()
        .config_toml("[quotas]\nactivations_per_minute = 1000000\n")
        .start()
        .await;
    let client = host.client();
    client.put(PROCESSOR, &json!({})).await.ok();
    push(client, 0).await;
    let revisions = [
        upload(client, SIGN_ONE_COMPONENT).await,
        upload(client, SIGN_TWO_COMPONENT).await,
    ];
    for revision in revisions {
        activate(client, revision).await;
        wait_until("the canary passes", BOUND, async || {
            let shown = client.get(PROCESSOR).await.ok();
            (shown["activation"]["state"] == "passed").then_some(())
        })
        .await;
    }

    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(keep_busy(client.clone(), Arc::clone(&stop)));
    let looks = tokio::spawn(watch(client.clone(), Arc::clone(&stop)));
    let started = Instant::now();
    let mut early = 0;
    for turn in 0..ACTIVATIONS {
        activate(client, revisions[turn % 2]).await;
        if turn < ACTIVATIONS / 10 {
            early = early.max(resident(&host));
        }
    }
    let took = started.elapsed();
    let late = resident(&host);
    stop.store(true, Ordering::Relaxed);
    let rounds = load.await.expect("the load is pushed");
    let looks = looks.await.expect("every look is explained");

    // The last activation was of the second revision; everything comes to be signed by it.
    let two = ("two".to_owned(), "two".to_owned());
    wait_until("the last revision has signed all", BOUND, async || {
        let signed = signatures(client).await;
        explained(&signed);
        (signed.get(&two) == Some(&ENTITIES)).then_some(())
    })
    .await;
    let failed: Vec<Value> = client
        .processing("default")
        .await
        .into_iter()
        .filter(|state| state["status"] != "ok" || state["attempts"] != 0)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    let faults = client.get(&format!("{PROCESSOR}/faults")).await.ok();
    assert_eq!(faults["items"], json!([]), "no call failed");
    let shown = client.get(PROCESSOR).await.ok();
    assert_eq!(shown["current"], revisions[1]);
    assert_eq!(shown["activation"]["state"], "passed");
    assert!(
        late < early + GROWTH_KIB,
        "{early} KiB after a hundred activations, {late} KiB after {ACTIVATIONS}"
    );
    eprintln!(
        "{ACTIVATIONS} activations in {took:?}, {rounds} rounds of {ENTITIES} entities, {looks} looks; {early} then {late} KiB"
    );
}
