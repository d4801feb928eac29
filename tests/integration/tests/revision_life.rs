//! Proves the life of a revision over HTTP, with real guests in real workers: an activation has a canary and passes; a revision
//! that faults on every call is quarantined, the one before is current again, and every entity is served throughout, with the
//! same result (c24); an author of entities cannot bring a healthy revision down (c23); what cannot be activated is refused and
//! changes nothing (a19); many activations at once are limited, and what runs in the end is the last (q03).

use std::time::{Duration, Instant};

use greenroom_test_artifacts::{
    ANNOTATE_COMPONENT, FAULT_ON_ANNOTATION_COMPONENT, PANICS_COMPONENT, SIGN_ONE_COMPONENT,
    SIGN_TWO_COMPONENT,
};
use greenroom_test_support::{Client, TestHost, quiet, wait_until};
use serde_json::{Value, json};

const TENANT: &str = "default";
const PROCESSOR: &str = "/tenants/default/processors/p";
const BOUND: Duration = Duration::from_secs(60);

fn component(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-a"},
    })
}

async fn push(client: &Client, provider: &str, count: usize, annotations: Value) {
    let entities =
        (0..count).map(|number| component(&format!("{provider}-{number}"), &annotations));
    client.push(TENANT, provider, entities).await.ok();
}

async fn upload(client: &Client, component: &str) -> u64 {
    let bytes = std::fs::read(component).expect("the program is built");
    let revision = client
        .upload(&format!("{PROCESSOR}/revisions?wait=60"), bytes)
        .await;
    let revision = revision.ok();
    assert_eq!(revision["state"], "ready", "{revision}");
    revision["number"].as_u64().expect("a number")
}

async fn activate(client: &Client, revision: u64) -> Value {
    let path = format!("{PROCESSOR}/activate");
    client
        .post(&path, &json!({"revision": revision}))
        .await
        .ok()
}

async fn processor(client: &Client) -> Value {
    client.get(PROCESSOR).await.ok()
}

/// Waits until the shown activation is in that state; returns the processor.
async fn until(client: &Client, state: &str) -> Value {
    wait_until(&format!("the activation is {state}"), BOUND, async || {
        let shown = processor(client).await;
        (shown["activation"]["state"] == state).then_some(shown)
    })
    .await
}

/// Waits until nothing waits and every entity is well; returns their annotations of that name.
async fn annotated(client: &Client, annotation: &str) -> Vec<Value> {
    wait_until("every entity is well", BOUND, async || {
        let states = quiet(client, TENANT, BOUND).await;
        let settled = states
            .iter()
            .all(|state| state["status"] == "ok" && state["lane"].is_null());
        settled.then_some(())
    })
    .await;
    let path = format!("/tenants/{TENANT}/api/catalog/entities?fields=metadata.annotations");
    let entities = client.get(&path).await.ok();
    let entities = entities.as_array().expect("entities").clone();
    let values = entities
        .iter()
        .map(|one| &one["metadata"]["annotations"][annotation]);
    values.cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c24_a_revision_that_faults_on_every_call_is_quarantined() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    client.put(PROCESSOR, &json!({})).await.ok();
    push(client, "fleet", 60, json!({"example.com/x": "1"})).await;
    annotated(client, "none").await;

    let good = upload(client, ANNOTATE_COMPONENT).await;
    let answered = activate(client, good).await;
    assert_eq!(answered["activation"]["state"], "canary");
    let passed = until(client, "passed").await;
    assert_eq!(passed["activation"]["matching"], 50);
    wait_until("the rest is queued and runs", BOUND, async || {
        let seen = annotated(client, "example.com/seen").await;
        (seen.len() == 60 && seen.iter().all(|one| one == "yes")).then_some(())
    })
    .await;

    let bad = upload(client, PANICS_COMPONENT).await;
    activate(client, bad).await;
    let shown = until(client, "quarantined").await;
    let activation = &shown["activation"];
    assert_eq!(
        (&activation["revision"], &shown["current"]),
        (&json!(bad), &json!(good))
    );
    assert_eq!(activation["quarantine"]["returnedTo"], good);
    let regressions = activation["regressions"].as_array().expect("regressions");
    assert!(regressions.len() >= 10, "{activation}");
    assert_eq!(regressions[0]["fault"], "trap");
    assert_eq!(regressions[0]["message"], "no owner for `web`");
    // No entity lost what it had, and what had faulted runs again without being asked.
    let seen = annotated(client, "example.com/seen").await;
    assert!(seen.len() == 60 && seen.iter().all(|one| one == "yes"));
    let audit = client.get("/admin/audit?limit=50").await.ok();
    let audited = audit["items"].as_array().expect("items").iter().any(|one| {
        one["action"] == "quarantine_revision"
            && one["subject"] == "p"
            && one["actor"] == "greenroom"
    });
    assert!(audited, "{audit}");
    let listed = client.get(&format!("{PROCESSOR}/activations")).await.ok();
    let states: Vec<_> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|one| (one["state"].as_str(), one["automatic"].as_bool()))
        .collect();
    let expected = [
        (Some("passed"), Some(true)),
        (Some("quarantined"), Some(false)),
        (Some("passed"), Some(false)),
    ];
    assert_eq!(states, expected);

    // Manual: it tells and does nothing, and what was good is served all the same.
    let manual = json!({"quarantine": "manual"});
    client
        .put(&format!("{PROCESSOR}/settings"), &manual)
        .await
        .ok();
    activate(client, bad).await;
    let shown = until(client, "alarmed").await;
    assert_eq!(shown["current"], bad);
    assert_eq!(shown["activation"]["quarantine"], Value::Null);
    assert!(shown["activation"]["alarm"]["reason"].is_string());
    assert_eq!(client.count(TENANT).await, 60);
    // Automatic again, it acts.
    client
        .put(&format!("{PROCESSOR}/settings"), &json!({}))
        .await
        .ok();
    assert_eq!(processor(client).await["current"], good);
    let seen = annotated(client, "example.com/seen").await;
    assert!(seen.iter().all(|one| one == "yes"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c23_an_author_of_entities_cannot_bring_a_revision_down() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    client.put(PROCESSOR, &json!({})).await.ok();
    push(client, "fleet", 25, json!({})).await;
    annotated(client, "none").await;
    let healthy = upload(client, FAULT_ON_ANNOTATION_COMPONENT).await;
    activate(client, healthy).await;
    until(client, "passed").await;
    annotated(client, "none").await;

    // 25 entities of one source that were well, then five of each of five others, and nothing else.
    let poison = json!({"example.com/fault": "1"});
    push(client, "fleet", 25, poison.clone()).await;
    for provider in ["a", "b", "c", "d", "e"] {
        push(client, provider, 5, poison.clone()).await;
    }
    wait_until("all of them have faulted", BOUND, async || {
        let states = client.processing(TENANT).await;
        let failed = states.iter().filter(|one| one["status"] == "failed");
        (failed.count() == 50).then_some(())
    })
    .await;
    let faults = client.get(&format!("{PROCESSOR}/faults")).await.ok();
    assert_eq!(faults["items"].as_array().expect("items").len(), 50);
    let shown = processor(client).await;
    assert_eq!(
        (&shown["current"], &shown["held"]),
        (&json!(healthy), &json!(false))
    );
    assert_eq!(shown["activation"]["state"], "passed");
    assert_eq!(shown["activation"]["regressions"], json!([]));
    assert_eq!(
        client.count(TENANT).await,
        25,
        "the last good state is served"
    );
    // The revision goes on working for everybody else.
    push(client, "others", 10, json!({})).await;
    wait_until("others are served", BOUND, async || {
        (client.count(TENANT).await == 35).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a19_what_cannot_be_activated_is_refused_and_two_at_once_are_ordered() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    client.put(PROCESSOR, &json!({})).await.ok();
    let one = upload(client, SIGN_ONE_COMPONENT).await;
    let two = upload(client, SIGN_TWO_COMPONENT).await;
    let rejected = client
        .upload(
            &format!("{PROCESSOR}/revisions?wait=60"),
            b"\0asm\x0d\0\x01\0".to_vec(),
        )
        .await
        .ok();
    assert_eq!(rejected["state"], "rejected");
    activate(client, one).await;
    let path = format!("{PROCESSOR}/activate");
    for (revision, status) in [
        (json!(rejected["number"]), 409),
        (json!(99), 404),
        (json!(0), 400),
    ] {
        let answer = client.post(&path, &json!({"revision": revision})).await;
        answer.error(status);
    }
    client
        .post("/admin/tenants", &json!({"name": "other"}))
        .await
        .ok();
    let other = "/tenants/other/processors/p/activate";
    client
        .post(other, &json!({"revision": one}))
        .await
        .error(404);
    assert_eq!(
        processor(client).await["current"],
        one,
        "the current one stays"
    );

    let (to_one, to_two) = (json!({"revision": one}), json!({"revision": two}));
    let (first, second) = tokio::join!(client.post(&path, &to_one), client.post(&path, &to_two));
    first.ok();
    second.ok();
    let listed = client.get(&format!("{PROCESSOR}/activations")).await.ok();
    let numbers: Vec<_> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|one| one["number"].as_u64())
        .collect();
    assert_eq!(numbers, [Some(3), Some(2), Some(1)]);
    assert_eq!(
        processor(client).await["current"],
        listed["items"][0]["revision"]
    );
    let audit = client.get("/admin/audit?limit=50").await.ok();
    let activations = audit["items"].as_array().expect("items").iter();
    let count = activations
        .filter(|entry| entry["action"] == "activate_revision")
        .count();
    assert_eq!(count, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q03_activations_are_limited_and_coalesced() {
    const ENTITIES: usize = 1_000;
    let host = TestHost::builder()
        .config_toml("[quotas]\nactivations_per_minute = 30\n")
        .start()
        .await;
    let client = host.client();
    client.put(PROCESSOR, &json!({})).await.ok();
    push(client, "fleet", ENTITIES, json!({})).await;
    annotated(client, "none").await;
    let one = upload(client, SIGN_ONE_COMPONENT).await;
    let two = upload(client, SIGN_TWO_COMPONENT).await;
    for revision in [one, two] {
        activate(client, revision).await;
        until(client, "passed").await;
    }
    annotated(client, "none").await;
    let path = format!("{PROCESSOR}/activate");
    let (mut done, mut limited) = (0_u64, 0);
    let began = Instant::now();
    // On a slow machine more than forty are needed until one is too many.
    for turn in 0.. {
        if turn >= 40 && limited > 0 {
            break;
        }
        assert!(turn < 400, "no activation is refused");
        let revision = if turn % 2 == 0 { one } else { two };
        let answer = client.post(&path, &json!({"revision": revision})).await;
        match answer.status {
            200 => done += 1,
            429 => limited += 1,
            _ => panic!("{answer:?}"),
        }
    }
    // Thirty at once, and one more every two seconds.
    let most = 30 + began.elapsed().as_secs() / 2 + 2;
    assert!(
        (27..=most).contains(&done),
        "{done} of at most {most}, and {limited} refused"
    );
    let current = processor(client).await["current"].clone();
    let expected = if current == one { "one" } else { "two" };
    let signed = wait_until("all are signed by the last", BOUND, async || {
        let signed = annotated(client, "example.com/after").await;
        signed.iter().all(|by| by == expected).then_some(signed)
    })
    .await;
    assert_eq!(signed.len(), ENTITIES);
}
