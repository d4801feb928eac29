//! Faults over HTTP: who may read what, and the request as a file.

use greenroom_model::{Digest, EntityRef, ProcessorName, Stage, Timestamp};
use greenroom_storage::{FaultRecord, RunCalls, RunRecord, RunResult, Scope, Slots, WorkerId};
use serde_json::json;

use super::host::Host;

const FAULTS: &str = "/tenants/a/processors/p/faults";

fn fault(id: &str, request: Option<String>) -> FaultRecord {
    FaultRecord {
        id: id.into(),
        at: Timestamp(1_800_000_000_000),
        processor: ProcessorName::parse("p").unwrap(),
        revision: Digest::of("wasm"),
        stage: Stage::PreProcess,
        entity_ref: EntityRef::parse("component:default/x").unwrap(),
        fault: "out-of-fuel".into(),
        message: "it used all of its fuel".into(),
        fuel: 1_000,
        peak_memory_bytes: 65_536,
        cpu_us: 7,
        backtrace: "[]".into(),
        log: r#"{"lines":[],"truncated":false,"bytes":0}"#.into(),
        request,
    }
}

/// Records faults as a run of an entity does.
async fn record(host: &Host, faults: Vec<FaultRecord>) {
    host.queue(&[json!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "x"}})])
        .await;
    let worker = WorkerId("w".into());
    host.storage.renew_lease(&worker).await.unwrap();
    let claimed = host
        .storage
        .claim(&worker, 1, Slots::Any)
        .await
        .unwrap()
        .remove(0);
    let record = RunRecord {
        claim: claimed.claim,
        result: RunResult::Skipped { due: None },
        faults,
        cpu_us: 0,
        calls: RunCalls::default(),
    };
    host.storage.record(vec![record]).await.unwrap();
}

#[tokio::test]
async fn l04_a_fault_request_is_read_by_an_admin_and_downloads_whole() {
    let host = Host::new().await;
    let recorded = json!({
        "format": "greenroom-call/1", "processor": "p", "revision": Digest::of("wasm"),
        "engine": "48.0.8+1", "limits": {"fuel": 1_000}, "seed": "07".repeat(32),
        "call": {"preProcess": {"entity": "a document of a private repository"}},
        "documents": "whole", "fault": null, "report": {},
    });
    let request = Some(recorded.to_string());
    record(&host, vec![fault("f1", request), fault("f2", None)]).await;
    let at = format!("{FAULTS}/f1");
    let file = format!("{at}/request");
    let token = async |scopes: &[Scope]| host.token(Some(host.tenant), scopes).await;
    let reader = token(&[Scope::Read, Scope::Write, Scope::Deploy]).await;
    let listed = host.call_as(&reader, "GET", FAULTS, None).await;
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 2);
    assert!(!listed.text.contains("private repository"));
    for path in [&at, &file] {
        assert_eq!(
            host.call_as(&reader, "GET", path, None).await.status,
            403,
            "{path}"
        );
    }
    let admin = token(&[Scope::Admin]).await;
    let found = host.call_as(&admin, "GET", &at, None).await.json();
    assert_eq!(found["request"], recorded["call"]);
    let download = host.call_as(&admin, "GET", &file, None).await;
    assert_eq!(download.json(), recorded);
    let disposition = download.headers["content-disposition"].to_str().unwrap();
    assert_eq!(disposition, "attachment; filename=\"p-f1.json\"");

    let gone = host
        .call("GET", &format!("{FAULTS}/f2/request"), None)
        .await;
    assert_eq!(gone.status, 404);
    assert!(gone.text.contains("no longer kept"));
    assert_eq!(
        host.call("GET", &format!("{FAULTS}/f3/request"), None)
            .await
            .status,
        404
    );
    let elsewhere = "/tenants/b/processors/p/faults/f1/request";
    assert_eq!(host.call("GET", elsewhere, None).await.status, 404);

    // Deleting the processor removes them for good.
    assert_eq!(
        host.call("PUT", "/tenants/a/processors/p", None)
            .await
            .status,
        201
    );
    assert_eq!(
        host.call("DELETE", "/tenants/a/processors/p", None)
            .await
            .status,
        204
    );
    assert_eq!(host.call("GET", &file, None).await.status, 404);
}
