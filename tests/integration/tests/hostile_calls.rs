//! Proves what is left of calls that went too far, through the real host and real guests: chains of emitted locations end, of
//! whatever shape, and the entity that would exceed the limit says so (c19); of a result that is too large nothing is applied,
//! and what was good before is still served (c08). Meanwhile and afterwards another tenant registers and reads as if nothing
//! had happened.

use std::time::Duration;

use greenroom_test_artifacts::{EMIT_CHAIN_COMPONENT, TOO_MANY_EMISSIONS_COMPONENT};
use greenroom_test_support::{Client, TestHost, quiet, wait_until};
use serde_json::{Value, json};

const PROCESSOR: &str = "/tenants/default/processors/hostile";
const BOUND: Duration = Duration::from_secs(60);
/// Most steps from an origin.
const MAX_CHAIN: usize = 32;

fn entity(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    })
}

fn service(name: &str) -> Value {
    let spec = json!({"type": "service", "lifecycle": "production", "owner": "team-a"});
    entity("Component", name, &spec)
}

/// Uploads a program and makes it current, for entities of that kind alone. It stays current whatever it does to them: what a
/// quarantine makes good again is another test's.
async fn activate(client: &Client, component: &str, kind: &str) {
    client.put(PROCESSOR, &json!({})).await.ok();
    let settings = json!({"subscription": [{"kinds": [kind]}], "quarantine": "manual"});
    let path = format!("{PROCESSOR}/settings");
    client.put(&path, &settings).await.ok();
    let bytes = std::fs::read(component).expect("the program is built");
    let path = format!("{PROCESSOR}/revisions?wait=60");
    let revision = client.upload(&path, bytes).await.ok();
    assert_eq!(revision["state"], "ready", "{revision}");
    let path = format!("{PROCESSOR}/activate");
    client.post(&path, &json!({"revision": 1})).await.ok();
}

async fn state(client: &Client, entity_ref: &str) -> Value {
    let states = client.processing("default").await;
    let found = states.iter().find(|one| one["entityRef"] == entity_ref);
    found.cloned().unwrap_or(Value::Null)
}

/// Another tenant registers an entity and is served it.
async fn assert_served_elsewhere(client: &Client, name: &str) {
    let entity_ref = format!("component:default/{name}");
    client.push("other", name, [service(name)]).await.ok();
    wait_until("another tenant is served", BOUND, async || {
        client.entity("other", &entity_ref).await
    })
    .await;
}

async fn host_with_two_tenants() -> TestHost {
    let host = TestHost::builder().start().await;
    let other = json!({"name": "other"});
    host.client().post("/admin/tenants", &other).await.ok();
    host
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c19_chains_end_and_the_entity_that_would_exceed_the_limit_says_so() {
    let host = host_with_two_tenants().await;
    let (client, workers) = (host.client(), host.workers());
    activate(client, EMIT_CHAIN_COMPONENT, "location").await;
    let roots = ["self", "ping", "endless-0"];
    let roots = roots.map(|name| entity("Location", name, &json!({"targets": []})));
    client.push("default", "roots", roots).await.ok();
    assert_served_elsewhere(client, "meanwhile").await;

    let last = format!("location:default/endless-{MAX_CHAIN}");
    wait_until("the chain has come to its end", BOUND, async || {
        (state(client, &last).await["served"] == true).then_some(())
    })
    .await;
    let states = quiet(client, "default", BOUND).await;
    let mut expected: Vec<String> = (0..=MAX_CHAIN)
        .map(|number| format!("endless-{number}"))
        .collect();
    expected.extend(["self", "ping", "pong"].map(str::to_owned));
    expected.sort();
    let mut found: Vec<&str> = states
        .iter()
        .filter_map(|state| {
            state["entityRef"]
                .as_str()?
                .strip_prefix("location:default/")
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);

    for state in &states {
        let diagnostics = state["diagnostics"].as_array().expect("diagnostics");
        let messages: Vec<_> = diagnostics
            .iter()
            .map(|one| one["message"].as_str())
            .collect();
        let of = state["entityRef"].as_str().expect("a ref");
        if of == last {
            assert_eq!(state["status"], "partial", "{state}");
            assert_eq!(diagnostics.len(), 1, "{state}");
            assert_eq!(diagnostics[0]["name"], "ChainTooLongError");
            let told = messages[0].expect("a message");
            assert!(
                told.contains("`location:default/endless-33` is not added"),
                "{told}"
            );
            assert!(told.contains("32 steps"), "{told}");
        } else if of == "location:default/self" {
            assert_eq!(state["status"], "ok", "{state}");
            assert_eq!(diagnostics[0]["level"], "warning");
            assert!(messages[0].is_some_and(|told| told.contains("emitted by itself")));
        } else {
            assert_eq!(
                (&state["status"], diagnostics.len()),
                (&json!("ok"), 0),
                "{state}"
            );
        }
    }
    // The served entity tells it too, to whoever has no access to processing.
    let served = client.entity("default", &last).await.expect("it is served");
    let items = served["status"]["items"].to_string();
    assert!(items.contains("ChainTooLongError"), "{items}");
    // It has ended: nothing is queued, and nothing runs again by itself.
    assert!(states.iter().all(|state| state["lane"].is_null()));
    assert_eq!(host.workers(), workers, "no worker died");
    assert_served_elsewhere(client, "afterwards").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c08_nothing_of_a_result_that_is_too_large_is_applied() {
    let host = host_with_two_tenants().await;
    let client = host.client();
    client.push("default", "fleet", [service("web")]).await.ok();
    quiet(client, "default", BOUND).await;
    let before = client.entity("default", "component:default/web").await;
    let before = before.expect("it is served");

    activate(client, TOO_MANY_EMISSIONS_COMPONENT, "component").await;
    client.push("default", "fleet", [service("new")]).await.ok();
    assert_served_elsewhere(client, "meanwhile").await;
    for name in ["web", "new"] {
        let entity_ref = format!("component:default/{name}");
        let failed = wait_until("it has failed", BOUND, async || {
            let state = state(client, &entity_ref).await;
            (state["status"] == "failed").then_some(state)
        })
        .await;
        let diagnostic = &failed["diagnostics"][0];
        assert_eq!(diagnostic["cause"]["name"], "output-too-large", "{failed}");
        assert!(
            diagnostic.to_string().contains("10001 emissions"),
            "{failed}"
        );
    }
    let states = quiet(client, "default", BOUND).await;
    let refs: Vec<_> = states.iter().map(|one| one["entityRef"].as_str()).collect();
    assert_eq!(
        refs,
        [Some("component:default/new"), Some("component:default/web")],
        "what it emitted first is not there"
    );
    assert!(
        client
            .entity("default", "component:default/new")
            .await
            .is_none()
    );
    let after = client.entity("default", "component:default/web").await;
    let after = after.expect("its last good state is served");
    assert_eq!(
        (&after["spec"], &after["metadata"]["uid"]),
        (&before["spec"], &before["metadata"]["uid"])
    );
    assert_served_elsewhere(client, "afterwards").await;
}
