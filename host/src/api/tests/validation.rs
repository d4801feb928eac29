//! Batch validation as the API sees it: what it refuses before a worker hears of it, what it hands over, and how it answers.
//! The worker is the test.

use axum::body::Body;
use greenroom_storage::{Run, RunKind, Scope, WorkerId};
use http::Request;
use serde_json::{Value, json};

use super::host::{Answer, Host};

const VALIDATE: &str = "/tenants/a/validate";

async fn send(host: &Host, query: &str, media_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(format!("{VALIDATE}{query}"))
        .header("authorization", format!("Bearer {}", host.operator))
        .header("content-type", media_type);
    host.send(request.body(body.into()).unwrap()).await
}

async fn files(host: &Host, query: &str, body: &Value) -> Answer {
    send(host, query, "application/json", body.to_string()).await
}

fn one_file() -> Value {
    json!({"files": [{"path": "a.yaml", "text": "kind: X"}]})
}

async fn claimed(host: &Host) -> Run {
    let worker = WorkerId("w".into());
    host.storage.renew_lease(&worker).await.unwrap();
    loop {
        let runs = host.storage.claim_runs(&worker, 1).await.unwrap();
        if let Some(run) = runs.into_iter().next() {
            assert_eq!(run.kind, RunKind::ValidateDocuments);
            return run;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn finish(host: &Host, run: &Run, result: &Value) {
    let (worker, text) = (WorkerId("w".into()), result.to_string());
    let finished = host
        .storage
        .finish_run(host.tenant, &run.id, &worker, &text);
    assert!(finished.await.unwrap());
}

fn report() -> Value {
    let summary = json!({
        "documents": 1, "valid": 0, "invalid": 1, "waiting": 0, "new": 0, "changed": 0, "unchanged": 0, "warnings": 0,
    });
    json!({
        "ok": false, "summary": summary, "wanted": [],
        "documents": [{
            "path": "a.yaml", "document": 0, "line": 1, "column": 1, "entityRef": null, "outcome": "invalid", "change": null,
            "diagnostics": [{"level": "error", "name": "InputError", "message": "m",
                             "position": {"document": 0, "line": 1, "column": 1}}],
            "diff": [], "relations": [], "emitted": [],
        }],
    })
}

#[tokio::test]
async fn what_is_no_batch_is_refused_before_a_worker_hears_of_it() {
    let host = Host::new().await;
    let many: Vec<Value> = (0..1_001)
        .map(|n| json!({"path": format!("{n}.yaml"), "text": ""}))
        .collect();
    for (body, said) in [
        (json!({"files": []}), "fewer than 1 items"),
        (json!({}), "missing field `files`"),
        (json!([]), "request/body"),
        (json!({"files": many}), "at most 1000 are taken"),
        (
            json!({"files": [{"path": "../a", "text": ""}]}),
            "path '../a'",
        ),
        (
            json!({"files": [{"path": "a", "text": ""}], "references": [{"path": "a", "text": ""}]}),
            "another file has this path",
        ),
        (
            json!({"files": [{"path": "a", "text": 1}]}),
            "expected a string",
        ),
        (
            json!({"files": [{"path": "a", "text": "", "x": 1}]}),
            "unknown field `x`",
        ),
        (
            json!({"files": [], "base": "https://h/"}),
            "unknown field `base`",
        ),
    ] {
        let answer = files(&host, "", &body).await;
        assert_eq!(answer.status, 400, "{said}: {}", answer.text);
        assert!(answer.text.contains(said), "{said}: {}", answer.text);
    }
    for (media_type, body) in [
        ("text/plain", "kind: X"),
        ("", "kind: X"),
        ("application/json", "{"),
        ("application/json", ""),
        ("application/json; charset=utf-8", "null"),
    ] {
        let answer = send(&host, "", media_type, body).await;
        assert_eq!(answer.status, 400, "{media_type} {body}: {}", answer.text);
    }
    let bytes = send(&host, "", "application/yaml", &b"\xff\xfe"[..]).await;
    assert!(bytes.text.contains("not UTF-8"), "{}", bytes.text);
    let large = "x".repeat(8 * 1024 * 1024 + 1);
    let large = send(&host, "", "application/yaml", large).await;
    assert_eq!(large.status, 413, "{}", large.text);
    for location in ["x", "file:///etc/", "https://u:p@h/", "https://h/a"] {
        let answer = files(&host, &format!("?location={location}"), &one_file()).await;
        assert_eq!(answer.status, 400, "{location}: {}", answer.text);
        assert!(
            answer.text.contains("request/query/location"),
            "{}",
            answer.text
        );
    }
    let worker = WorkerId("w".into());
    host.storage.renew_lease(&worker).await.unwrap();
    assert!(
        host.storage
            .claim_runs(&worker, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_worker_is_handed_the_files_and_its_report_is_the_answer() {
    let host = Host::new().await;
    let query = "?location=https://github.com/o/r/blob/main/";
    let asking = async { files(&host, query, &one_file()).await };
    let working = async {
        let run = claimed(&host).await;
        let request: Value = serde_json::from_str(&run.request).unwrap();
        assert_eq!(
            request,
            json!({
                "base": "https://github.com/o/r/blob/main/",
                "files": [{"path": "a.yaml", "text": "kind: X"}],
                "references": [],
            })
        );
        finish(&host, &run, &report()).await;
    };
    let (answer, ()) = tokio::join!(asking, working);
    // Bad documents are a good answer.
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json(), report());

    // One YAML stream is one file, from nowhere; read is enough.
    let token = host.token(Some(host.tenant), &[Scope::Read]).await;
    let request = Request::post(format!("{VALIDATE}?wait=0"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "Text/YAML; charset=utf-8")
        .body(Body::from("kind: X\n---\nkind: Y\n"))
        .unwrap();
    let accepted = host.send(request).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let run = claimed(&host).await;
    let request: Value = serde_json::from_str(&run.request).unwrap();
    assert_eq!(request["base"], "https://validate.invalid/");
    assert_eq!(
        request["files"],
        json!([{"path": "catalog-info.yaml", "text": "kind: X\n---\nkind: Y\n"}])
    );
    finish(&host, &run, &report()).await;
    let address = accepted.headers["location"].to_str().unwrap().to_owned();
    let shown = host.call("GET", &address, None).await.json();
    assert_eq!(
        (&shown["kind"], &shown["result"]),
        (&json!("validate-documents"), &report())
    );
}

#[tokio::test]
async fn h16_eight_batches_are_unfinished_then_429_and_whoever_leaves_cancels() {
    let host = Host::new().await;
    for _ in 0..8 {
        let accepted = files(&host, "?wait=0", &one_file()).await;
        assert_eq!(accepted.status, 202, "{}", accepted.text);
    }
    let refused = files(&host, "?wait=0", &one_file()).await;
    assert_eq!(refused.status, 429, "{}", refused.text);
    let first = claimed(&host).await;
    finish(&host, &first, &report()).await;

    // The ninth waits for ever, but for its client.
    let ninth = one_file();
    let leaving = files(&host, "?wait=60", &ninth);
    let left = tokio::time::timeout(std::time::Duration::from_millis(300), leaving).await;
    assert!(left.is_err());
    host.quiet().await;
    let open = host
        .storage
        .open_runs(host.tenant, RunKind::ValidateDocuments);
    assert_eq!(open.await.unwrap(), 7);
}
