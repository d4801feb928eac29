//! Dry runs and previews as the API sees them: what it refuses, whom it lets wait, and what it makes of a worker's answer.
//! The worker is the test.

use std::time::Duration;

use greenroom_storage::{Run, RunKind, RunState, WorkerId};
use serde_json::{Value, json};

use super::host::{Answer, Host};

const RUNS: &str = "/tenants/a/processors/p/runs";
const PREVIEW: &str = "/tenants/a/processors/p/preview";

fn entity() -> Value {
    json!({"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "x"}})
}

async fn with_revision(schema: Option<&str>) -> Host {
    let host = Host::new().await;
    assert_eq!(
        host.call("PUT", "/tenants/a/processors/p", None)
            .await
            .status,
        201
    );
    host.revision("p", schema).await;
    host
}

async fn dry_run(host: &Host, body: Value) -> Answer {
    host.call("POST", &format!("{RUNS}?wait=0"), Some(body))
        .await
}

async fn claimed(host: &Host) -> Run {
    let worker = WorkerId("w".into());
    host.storage.renew_lease(&worker).await.unwrap();
    loop {
        let runs = host.storage.claim_runs(&worker, 9).await.unwrap();
        for run in runs {
            if run.kind != RunKind::InspectRevision {
                return run;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn finish(host: &Host, run: &Run, result: &Value) {
    let worker = WorkerId("w".into());
    let text = result.to_string();
    let finished = host
        .storage
        .finish_run(host.tenant, &run.id, &worker, &text);
    assert!(finished.await.unwrap());
}

fn report() -> Value {
    let cost = json!({"calls": 0, "fuel": 0, "cpuUs": 0, "peakMemoryBytes": 0});
    json!({
        "outcome": "processed", "before": {}, "entity": {}, "diff": [], "diagnostics": [], "reads": [],
        "emissions": {"children": [], "relations": [], "refreshKeys": []}, "calls": [], "cost": cost,
    })
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_before_a_worker_hears_of_it() {
    let schema = json!({"properties": {"team": {"type": "string"}}}).to_string();
    let host = with_revision(Some(&schema)).await;
    let located = |location: &str| {
        let mut entity = entity();
        entity["metadata"]["annotations"] = json!({"backstage.io/managed-by-location": location});
        entity
    };
    for (body, status, said) in [
        (json!({"entity": entity()}), 409, "no current revision"),
        (
            json!({"revision": 2, "entity": entity()}),
            404,
            "no revision 2",
        ),
        (
            json!({"revision": 0, "entity": entity()}),
            400,
            "must be >= 1",
        ),
        (
            json!({"revision": 1}),
            400,
            "either 'entity' or 'entityRef'",
        ),
        (
            json!({"revision": 1, "entity": entity(), "entityRef": "component:x"}),
            400,
            "either",
        ),
        (
            json!({"revision": 1, "entity": {"kind": "Component"}}),
            400,
            "request/body/entity",
        ),
        (
            json!({"revision": 1, "entity": []}),
            400,
            "request/body/entity",
        ),
        (
            json!({"revision": 1, "entityRef": "x"}),
            400,
            "request/body/entityRef",
        ),
        (
            json!({"revision": 1, "entity": located("file:/etc/passwd")}),
            400,
            "type `url`",
        ),
        (
            json!({"revision": 1, "entity": located("nonsense")}),
            400,
            "request/body/entity",
        ),
        (
            json!({"revision": 1, "entity": entity(), "config": {"team": 1}}),
            400,
            "schema path",
        ),
        (
            json!({"revision": 1, "entity": entity(), "config": 1}),
            400,
            "must be object",
        ),
        (
            json!({"revision": 1, "entity": entity(), "dry": true}),
            400,
            "additional property 'dry'",
        ),
    ] {
        let answer = dry_run(&host, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        assert!(answer.text.contains(said), "{body}: {}", answer.text);
    }
    for (body, status) in [
        (json!({"revision": 1}), 400),
        (json!({"entities": "all"}), 400),
        (json!({"revision": 1, "entities": 0}), 400),
        (json!({"revision": 1, "entities": "some"}), 400),
        (json!({"revision": 9, "entities": "all"}), 404),
    ] {
        let answer = host.call("POST", PREVIEW, Some(body.clone())).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    }
    let settings = json!({"config": {"team": 1}});
    host.call("PUT", "/tenants/a/processors/p/settings", Some(settings))
        .await;
    let unfit = json!({"revision": 1, "entities": "all"});
    assert_eq!(host.call("POST", PREVIEW, Some(unfit)).await.status, 409);
    assert_eq!(
        dry_run(&host, json!({"revision": 1, "entity": entity()}))
            .await
            .status,
        409
    );
    let fit = json!({"revision": 1, "entity": entity(), "config": {"team": "a"}});
    assert_eq!(dry_run(&host, fit).await.status, 202);
}

#[tokio::test]
async fn a_run_is_answered_when_it_is_done_or_accepted_with_its_address() {
    let host = with_revision(None).await;
    let waited = format!("{RUNS}?wait=60");
    let body = json!({"revision": 1, "entity": entity()});
    let waiting = host.call("POST", &waited, Some(body.clone()));
    let working = async {
        let run = claimed(&host).await;
        assert_eq!(run.kind, RunKind::DryRunRevision);
        let request: Value = serde_json::from_str(&run.request).unwrap();
        let annotations = &request["entity"]["metadata"]["annotations"];
        assert_eq!(
            annotations["backstage.io/managed-by-location"],
            "url:https://dry-run.invalid/catalog-info.yaml"
        );
        finish(&host, &run, &report()).await;
    };
    let (answer, ()) = tokio::join!(waiting, working);
    assert_eq!((answer.status, answer.json()), (200, report()));

    for (result, status) in [
        (
            json!({"refused": {"name": "NotFoundError", "message": "no"}}),
            404,
        ),
        (
            json!({"refused": {"name": "ConflictError", "message": "no"}}),
            409,
        ),
        (
            json!({"refused": {"name": "InputError", "message": "no"}}),
            400,
        ),
        (json!({"unavailable": "no"}), 503),
    ] {
        let waiting = host.call("POST", &waited, Some(body.clone()));
        let working = async { finish(&host, &claimed(&host).await, &result).await };
        let (answer, ()) = tokio::join!(waiting, working);
        assert_eq!(answer.status, status, "{}", answer.text);
    }

    let accepted = dry_run(&host, body).await;
    assert_eq!(accepted.status, 202);
    let address = accepted.headers["location"].to_str().unwrap();
    let run = host.call("GET", address, None).await.json();
    assert_eq!(
        (&run["state"], &run["id"]),
        (&json!("queued"), &accepted.json()["run"])
    );
    finish(&host, &claimed(&host).await, &report()).await;
    let run = host.call("GET", address, None).await.json();
    assert_eq!((&run["state"], &run["result"]), (&json!("done"), &report()));
    // What is done stays; what is not is cancelled, and its late result dropped.
    assert_eq!(host.call("DELETE", address, None).await.status, 204);
    assert_eq!(
        host.call("GET", address, None).await.json()["state"],
        "done"
    );
    let preview = json!({"revision": 1, "entities": "all"});
    let accepted = host
        .call("POST", &format!("{PREVIEW}?wait=0"), Some(preview))
        .await;
    let cancelled = accepted.headers["location"].to_str().unwrap();
    let run = claimed(&host).await;
    assert_eq!(host.call("DELETE", cancelled, None).await.status, 204);
    let worker = WorkerId("w".into());
    let late = host
        .storage
        .finish_run(host.tenant, &run.id, &worker, "{}")
        .await;
    assert!(!late.unwrap());
    assert_eq!(
        host.call("GET", cancelled, None).await.json()["state"],
        "cancelled"
    );
    // Another tenant's run is none.
    let elsewhere = address.replace("/tenants/a/", "/tenants/b/");
    assert_eq!(host.call("GET", &elsewhere, None).await.status, 404);
}

#[tokio::test]
async fn h16_eight_of_a_tenant_are_unfinished_and_the_work_of_a_departed_client_is_dropped() {
    let host = with_revision(None).await;
    let body = json!({"revision": 1, "entity": entity()});
    let for_ever = format!("{RUNS}?wait=1000000000");
    // `wait` is cut at 60 s; a client that leaves before it is answered cancels its run.
    let left = host.call("POST", &for_ever, Some(body.clone()));
    let left = tokio::time::timeout(Duration::from_millis(200), left).await;
    assert!(left.is_err(), "nobody answers");
    host.quiet().await;
    let worker = WorkerId("w".into());
    host.storage.renew_lease(&worker).await.unwrap();
    let queued = host.storage.claim_runs(&worker, 9).await.unwrap();
    assert!(
        queued
            .iter()
            .all(|run| run.kind == RunKind::InspectRevision)
    );

    for number in 0..8 {
        assert_eq!(dry_run(&host, body.clone()).await.status, 202, "{number}");
    }
    let refused = dry_run(&host, body.clone()).await;
    assert_eq!(refused.status, 429);
    assert!(refused.headers.contains_key("retry-after"));
    // Previews are counted by themselves; finishing one run lets the next in.
    let preview = json!({"revision": 1, "entities": 5});
    let preview = host
        .call("POST", &format!("{PREVIEW}?wait=0"), Some(preview))
        .await;
    assert_eq!(preview.status, 202);
    let run = claimed(&host).await;
    assert_eq!(run.state, RunState::Running);
    finish(&host, &run, &report()).await;
    assert_eq!(dry_run(&host, body).await.status, 202);
}

/// Requests of Backstage's routes wait too; the ninth is told to try again, and another tenant is not.
#[tokio::test]
async fn h16_eight_requests_of_a_tenant_wait_for_a_worker() {
    let host = Host::new().await;
    let body = json!({"entity": entity(), "location": "url:https://example.com/x.yaml"});
    let ask = |tenant: &str| {
        let path = format!("/tenants/{tenant}/api/catalog/validate-entity");
        let (host, body) = (&host, body.clone());
        async move { host.call("POST", &path, Some(body)).await }
    };
    let mut eight = Box::pin(futures_util::future::join_all((0..8).map(|_| ask("a"))));
    let all_wait = async {
        let open = || host.storage.open_runs(host.tenant, RunKind::ValidateEntity);
        while open().await.unwrap() < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        answers = &mut eight => panic!("nobody answers: {}", answers[0].status),
        () = all_wait => {}
    }
    let refused = ask("a").await;
    assert_eq!(refused.status, 429);
    assert!(
        refused.text.contains("8 requests of this tenant wait"),
        "{}",
        refused.text
    );
    let mut other = Box::pin(ask("b"));
    let waits = async {
        let open = || {
            host.storage
                .open_runs(host.tenant_b, RunKind::ValidateEntity)
        };
        while open().await.unwrap() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        answer = &mut other => panic!("nobody answers: {}", answer.status),
        () = waits => {}
    }
}

#[tokio::test]
async fn h12_bodies_over_their_caps_are_refused() {
    let host = with_revision(None).await;
    let sent = async |path: &str, bytes: usize| {
        let body = json!({"entityRefs": [], "padding": "x".repeat(bytes)});
        let answer = host.call("POST", path, Some(body)).await;
        (
            answer.status,
            answer.text.contains("request entity too large"),
        )
    };
    let by_refs = "/tenants/a/api/catalog/entities/by-refs";
    assert!(!sent(by_refs, 1_000 << 10).await.1, "above the usual cap");
    assert_eq!(sent(by_refs, 1 << 20).await, (400, true));
    let runs = format!("{RUNS}?wait=0");
    assert!(!sent(&runs, 4 << 20).await.1, "an entity has 4 MiB");
    assert_eq!(sent(&runs, (4 << 20) + (128 << 10)).await, (400, true));
}
