//! Proves, on a running host, what users see of docs/better-than-backstage.md that no test nearer to the code shows whole:
//! processors are called when an input changed and not before, a refresh can be forced and waited for, the audit runs as a
//! scheduled task and calls nobody, and every entity's processing can be seen, also before its first success.

use std::time::Duration;

use greenroom_test_artifacts::PANICS_COMPONENT;
use greenroom_test_support::{Client, TestHost, quiet, wait_until};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(60);
const CALLS: &str = "greenroom_processor_calls_total";
const MADE: &str = "greenroom_processing_runs_total{result=\"made\"}";
const TASKS: &str = "/tenants/default/api/catalog/.backstage/scheduler/v1/tasks";

fn component(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team"},
    })
}

/// Waits until a worker has told a figure; those that were told with it are then as new.
async fn is_told(host: &TestHost, series: &str, value: u64) {
    wait_until(series, BOUND, async || {
        (host.metric(series).await == value).then_some(())
    })
    .await;
}

async fn task(host: &TestHost, id: &str) -> Value {
    let tasks = host.client().get(TASKS).await.ok();
    let tasks = tasks["tasks"].as_array().expect("tasks").clone();
    let found = tasks.into_iter().find(|task| task["taskId"] == id);
    found.unwrap_or_else(|| panic!("there is no task `{id}`"))
}

#[tokio::test]
async fn processors_are_called_when_something_changed_or_somebody_asks() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    let entities: Vec<Value> = (0..20)
        .map(|number| component(&format!("c{number}")))
        .collect();
    client.push("default", "p", entities.clone()).await.ok();
    quiet(client, "default", BOUND).await;
    is_told(&host, MADE, 20).await;
    let first = host.metric(CALLS).await;
    assert!(first >= 20, "{first} calls");

    // The same again is no change, and an audit of everything calls nobody and heals nothing.
    client.push("default", "p", entities.clone()).await.ok();
    let trigger = format!("{TASKS}/catalog_audit/trigger");
    client.post(&trigger, &json!({})).await.ok();
    wait_until("the audit has run", BOUND, async || {
        let task = task(&host, "catalog_audit").await;
        assert_eq!(task["settings"]["cadence"], "PT24H");
        (!task["taskState"]["lastRunEndedAt"].is_null()).then_some(())
    })
    .await;
    is_told(&host, "greenroom_audited_entities_total", 20).await;
    assert_eq!(host.metric(CALLS).await, first);
    assert_eq!(host.metric(MADE).await, 20);
    for what in ["memo", "edge", "stitch"] {
        let series = format!("greenroom_audit_healed_total{{what=\"{what}\"}}");
        assert_eq!(host.metric(&series).await, 0, "{what}");
    }

    // A forced refresh is answered when it is done: one entity was processed, and nobody else.
    let before = client
        .get("/tenants/default/processing/component/default/c3")
        .await
        .ok();
    let refreshed = client
        .post(
            "/tenants/default/processing/component/default/c3/refresh?wait=20",
            &json!({}),
        )
        .await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let refreshed = refreshed.json();
    assert_ne!(refreshed["lastRun"], before["lastRun"]);
    assert_eq!(refreshed["status"], "ok");
    is_told(&host, MADE, 21).await;
    assert_eq!(host.metric(CALLS).await, first + first / 20);
}

/// A tenant of that name and a client with all its scopes.
async fn tenant(host: &TestHost, name: &str) -> Client {
    let operator = host.client();
    operator
        .post("/admin/tenants", &json!({"name": name}))
        .await
        .ok();
    let scopes = json!({"name": name, "scopes": ["read", "write", "deploy", "admin"]});
    let token = operator
        .post(&format!("/admin/tenants/{name}/tokens"), &scopes)
        .await;
    operator.with_token(token.ok()["token"].as_str())
}

/// A processor that panics on everything it is called for, current and left so.
async fn panics(client: &Client, tenant: &str) {
    let processor = format!("/tenants/{tenant}/processors/panics");
    client
        .put(&processor, &json!({"quarantine": "manual"}))
        .await
        .ok();
    let bytes = std::fs::read(PANICS_COMPONENT).expect("the program is built");
    let revision = client
        .upload(&format!("{processor}/revisions?wait=60"), bytes)
        .await
        .ok();
    assert_eq!(revision["state"], "ready", "{revision}");
    client
        .post(&format!("{processor}/activate"), &json!({"revision": 1}))
        .await
        .ok();
}

#[tokio::test]
async fn a_dead_letter_is_seen_before_its_first_success_and_runs_when_told_to() {
    let host = TestHost::builder().start().await;
    let client = tenant(&host, "dead").await;
    panics(&client, "dead").await;
    let path = "/tenants/dead/processing/component/default/letter";
    client.push("dead", "p", [component("letter")]).await.ok();
    let state = wait_until("it has failed", BOUND, async || {
        let state = client.get(path).await;
        (state.status == 200 && state.json()["deadLetter"] == true).then(|| state.json())
    })
    .await;
    assert_eq!(
        (&state["status"], &state["served"]),
        (&json!("failed"), &json!(false))
    );
    let told = &state["diagnostics"][0];
    assert_eq!(
        (&told["level"], &told["processor"]),
        (&json!("error"), &json!("panics")),
        "{told}"
    );
    assert_eq!(told["stage"], "pre-process");
    let ran = &state["revisions"][0];
    assert_eq!(
        (&ran["processor"], &ran["revision"]),
        (&json!("panics"), &json!(1)),
        "{ran}"
    );
    let listed = client
        .get("/tenants/dead/processing?deadLetters=true")
        .await
        .ok();
    assert_eq!(listed["items"][0]["entityRef"], "component:default/letter");

    // What is remembered is not tried again for nothing, and once when somebody asks.
    is_told(&host, MADE, 1).await;
    client.push("dead", "p", [component("letter")]).await.ok();
    let redriven = client.post(&format!("{path}/redrive"), &json!({})).await;
    assert_eq!(redriven.status, 202, "{}", redriven.body);
    wait_until("it has run again", BOUND, async || {
        let again = client.get(path).await.ok();
        (again["lastRun"] != state["lastRun"]).then_some(())
    })
    .await;
    is_told(&host, MADE, 2).await;

    // When the cause is gone it is served by itself.
    let settings = json!({"enabled": false});
    client
        .put("/tenants/dead/processors/panics/settings", &settings)
        .await
        .ok();
    wait_until("it is served", BOUND, async || {
        client.entity("dead", "component:default/letter").await
    })
    .await;
    let listed = client
        .get("/tenants/dead/processing?deadLetters=true")
        .await
        .ok();
    assert_eq!(listed["items"], json!([]));
}
