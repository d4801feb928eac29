//! Proves what the processes promise: a worker killed with 5 000 entities in its hands costs nothing (the API answers
//! throughout, another worker claims within seconds, every entity is served in the end and none twice); a task is run by another;
//! a killed `serve` leaves no process behind and loses nothing; Ctrl-C ends everything within 10 s.

use std::time::{Duration, Instant};

use greenroom_test_support::{
    Client, TestHost, is_alive, kill_hard, quiet, stop_softly, wait_until,
};
use serde_json::{Value, json};

const TENANT: &str = "default";
const ENTITIES: usize = 5_000;
/// Longest answer of a probe or a read while workers die and work. A machine that is busy elsewhere may take seconds; an API that
/// waited for its workers would take until they are back.
const ANSWER_BOUND: Duration = Duration::from_secs(10);
/// How long a process may take to start or to end.
const CHANGE_BOUND: Duration = Duration::from_secs(30);
const ALL_SERVED: Duration = Duration::from_secs(120);

fn component(number: usize) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": format!("c{number}")},
        "spec": {"type": "service", "lifecycle": "production", "owner": format!("team-{}", number % 7)},
    })
}

async fn push(client: &Client) {
    let reply = client
        .push(TENANT, "bulk", (0..ENTITIES).map(component))
        .await;
    assert_eq!(reply.ok()["added"], ENTITIES);
}

/// Asks once, and fails if the answer takes too long; returns how long it took.
async fn answers(client: &Client) -> Duration {
    let started = Instant::now();
    for path in [
        "/.backstage/health/v1/liveness",
        "/.backstage/health/v1/readiness",
        "/tenants/default/api/catalog/entities/by-query?limit=1",
    ] {
        let asked = Instant::now();
        let reply = client.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        let took = asked.elapsed();
        assert!(took < ANSWER_BOUND, "{path} took {took:?}");
    }
    started.elapsed()
}

async fn one_worker(host: &TestHost, but: Option<u32>) -> u32 {
    wait_until("a worker runs", CHANGE_BOUND, async || {
        host.workers().into_iter().find(|pid| Some(*pid) != but)
    })
    .await
}

/// Entities that were processed, which grows only while a worker claims.
async fn done(client: &Client) -> u64 {
    client.count(TENANT).await
}

/// Every entity is served, under a name of its own.
async fn all_are_served_once(client: &Client) {
    let states = quiet(client, TENANT, ALL_SERVED).await;
    assert_eq!(states.len(), ENTITIES);
    let bad: Vec<&Value> = states.iter().filter(|one| one["status"] != "ok").collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let path = "/tenants/default/api/catalog/entities?fields=metadata.name,metadata.uid";
    let listed = client.get(path).await.ok();
    let listed = listed.as_array().expect("entities");
    let mut names: Vec<&str> = listed
        .iter()
        .filter_map(|one| one["metadata"]["name"].as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((listed.len(), names.len()), (ENTITIES, ENTITIES));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_costs_nothing() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    let first = one_worker(&host, None).await;
    push(client).await;
    let before = wait_until("the first are served", ALL_SERVED, async || {
        let count = done(client).await;
        (count > 100).then_some(count)
    })
    .await;
    assert!(
        before < ENTITIES as u64,
        "the worker was too fast to be killed at work"
    );

    kill_hard(first);
    let killed = Instant::now();
    let mut slowest = Duration::ZERO;
    // What the dead worker finished may be served a moment later, so the new one must exist before counting starts.
    let second = wait_until("another worker runs", CHANGE_BOUND, async || {
        slowest = slowest.max(answers(client).await);
        host.workers().into_iter().find(|pid| *pid != first)
    })
    .await;
    let at_start = done(client).await;
    wait_until("the new worker claims", CHANGE_BOUND, async || {
        slowest = slowest.max(answers(client).await);
        (done(client).await > at_start).then_some(())
    })
    .await;
    let claimed = killed.elapsed();
    wait_until("every entity is served", ALL_SERVED, async || {
        slowest = slowest.max(answers(client).await);
        (done(client).await == ENTITIES as u64).then_some(())
    })
    .await;
    all_are_served_once(client).await;

    assert!(!is_alive(first) && is_alive(second));
    let ready = client.get("/.backstage/health/v1/readiness").await.ok();
    let expected = json!({"running": 1, "restarts": 1, "lastEnd": "died"});
    assert_eq!(ready["workers"], expected);
    eprintln!(
        "killed with {before} served; claimed again after {claimed:?}; slowest round of probes {slowest:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_serve_leaves_no_process_and_loses_nothing() {
    let mut host = TestHost::builder().start().await;
    let worker = one_worker(&host, None).await;
    push(host.client()).await;
    kill_hard(host.pid());
    host.wait_for_end(CHANGE_BOUND).await;
    wait_until("its worker is gone", CHANGE_BOUND, async || {
        (!is_alive(worker)).then_some(())
    })
    .await;
    host.start_again().await;
    all_are_served_once(host.client()).await;
}

/// What the task of that name says of itself.
async fn task_state(client: &Client, id: &str) -> Value {
    let path = "/tenants/default/api/catalog/.backstage/scheduler/v1/tasks";
    let tasks = client.get(path).await.ok();
    let tasks = tasks["tasks"].as_array().expect("tasks").clone();
    let task = tasks.into_iter().find(|task| task["taskId"] == id);
    task.expect("the task")["taskState"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_worker_is_killed_is_run_by_another() {
    const AUDIT: &str = "catalog_audit";
    let host = TestHost::builder().workers(2).start().await;
    let client = host.client();
    push(client).await;
    all_are_served_once(client).await;
    let trigger =
        format!("/tenants/default/api/catalog/.backstage/scheduler/v1/tasks/{AUDIT}/trigger");
    client.post(&trigger, &json!({})).await.ok();
    let running = async |but: &Value| {
        let state = task_state(client, AUDIT).await;
        let other = state["status"] == "running" && state["startedAt"] != *but;
        other.then_some(state)
    };
    let bound = 2 * CHANGE_BOUND;
    let first = wait_until("the audit runs", bound, async || {
        running(&Value::Null).await
    })
    .await;
    // One of them runs it. It rests for fifty times as long as it works, so it is far from its end.
    for worker in host.workers() {
        kill_hard(worker);
    }
    let began = &first["startedAt"];
    let second = wait_until("another runs it", bound, async || running(began).await).await;
    // As Backstage tells of a run whose process is gone.
    let error = second["lastRunError"]
        .as_str()
        .expect("the first one's end");
    assert!(error.contains("Task timed out"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_everything_within_ten_seconds() {
    let mut host = TestHost::builder().workers(2).start().await;
    wait_until("both workers run", Duration::from_secs(10), async || {
        (host.workers().len() == 2).then_some(())
    })
    .await;
    let workers = host.workers();
    push(host.client()).await;
    stop_softly(host.pid());
    let status = host.wait_for_end(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    for worker in workers {
        assert!(!is_alive(worker), "worker {worker} is left");
    }
    host.start_again().await;
    all_are_served_once(host.client()).await;
}
