//! The document against the router: every route is in it, with the handler's name, its scope and its parameters. That
//! the answers are the documented ones is asked of every test of the edge (`documented`).

use std::collections::BTreeSet;

use axum::body::Body;
use greenroom_storage::Scope;
use http::Request;
use serde_json::Value;

use super::documented::schema;
use super::host::{Answer, Host};
use crate::api::openapi::document;
use crate::api::router::operations;
use crate::api::routes::{Need, Operation};

/// An address of the operation: every parameter is filled with something well-formed.
fn address(operation: &Operation) -> String {
    let parts = operation.path.split('/').map(|part| match part {
        "{tenant}" => "a",
        "{name}" => "p",
        "{number}" => "1",
        "{kind}" => "component",
        "{namespace}" => "default",
        "{ref}" => "component:default%2Fx",
        "{id}" | "{uid}" => "x",
        literal => literal,
    });
    parts.collect::<Vec<_>>().join("/")
}

async fn call(host: &Host, operation: &Operation, query: &str, token: Option<&str>) -> Answer {
    let mut request = Request::builder()
        .method(operation.method.to_uppercase().as_str())
        .uri(format!("{}{query}", address(operation)));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    host.send(request.body(Body::empty()).unwrap()).await
}

/// Those of the API's own listener.
pub(super) fn routed() -> Vec<Operation> {
    let mut operations = operations();
    operations.retain(|operation| operation.path != "/metrics");
    operations
}

#[tokio::test]
async fn l07_the_document_needs_no_token_and_names_no_tenant() {
    let host = Host::new().await;
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let answer = host.send(request).await;
    assert_eq!(answer.status, 200);
    let served = answer.json();
    assert_eq!(served, document(&operations()));
    assert_eq!(served["openapi"], "3.1.0");
    assert!(served.get("servers").is_none());
    for secret in ["127.0.0.1", "localhost", "/tenants/a", "/tenants/default"] {
        assert!(!answer.text.contains(secret), "{secret}");
    }
}

#[test]
fn operations_are_told_apart_and_said_in_words() {
    let operations = operations();
    assert!(operations.len() > 55, "{}", operations.len());
    let ids: BTreeSet<&str> = operations.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), operations.len());
    let document = document(&operations);
    for operation in &operations {
        let id = &operation.id;
        let snake = |id: &str| {
            id.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        assert!(snake(id) && id.contains('_'), "{id}");
        assert!(operation.doc.summary.ends_with('.'), "{id}");
        let described = &document["paths"][&operation.path][operation.method];
        assert_eq!(described["operationId"], **id);
        for parameter in described["parameters"].as_array().unwrap() {
            let text = parameter["description"].as_str().unwrap();
            assert!(text.ends_with('.'), "{id}: {parameter}");
        }
        let responses = described["responses"].as_object().unwrap();
        let good = responses.keys().any(|status| status.starts_with('2'));
        assert!(good, "{id} has no good answer");
        // What the code does with a body is what is said of it.
        assert_eq!(operation.takes_body, operation.doc.body.is_some(), "{id}");
    }
}

#[test]
fn every_schema_is_one_and_every_reference_resolves() {
    let document = document(&operations());
    let names = document["components"]["schemas"].as_object().unwrap();
    for name in names.keys() {
        schema(name);
    }
    let mut used = BTreeSet::new();
    collect(&document, &mut used);
    for reference in &used {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(names.contains_key(name), "{reference}");
    }
    let unused: Vec<_> = names
        .keys()
        .filter(|name| !used.contains(&format!("#/components/schemas/{name}")))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                found.insert(reference.clone());
            }
            object.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// Without a token, with one that lacks the scope, and with one of another tenant (i02), on every operation.
#[tokio::test]
async fn i02_every_operation_admits_whom_the_document_says() {
    let host = Host::new().await;
    let (a, b) = (host.tenant, host.tenant_b);
    let foreign = host.token(Some(b), &[Scope::Admin]).await;
    for operation in &routed() {
        let id = &operation.id;
        let open = [
            "show_liveness",
            "show_readiness",
            "show_startup",
            "show_openapi",
        ];
        if operation.need == Need::Nothing {
            assert!(open.contains(&id.as_str()), "{id} needs no token");
            let answer = call(&host, operation, "", None).await;
            assert!([200, 503].contains(&answer.status), "{id}");
            continue;
        }
        let anonymous = call(&host, operation, "", None).await;
        assert_eq!(anonymous.status, 401, "{id}");
        let stranger = call(&host, operation, "", Some(&foreign)).await;
        assert_eq!(stranger.status, 403, "{id}: {}", stranger.text);

        let (lacking, enough): (&[Scope], Option<Scope>) = match operation.need {
            Need::Scope(Scope::Read) => (&[], Some(Scope::Read)),
            Need::Scope(Scope::Write) => (&[Scope::Read, Scope::Deploy], Some(Scope::Write)),
            Need::Scope(Scope::Deploy) => (&[Scope::Read, Scope::Write], Some(Scope::Deploy)),
            Need::Scope(Scope::Admin) => (
                &[Scope::Read, Scope::Write, Scope::Deploy],
                Some(Scope::Admin),
            ),
            Need::Scope(Scope::Operator) | Need::Operator => (&[Scope::Admin], None),
            Need::Nothing => continue,
        };
        if !lacking.is_empty() {
            let token = host.token(Some(a), lacking).await;
            let answer = call(&host, operation, "", Some(&token)).await;
            assert_eq!(answer.status, 403, "{id}: {}", answer.text);
        }
        let token = match enough {
            Some(scope) => host.token(Some(a), &[scope]).await,
            None => host.operator.clone(),
        };
        // A parameter that nobody knows is refused after the token and before anything is done.
        let answer = call(&host, operation, "?nonsense=1", Some(&token)).await;
        assert_eq!(answer.status, 400, "{id}: {}", answer.text);
        let message = answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(message, "Unknown query parameter 'nonsense'", "{id}");
    }
}

#[tokio::test]
async fn every_documented_parameter_is_known_to_its_handler() {
    let host = Host::new().await;
    for operation in &routed() {
        for query in &operation.doc.query {
            // Another parameter that is unknown stops the request before it does anything, and is named second.
            let both = format!("?{}=1&nonsense=1", query.name);
            let answer = call(&host, operation, &both, Some(&host.operator)).await;
            let message = answer.json()["error"]["message"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(
                message.contains("'nonsense'"),
                "{} {}: {message}",
                operation.id,
                query.name
            );
        }
    }
}
