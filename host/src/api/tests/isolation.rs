//! i02: whoever is not of a tenant learns nothing of it. Every route of the document, with objects that are there, objects that
//! are not and a tenant that is not, by every kind of token: the answers are the same to the byte.

use axum::body::Body;
use greenroom_model::{Digest, EntityRef, ProcessorName, Stage, Timestamp};
use greenroom_storage::{
    FaultRecord, NewRun, RunCalls, RunId, RunKind, RunRecord, RunResult, Scope, Slots, WorkerId,
};
use http::Request;
use serde_json::{Value, json};

use super::host::{Answer, Host};
use super::openapi::routed;
use crate::api::routes::{Need, Operation};

/// What is in tenant `b`, by the parameters that name it.
struct Theirs {
    uid: String,
    location: String,
    token: String,
    cursor: String,
    by_query: String,
}

const RUN: &str = "6f1c1c5e-0000-4000-8000-000000000001";
const FAULT: &str = "6f1c1c5e-0000-4000-8000-000000000002";
/// Nobody has anything of this name.
const MISSING: &str = "6f1c1c5e-0000-4000-8000-00000000ffff";

async fn furnish(host: &Host) -> Theirs {
    let entity = |name: &str| {
        let entity = json!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": name}});
        json!({"add": {"entity": entity}})
    };
    let commit = json!({"commit": {"count": 2}});
    let lines = format!("{}\n{}\n{commit}", entity("secret"), entity("secret-2"));
    let request = Request::post("/tenants/b/providers/theirs/mutations?type=delta")
        .header("authorization", format!("Bearer {}", host.operator))
        .body(Body::from(lines))
        .unwrap();
    assert_eq!(host.send(request).await.status, 200);
    let worker = WorkerId("w".into());
    host.storage.renew_lease(&worker).await.unwrap();
    let mut claimed = host.storage.claim(&worker, 1, Slots::Any).await.unwrap();
    let fault = FaultRecord {
        id: FAULT.into(),
        at: Timestamp(1_800_000_000_000),
        processor: ProcessorName::parse("theirs").unwrap(),
        revision: Digest::of("wasm"),
        stage: Stage::PreProcess,
        entity_ref: EntityRef::parse("component:default/secret").unwrap(),
        fault: "out-of-fuel".into(),
        message: "secret".into(),
        fuel: 1,
        peak_memory_bytes: 1,
        cpu_us: 1,
        backtrace: "[]".into(),
        log: r#"{"lines":[],"truncated":false,"bytes":0}"#.into(),
        request: Some("{}".into()),
    };
    let item = claimed.remove(0);
    let record = RunRecord {
        result: RunResult::Succeeded(Box::new(host.as_it_is(&item))),
        claim: item.claim,
        faults: vec![fault],
        cpu_us: 1,
        calls: RunCalls::default(),
    };
    host.storage.record(vec![record]).await.unwrap();
    host.work().await;
    let b = |path: &str| format!("/tenants/b{path}");
    host.call("PUT", &b("/processors/theirs"), None).await;
    let bytes = b"\0asm\x0d\0\x01\0theirs".to_vec();
    let upload = Request::post(b("/processors/theirs/revisions?wait=0"))
        .header("authorization", format!("Bearer {}", host.operator))
        .body(Body::from(bytes))
        .unwrap();
    assert_eq!(host.send(upload).await.status, 202);
    let run = NewRun {
        id: RunId(RUN.into()),
        kind: RunKind::DryRunRevision,
        request: "{}".into(),
    };
    host.storage.create_run(host.tenant_b, run).await.unwrap();
    let target = json!({"type": "url", "target": "https://example.com/secret.yaml"});
    let location = host
        .call("POST", &b("/api/catalog/locations"), Some(target))
        .await
        .json();
    let entities = host.call("GET", &b("/api/catalog/entities"), None).await;
    let made = host
        .call(
            "POST",
            "/admin/tenants/b/tokens",
            Some(json!({"scopes": ["read"]})),
        )
        .await
        .json();
    let changes = host.call("GET", &b("/changes"), None).await.json();
    host.work().await;
    let paged = host
        .call("GET", &b("/api/catalog/entities/by-query?limit=1"), None)
        .await
        .json();
    let text = |value: &Value| {
        value
            .as_str()
            .unwrap_or_else(|| panic!("{value}"))
            .to_owned()
    };
    Theirs {
        uid: text(&entities.json()[0]["metadata"]["uid"]),
        location: text(&location["location"]["id"]),
        token: text(&made["id"]),
        cursor: text(&changes["next"]),
        by_query: text(&paged["pageInfo"]["nextCursor"]),
    }
}

/// The path of an operation in a tenant, naming what is there or what is not.
fn path(operation: &Operation, tenant: &str, theirs: Option<&Theirs>) -> String {
    let there = theirs.is_some();
    let id = match theirs {
        None => MISSING,
        Some(theirs) if operation.path.contains("/tokens/") => &theirs.token,
        Some(theirs) if operation.path.contains("/locations/") => &theirs.location,
        Some(_) if operation.path.contains("/faults/") => FAULT,
        Some(_) => RUN,
    };
    let parts = operation.path.split('/').map(|part| match part {
        "{tenant}" => tenant,
        "{name}" if operation.path.contains("{kind}") && there => "secret",
        "{name}" if there => "theirs",
        "{name}" => "missing",
        "{number}" if there => "1",
        "{number}" => "9",
        "{kind}" => "component",
        "{namespace}" => "default",
        "{ref}" if there => "component:default%2Fsecret",
        "{ref}" => "component:default%2Fmissing",
        "{id}" => id,
        "{uid}" => theirs.map_or(MISSING, |theirs| &theirs.uid),
        literal => literal,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A body that gets a request as far as looking for what it names.
fn body(operation: &Operation, there: bool) -> Option<Value> {
    let entity_ref = if there {
        "component:default/secret"
    } else {
        "component:default/missing"
    };
    Some(match operation.id.as_str() {
        "activate_revision" => json!({"revision": if there { 1 } else { 9 }}),
        "create_dry_run" => json!({"entityRef": entity_ref}),
        "refresh_entity" => json!({"entityRef": entity_ref}),
        "find_entities_by_refs" => json!({"entityRefs": [entity_ref]}),
        "update_location" => json!({"type": "url", "target": "https://example.com/new.yaml"}),
        "refresh_entities" => json!({"keys": ["k"]}),
        "update_processor_settings" | "create_preview" => json!({}),
        "create_tenant_token" => json!({"scopes": ["read"]}),
        _ => return None,
    })
}

/// All of an answer but the address that was asked for, which it repeats.
async fn told(host: &Host, token: &str, operation: &Operation, path: &str, there: bool) -> String {
    let answer = ask(host, token, operation, path, there).await;
    let text = match serde_json::from_str::<Value>(&answer.text) {
        Ok(mut body) => {
            if let Some(request) = body.get_mut("request") {
                request["url"] = json!("");
            }
            body.to_string()
        }
        Err(_) => answer.text.clone(),
    };
    let text = [MISSING, "missing"]
        .iter()
        .fold(text, |text, name| text.replace(name, "…"));
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "content-length" && *name != "etag")
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    format!("{} {headers:?} {text}", answer.status)
}

async fn ask(host: &Host, token: &str, operation: &Operation, path: &str, there: bool) -> Answer {
    let body = body(operation, there);
    let mut request = Request::builder()
        .method(operation.method.to_uppercase().as_str())
        .uri(path)
        .header("authorization", format!("Bearer {token}"));
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    host.send(request.body(body).unwrap()).await
}

/// Every route below a tenant, by each kind of token of another one, streams included.
#[tokio::test]
async fn i02_nobody_learns_whether_a_tenant_or_anything_in_it_is_there() {
    let host = Host::new().await;
    let theirs = furnish(&host).await;
    let mut walked = 0;
    for scopes in [
        &[Scope::Read][..],
        &[Scope::Write],
        &[Scope::Deploy],
        &[Scope::Admin],
        &[Scope::Read, Scope::Write, Scope::Deploy, Scope::Admin],
        &[],
    ] {
        let token = host.token(Some(host.tenant), scopes).await;
        for operation in routed() {
            if !operation.path.contains("{tenant}") || operation.need == Need::Nothing {
                continue;
            }
            let id = &operation.id;
            let here = path(&operation, "b", Some(&theirs));
            let there = told(&host, &token, &operation, &here, true).await;
            assert!(there.starts_with("403 "), "{id}: {there}");
            for (tenant, theirs) in [("b", None), ("missing", Some(&theirs)), ("missing", None)] {
                let other = path(&operation, tenant, theirs);
                let other = told(&host, &token, &operation, &other, theirs.is_some()).await;
                assert_eq!(other, there, "{id} {scopes:?}");
            }
            walked += 1;
        }
        let events = async |tenant: &str| {
            let request = Request::get(format!("/tenants/{tenant}/changes"))
                .header("authorization", format!("Bearer {token}"))
                .header("accept", "text/event-stream")
                .header("last-event-id", &theirs.cursor)
                .body(Body::empty())
                .unwrap();
            let answer = host.send(request).await;
            (answer.status, answer.json()["error"].clone())
        };
        assert_eq!(events("b").await, events("missing").await);
    }
    assert!(walked > 6 * 60, "{walked}");
}

/// What is another tenant's is not there in one's own.
#[tokio::test]
async fn i02_another_tenants_objects_are_not_there_in_ones_own() {
    let host = Host::new().await;
    let theirs = furnish(&host).await;
    let admin = host.token(Some(host.tenant), &[Scope::Admin]).await;
    for operation in routed() {
        let named = operation
            .path
            .split('/')
            .filter(|part| part.starts_with('{'))
            .count();
        let scoped = matches!(operation.need, Need::Scope(_));
        if !scoped || named < 2 || !operation.path.contains("{tenant}") {
            continue;
        }
        // These make what they name, or look at nothing of it.
        if [
            "create_processor",
            "create_processor_by_post",
            "apply_mutation",
        ]
        .contains(&operation.id.as_str())
        {
            continue;
        }
        let id = &operation.id;
        let ours = |theirs| path(&operation, "a", theirs);
        let foreign = told(&host, &admin, &operation, &ours(Some(&theirs)), true).await;
        let none = told(&host, &admin, &operation, &ours(None), false).await;
        let names = [
            theirs.uid.as_str(),
            &theirs.location,
            &theirs.token,
            RUN,
            FAULT,
            "secret",
            "theirs",
        ];
        let foreign = names
            .iter()
            .fold(foreign, |text, name| text.replace(name, "…"));
        let numbered = |text: String| text.replace("revision 1", "revision 9");
        assert_eq!(numbered(foreign), numbered(none), "{id}");
    }
    // Nothing of it was touched.
    let processor = host.call("GET", "/tenants/b/processors/theirs", None).await;
    assert_eq!(processor.status, 200);
    let run = host
        .call("GET", &format!("/tenants/b/runs/{RUN}"), None)
        .await;
    assert_eq!(run.json()["state"], "queued", "{}", run.text);
}

/// A mark in another tenant's log or list is good for nothing here.
#[tokio::test]
async fn i02_marks_of_another_tenant_tell_nothing() {
    let host = Host::new().await;
    let theirs = furnish(&host).await;
    let reader = host.token(Some(host.tenant), &[Scope::Read]).await;
    let get = async |path: String| host.call_as(&reader, "GET", &path, None).await;
    let changes = get(format!("/tenants/a/changes?cursor={}", theirs.cursor)).await;
    let unknown = theirs.cursor.chars().rev().collect::<String>();
    assert_eq!(changes.status, 410, "{}", changes.text);
    assert!(!changes.text.contains("secret"), "{}", changes.text);
    assert!(
        [400, 410].contains(
            &get(format!("/tenants/a/changes?cursor={unknown}"))
                .await
                .status
        )
    );
    let page = format!(
        "/tenants/a/api/catalog/entities/by-query?cursor={}",
        theirs.by_query
    );
    let page = get(page).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.json()["items"], json!([]));
    let after = "/tenants/a/processing?after=component:default/a".to_owned();
    assert_eq!(get(after).await.json()["items"], json!([]));
}
