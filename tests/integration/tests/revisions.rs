//! Proves the life of a revision over HTTP with the real host and real components: what is uploaded comes back, settings are
//! checked against the schema that a component declares, a dry run and a preview tell what a revision would do and change
//! nothing, and a fault downloads as a call that can be made again.

use std::fs;
use std::time::Duration;

use greenroom_test_artifacts::{
    ANNOTATE_COMPONENT, CONFIGURED_COMPONENT, SCHEMA_UNBOUNDED_COMPONENT,
};
use greenroom_test_support::{Client, Reply, TestHost, quiet, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

/// How long processing a handful of entities may take on a busy machine.
const BOUND: Duration = Duration::from_secs(60);
const LABELS: &str = "/tenants/default/processors/labels";

async fn upload(client: &Client, component: &str) -> Value {
    let bytes = fs::read(component).expect("a built component");
    let path = format!("{LABELS}/revisions?wait=60");
    client.upload(&path, bytes).await.ok()
}

async fn activate(client: &Client, body: Value) -> Reply {
    client.post(&format!("{LABELS}/activate"), &body).await
}

fn component(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": name, "annotations": {
            "backstage.io/managed-by-location": "url:https://h.test/catalog-info.yaml",
            "backstage.io/managed-by-origin-location": "url:https://h.test/catalog-info.yaml",
        }},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team"},
    })
}

async fn seen(client: &Client, name: &str) -> Option<String> {
    let entity = client
        .entity("default", &format!("component:default/{name}"))
        .await?;
    let seen = &entity["metadata"]["annotations"]["example.com/seen"];
    seen.as_str().map(str::to_owned)
}

/// Everything served, so that a run that writes nothing can be shown to.
async fn served(client: &Client) -> Value {
    let path = "/tenants/default/api/catalog/entities?filter=kind=component";
    client.get(path).await.ok()
}

/// What processing has come to, entity by entity. When an entity ran is left out: the canary of the activation runs a few
/// again whenever its turn comes, which is no doing of a dry run.
async fn outcomes(client: &Client) -> Vec<Value> {
    let states = client.processing("default").await;
    let shown = ["entityRef", "uid", "status", "served", "diagnostics"];
    let outcome = |state: &Value| shown.map(|field| state[field].clone()).into();
    states.iter().map(outcome).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_lives_from_its_upload_to_its_deletion() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    client.put(LABELS, &json!({})).await.ok();
    let first = upload(client, ANNOTATE_COMPONENT).await;
    let second = upload(client, CONFIGURED_COMPONENT).await;
    assert_eq!(
        (&first["state"], &second["state"]),
        (&json!("ready"), &json!("ready"))
    );
    let refused = upload(client, SCHEMA_UNBOUNDED_COMPONENT).await;
    assert_eq!(refused["state"], "rejected");
    let reason = refused["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("config-schema at `#/$ref` must be"),
        "{reason}"
    );

    what_was_uploaded_comes_back(client, &second).await;

    activate(client, json!({"revision": 1})).await.ok();
    let names = ["web", "api", "bad-one"];
    client.push("default", "p", names.map(component)).await.ok();
    assert_eq!(quiet(client, "default", BOUND).await.len(), names.len());
    assert_eq!(seen(client, "web").await.as_deref(), Some("yes"));

    let before = (served(client).await, outcomes(client).await);
    a_dry_run_tells_what_the_revision_would_do(client).await;
    let after = (served(client).await, outcomes(client).await);
    assert_eq!(after, before, "it wrote nothing");
    a_preview_tells_what_would_change(client).await;
    assert_eq!(served(client).await, before.0, "it changed nothing");

    the_configuration_follows_the_schema(client).await;
    quiet(client, "default", BOUND).await;
    wait_until("the new revision ran", BOUND, async || {
        (seen(client, "web").await.as_deref() == Some("core")).then_some(())
    })
    .await;
    a_fault_downloads_as_a_call(client, &second).await;

    a_processor_that_is_off_is_not_called(client).await;
    client.delete(&format!("{LABELS}/revisions/3")).await.ok();
    assert_eq!(
        client
            .delete(&format!("{LABELS}/revisions/2"))
            .await
            .error(409),
        "ConflictError"
    );
    assert_eq!(
        client
            .delete(&format!("{LABELS}/revisions/1"))
            .await
            .error(409),
        "ConflictError"
    );
    client.delete(LABELS).await.ok();
    assert_eq!(
        client
            .get(&format!("{LABELS}/revisions/1"))
            .await
            .error(404),
        "NotFoundError"
    );
}

async fn what_was_uploaded_comes_back(client: &Client, second: &Value) {
    let bytes = fs::read(CONFIGURED_COMPONENT).expect("a built component");
    let path = format!("{LABELS}/revisions/{}/component", second["number"]);
    let downloaded = client.download(&path).await;
    assert!(downloaded == bytes, "the download is the upload");
    let found = client.get(&format!("{LABELS}/revisions/2")).await.ok();
    assert_eq!(found, *second);
    assert_eq!(
        found["track"], "0.1",
        "a12: the track that is used is recorded"
    );
    assert!(found["descriptor"]["track"].is_null(), "and told once");
    let schema = found["descriptor"]["configSchema"]
        .as_str()
        .expect("a schema");
    assert!(schema.contains("\"required\":[\"team\"]"), "{schema}");
    // The same bytes are the same revision, at once.
    assert_eq!(upload(client, CONFIGURED_COMPONENT).await["number"], 2);
}

async fn a_dry_run_tells_what_the_revision_would_do(client: &Client) {
    let runs = format!("{LABELS}/runs?wait=60");
    let of = async |body: Value| client.post(&runs, &body).await;
    let unfit = of(json!({"revision": 2, "entityRef": "component:default/web"})).await;
    assert_eq!(unfit.error(409), "ConflictError");

    let config = json!({"team": "core"});
    let stored = of(json!({"revision": 2, "entityRef": "component:default/web", "config": config}))
        .await
        .ok();
    assert_eq!(stored["outcome"], "processed");
    assert_eq!(
        stored["entity"]["metadata"]["annotations"]["example.com/seen"],
        "core"
    );
    assert_eq!(
        stored["before"]["metadata"]["annotations"].get("example.com/seen"),
        None
    );
    let call = &stored["calls"][0];
    assert_eq!(
        (&call["processor"], &call["stage"]),
        (&json!("labels"), &json!("pre-process"))
    );
    assert!(
        call["fuel"].as_u64() > Some(1_000) && call["peakMemoryBytes"].as_u64() > Some(65_535),
        "{call}"
    );
    let own = call["diff"].as_array().expect("a diff");
    assert!(
        own.iter()
            .any(|change| change["path"] == "/metadata/annotations/example.com~1seen"),
        "{own:?}"
    );
    // The pipeline's other processors did their part: kinds emit relations.
    assert!(
        !stored["emissions"]["relations"]
            .as_array()
            .expect("relations")
            .is_empty()
    );

    let given = of(json!({"revision": 2, "entity": component("bad-two"), "config": config}))
        .await
        .ok();
    assert_eq!(
        (&given["outcome"], &given["entity"]),
        (&json!("rejected"), &Value::Null)
    );
    let fault = &given["calls"][0]["fault"];
    assert_eq!(fault["kind"], "trap");
    let log = given["calls"][0]["log"].to_string();
    assert!(log.contains("not ready for `bad-two`"), "{log}");
    // The same call costs the same fuel.
    let again = of(json!({"revision": 2, "entity": component("bad-two"), "config": config}))
        .await
        .ok();
    assert_eq!(again["calls"][0]["fuel"], given["calls"][0]["fuel"]);
    let nobody = of(json!({"entityRef": "component:default/nobody"})).await;
    assert_eq!(nobody.error(404), "NotFoundError");
}

async fn a_preview_tells_what_would_change(client: &Client) {
    let path = format!("{LABELS}/preview?wait=60");
    let unfit = client
        .post(&path, &json!({"revision": 2, "entities": "all"}))
        .await;
    assert_eq!(unfit.error(409), "ConflictError");
    // A configuration that both take; the current one does not look at it.
    let settings = format!("{LABELS}/settings");
    client
        .put(&settings, &json!({"config": {"team": "core"}}))
        .await
        .ok();
    quiet(client, "default", BOUND).await;
    let preview = client
        .post(&path, &json!({"revision": 2, "entities": "all"}))
        .await
        .ok();
    let count = |name: &str| preview[name].as_u64().expect("a count");
    assert_eq!(
        (&preview["revision"], &preview["against"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        (count("different"), count("newlyFailing"), count("same")),
        (2, 1, count("entities") - 3)
    );
    let changes = preview["changes"].as_array().expect("changes");
    let failing = changes
        .iter()
        .find(|change| change["kind"] == "newly-failing")
        .expect("one fails");
    assert_eq!(failing["entityRef"], "component:default/bad-one");
    assert!(
        failing["fault"]["message"]
            .as_str()
            .expect("a message")
            .contains("not ready for")
    );
    let different = changes
        .iter()
        .find(|change| change["entityRef"] == "component:default/web");
    let diff = &different.expect("web differs")["diff"];
    let expected = json!([{"op": "replace", "path": "/metadata/annotations/example.com~1seen", "from": "yes", "to": "core"}]);
    assert_eq!(*diff, expected);
    for side in ["current", "preview"] {
        assert!(
            preview["cost"][side]["fuel"].as_u64() > Some(1_000),
            "{preview}"
        );
    }
    let one = client
        .post(&path, &json!({"revision": 2, "entities": 1}))
        .await
        .ok();
    assert_eq!(one["entities"], 1);
    // Put back what there was, so that the caller sees whether anything else changed.
    client.put(&settings, &json!({})).await.ok();
    quiet(client, "default", BOUND).await;
}

async fn the_configuration_follows_the_schema(client: &Client) {
    let settings = format!("{LABELS}/settings");
    assert_eq!(
        activate(client, json!({"revision": 2})).await.error(409),
        "ConflictError"
    );
    activate(client, json!({"revision": 2, "config": {"team": "core"}}))
        .await
        .ok();
    let bad = client
        .put(&settings, &json!({"config": {"team": "Core 1"}}))
        .await;
    assert_eq!(bad.error(400), "InputError");
    assert!(
        bad.body.contains("schema path #/properties/team/pattern"),
        "{}",
        bad.body
    );
    let with_tag = async |tag: &str| {
        let body = json!({"config": {"team": "core"}, "priority": 30}).to_string();
        let headers = [("if-match", tag), ("content-type", "application/json")];
        client
            .send_with(Method::PUT, &settings, &headers, body.into_bytes())
            .await
    };
    assert_eq!(
        with_tag("\"0\"").await.error(412),
        "PreconditionFailedError"
    );
    let tag = client.etag(&settings).await;
    with_tag(&tag).await.ok();
    assert_eq!(with_tag(&tag).await.error(412), "PreconditionFailedError");
}

async fn a_fault_downloads_as_a_call(client: &Client, second: &Value) {
    let faults = wait_until("the fault is recorded", BOUND, async || {
        let faults = client.get(&format!("{LABELS}/faults")).await.ok();
        let items = faults["items"].as_array().expect("items").clone();
        (!items.is_empty()).then_some(items)
    })
    .await;
    let fault = &faults[0];
    assert_eq!(
        (&fault["fault"], &fault["entityRef"]),
        (&json!("trap"), &json!("component:default/bad-one"))
    );
    let path = format!(
        "{LABELS}/faults/{}/request",
        fault["id"].as_str().expect("an id")
    );
    let recorded = client.get(&path).await.ok();
    assert_eq!(recorded["format"], "greenroom-call/1");
    assert_eq!(
        (&recorded["processor"], &recorded["revision"]),
        (&json!("labels"), &second["digest"])
    );
    assert_eq!(
        recorded["call"]["preProcess"]["config"],
        "{\"team\":\"core\"}"
    );
    assert_eq!(recorded["fault"]["kind"], "trap");
    assert_eq!(recorded["report"]["fuel"], fault["fuel"]);
    assert_eq!(recorded["limits"]["fuel"], 1_000_000_000);
    assert_eq!(recorded["seed"].as_str().expect("a seed").len(), 64);
}

async fn a_processor_that_is_off_is_not_called(client: &Client) {
    let off = json!({"enabled": false, "config": {"team": "core"}});
    client.put(&format!("{LABELS}/settings"), &off).await.ok();
    wait_until("its annotation is gone", BOUND, async || {
        seen(client, "web").await.is_none().then_some(())
    })
    .await;
    // Its subscription is the tenant's to set.
    let apis = json!({"config": {"team": "core"}, "subscription": [{"kinds": ["API"]}]});
    client.put(&format!("{LABELS}/settings"), &apis).await.ok();
    client.push("default", "q", [component("later")]).await.ok();
    quiet(client, "default", BOUND).await;
    assert_eq!(
        (seen(client, "later").await, seen(client, "web").await),
        (None, None)
    );
    let all = json!({"config": {"team": "core"}, "subscription": []});
    client.put(&format!("{LABELS}/settings"), &all).await.ok();
    wait_until("it is called again", BOUND, async || {
        (seen(client, "later").await.as_deref() == Some("core")).then_some(())
    })
    .await;
}

/// The request of the processor's newest fault, which is that it ran out of fuel.
async fn out_of_fuel(client: &Client) -> Value {
    let fault = wait_until("the fault is recorded", BOUND, async || {
        let faults = client.get(&format!("{LABELS}/faults")).await.ok();
        faults["items"].get(0).cloned()
    })
    .await;
    assert_eq!(fault["fault"], "out-of-fuel");
    let id = fault["id"].as_str().expect("an id");
    client
        .get(&format!("{LABELS}/faults/{id}/request"))
        .await
        .ok()
}

/// A fault is judged by the processor's own limits and remembered with them: other limits run it again (c25).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c25_limits_of_a_processor_are_those_its_faults_show_and_others_mend_it() {
    let host = TestHost::builder()
        .config_toml("[tenants.default.faults]\ndocuments = \"digests\"\n")
        .start()
        .await;
    let client = host.client();
    let little = json!({"limits": {"fuel": 1_000}});
    client.put(LABELS, &little).await.ok();
    upload(client, ANNOTATE_COMPONENT).await;
    activate(client, json!({"revision": 1})).await.ok();
    client.push("default", "p", [component("web")]).await.ok();
    let recorded = out_of_fuel(client).await;
    assert_eq!(recorded["limits"]["fuel"], 1_000);
    assert_eq!(recorded["documents"], "digests");
    let states = quiet(client, "default", BOUND).await;
    assert_eq!(states[0]["status"], "failed");
    client
        .put(&format!("{LABELS}/settings"), &json!({}))
        .await
        .ok();
    wait_until("it is served with more fuel", BOUND, async || {
        (seen(client, "web").await.as_deref() == Some("yes")).then_some(())
    })
    .await;
}

/// The operator's quota bounds what may be set, and what is set nowhere; the host's own processors have limits of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_limits_of_a_processor_go_up_to_the_quota() {
    let host = TestHost::builder()
        .config_toml("[quotas.call_limits]\nfuel = 1000\n")
        .start()
        .await;
    let client = host.client();
    let reply = client
        .put(LABELS, &json!({"limits": {"fuel": 1_001}}))
        .await;
    assert_eq!(reply.error(400), "InputError");
    let said = reply.json()["error"]["message"].to_string();
    assert!(
        said.contains("`fuel` is 1001; set it to a whole number between 1 and 1000"),
        "{said}"
    );
    client.put(LABELS, &json!({})).await.ok();
    upload(client, ANNOTATE_COMPONENT).await;
    activate(client, json!({"revision": 1})).await.ok();
    client.push("default", "p", [component("web")]).await.ok();
    let recorded = out_of_fuel(client).await;
    assert_eq!(recorded["limits"]["fuel"], 1_000);
}
