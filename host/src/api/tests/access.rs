//! Who gets in, and what everybody else is told.

use axum::body::Body;
use greenroom_storage::Scope;
use http::Request;
use serde_json::json;

use crate::api::tests::host::Host;

const ENTITIES: &str = "/tenants/a/api/catalog/entities";

#[tokio::test]
async fn i01_credentials() {
    let host = Host::new().await;
    let with = |header: String| {
        Request::get(ENTITIES)
            .header("authorization", header)
            .body(Body::empty())
            .unwrap()
    };
    for (header, status, message) in [
        (format!("bEaReR {}", host.operator), 200, ""),
        (
            format!("Basic {}", host.operator),
            401,
            "Missing credentials",
        ),
        ("Bearer garbage".to_owned(), 401, "Illegal token"),
        ("Bearer gr_0000_0000".to_owned(), 401, "Illegal token"),
        (format!("Bearer {}0", host.operator), 401, "Illegal token"),
    ] {
        let answer = host.send(with(header)).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status != 200 {
            assert_eq!(answer.json()["error"]["message"], message);
        }
    }
    let path = format!("{ENTITIES}?token={}", host.operator);
    let none = host
        .send(
            Request::get(&path)
                .header("cookie", &host.operator)
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(
        (none.status, &none.json()["error"]["message"]),
        (401, &json!("Missing credentials"))
    );
    let two = Request::get(ENTITIES)
        .header("authorization", "Bearer a")
        .header("authorization", "Bearer b");
    assert_eq!(
        host.send(two.body(Body::empty()).unwrap()).await.status,
        400
    );
}

#[tokio::test]
async fn i02_another_tenant_looks_like_none() {
    let host = Host::new().await;
    let token = host.token(Some(host.tenant), &[Scope::Admin]).await;
    let mut answers = Vec::new();
    for tenant in ["b", "missing", "B%00", ".."] {
        for path in [
            "api/catalog/entities",
            "api/catalog/locations/x",
            "processing",
            "processors/x",
            "runs/x",
        ] {
            let answer = host
                .call_as(&token, "GET", &format!("/tenants/{tenant}/{path}"), None)
                .await;
            answers.push((answer.status, answer.json()["error"].clone()));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, 403);
    assert_eq!(
        host.call_as(&token, "GET", ENTITIES, None).await.status,
        200
    );
}

#[tokio::test]
async fn i05_scopes_are_kept_apart() {
    let host = Host::new().await;
    let location = Some(json!({"type": "url", "target": "https://example.com/x.yaml"}));
    let locations = "/tenants/a/api/catalog/locations";
    let processor = "/tenants/a/processors/p";
    let tokens = "/admin/tenants/a/tokens";
    let make = Some(json!({"name": "n", "scopes": ["read"]}));
    for (scope, add, create, token) in [
        (Scope::Read, 403, 403, 403),
        (Scope::Write, 201, 403, 403),
        (Scope::Deploy, 403, 201, 403),
        (Scope::Admin, 409, 200, 201),
    ] {
        let text = host.token(Some(host.tenant), &[scope]).await;
        assert_eq!(
            host.call_as(&text, "POST", locations, location.clone())
                .await
                .status,
            add,
            "{scope:?}"
        );
        assert_eq!(
            host.call_as(&text, "PUT", processor, None).await.status,
            create,
            "{scope:?}"
        );
        assert_eq!(
            host.call_as(&text, "POST", tokens, make.clone())
                .await
                .status,
            token,
            "{scope:?}"
        );
        assert_eq!(
            host.call_as(&text, "GET", "/admin/tenants", None)
                .await
                .status,
            403,
            "{scope:?}"
        );
        let operator = Some(json!({"name": "n", "scopes": ["operator"]}));
        assert_eq!(
            host.call_as(&text, "POST", tokens, operator).await.status,
            403,
            "{scope:?}"
        );
    }
}

#[tokio::test]
async fn l07_probes_need_no_token_and_name_nobody() {
    let host = Host::new().await;
    for probe in ["liveness", "readiness", "startup"] {
        let path = format!("/.backstage/health/v1/{probe}");
        let answer = host
            .send(Request::get(path).body(Body::empty()).unwrap())
            .await;
        assert!(matches!(answer.status, 200 | 503));
        assert!(answer.json()["status"].is_string());
    }
}
