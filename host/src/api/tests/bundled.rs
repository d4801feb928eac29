//! Processors that ship with the host: listed, set up, and otherwise not to be had.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::host::{Answer, Host};

const PROCESSOR: &str = "/tenants/a/processors/required-fields";
const SETTINGS: &str = "/tenants/a/processors/required-fields/settings";
const KINDS: &str = "/tenants/a/processors/builtin-kinds/settings";

async fn put(host: &Host, settings: Value, if_match: &str) -> Answer {
    let request = Request::put(SETTINGS)
        .header("authorization", format!("Bearer {}", host.operator))
        .header("content-type", "application/json")
        .header("if-match", if_match);
    host.send(request.body(Body::from(settings.to_string())).unwrap())
        .await
}

fn tag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn they_are_listed_beside_a_tenants_own_and_are_as_they_ship() {
    let host = Host::new().await;
    host.call("PUT", "/tenants/a/processors/own", None).await;
    let listed = host.call("GET", "/tenants/a/processors", None).await.json();
    let items = listed["items"].as_array().unwrap();
    let shown: Vec<_> = items
        .iter()
        .map(|one| {
            (
                &one["name"],
                &one["settings"]["enabled"],
                one["bundled"].is_null(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (&json!("builtin-kinds"), &json!(true), false),
            (&json!("own"), &json!(true), true),
            (&json!("required-fields"), &json!(false), false),
        ]
    );
    let found = host.call("GET", PROCESSOR, None).await;
    assert_eq!(found.json(), items[2]);
    assert_eq!(tag(&found), "\"0\"");
    assert_eq!(items[2]["bundled"]["onByDefault"], false);
    assert_eq!(
        items[2]["bundled"]["configSchema"]["required"],
        json!(["rules"])
    );
    let settings = host.call("GET", SETTINGS, None).await;
    assert_eq!(
        (tag(&settings), &settings.json()),
        (tag(&found), &found.json()["settings"])
    );
}

#[tokio::test]
async fn settings_turn_one_on_for_the_tenant_that_puts_them() {
    let host = Host::new().await;
    let config = json!({"rules": []});
    let wanted = json!({
        "config": config, "priority": 7, "grants": ["location", "https://example.com/"],
        "subscription": [{"kinds": ["API"]}]
    });
    let set = host.call("PUT", SETTINGS, Some(wanted)).await;
    assert_eq!(set.status, 200, "{}", set.text);
    assert_eq!(
        (&set.json()["enabled"], &set.json()["config"]),
        (&json!(true), &config)
    );
    let other = host
        .call("GET", &SETTINGS.replace("/a/", "/b/"), None)
        .await;
    assert_eq!(
        (tag(&other), &other.json()["enabled"]),
        ("\"0\"".to_owned(), &json!(false))
    );

    // The same again is no new version; what was read is what is replaced.
    let again = host.call("PUT", SETTINGS, Some(set.json())).await;
    assert_eq!(tag(&again), tag(&set));
    assert_eq!(
        put(&host, json!({"enabled": false}), "\"0\"").await.status,
        412
    );
    let off = put(&host, json!({"enabled": false}), &tag(&set)).await;
    assert_eq!((off.status, &off.json()["config"]), (200, &Value::Null));
    let shown = host.call("GET", PROCESSOR, None).await;
    assert_eq!(
        (tag(&shown), &shown.json()["settings"]["enabled"]),
        (tag(&off), &json!(false))
    );
    let audit = host.call("GET", "/admin/audit?limit=100", None).await;
    assert_eq!(audit.text.matches("update_processor_settings").count(), 2);

    let kinds = host
        .call("PUT", KINDS, Some(json!({"enabled": false})))
        .await;
    assert_eq!(
        (kinds.status, &kinds.json()["enabled"]),
        (200, &json!(false))
    );
    let kinds = host.call("PUT", KINDS, Some(json!({}))).await;
    assert_eq!(kinds.json()["enabled"], true);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    let host = Host::new().await;
    for (settings, expected) in [
        (json!({}), "rules"),
        (json!({"config": {}}), "rules"),
        (json!({"config": {"rules": 1}}), "rules"),
        (json!({"enabled": false, "config": {"rules": 1}}), "rules"),
        (json!({"config": []}), "request/body/config must be object"),
        (
            json!({"config": {"rules": ["x".repeat(70_000)]}}),
            "of at most 65536",
        ),
        (
            json!({"enabled": false, "grants": ["file:///"]}),
            "request/body/grants",
        ),
        (
            json!({"enabled": false, "subscription": [{"kinds": [""]}]}),
            "request/body/subscription",
        ),
        (json!({"enabled": false, "limits": {"fuel": 1}}), "limits"),
        (
            json!({"enabled": false, "quarantine": "manual"}),
            "quarantine",
        ),
    ] {
        let refused = host.call("PUT", SETTINGS, Some(settings.clone())).await;
        assert_eq!(refused.status, 400, "{settings}");
        let message = refused.json()["error"]["message"].to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(tag(&host.call("GET", SETTINGS, None).await), "\"0\"");
}

#[tokio::test]
async fn they_have_no_revisions_and_are_neither_made_nor_deleted() {
    let host = Host::new().await;
    for (method, path, status, expected) in [
        ("PUT", "", 409, "choose another"),
        ("DELETE", "", 409, "turn it off"),
        ("GET", "/revisions", 404, "has no revisions"),
        ("POST", "/activate", 404, "has no revisions"),
        ("POST", "/rollback", 404, "has no revisions"),
    ] {
        let body = (path == "/activate").then(|| json!({"revision": 1}));
        let answer = host.call(method, &format!("{PROCESSOR}{path}"), body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert!(answer.text.contains(expected), "{}", answer.text);
    }
    let upload = Request::post(format!("{PROCESSOR}/revisions?wait=0"))
        .header("authorization", format!("Bearer {}", host.operator))
        .body(Body::from(b"\0asm\x0d\0\x01\0".to_vec()))
        .unwrap();
    assert_eq!(host.send(upload).await.status, 404);
    assert!(
        host.storage
            .list_processors(host.tenant)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn reading_settings_and_putting_them_need_their_scopes() {
    use greenroom_storage::Scope;

    let host = Host::new().await;
    let reader = host
        .token(Some(host.tenant), &[Scope::Read, Scope::Write])
        .await;
    let foreign = host.token(Some(host.tenant_b), &[Scope::Admin]).await;
    let config = json!({"config": {"rules": []}});
    let read = host.call_as(&reader, "GET", SETTINGS, None).await;
    let put = host
        .call_as(&reader, "PUT", SETTINGS, Some(config.clone()))
        .await;
    assert_eq!((read.status, put.status), (200, 403));
    let put = host.call_as(&foreign, "PUT", SETTINGS, Some(config)).await;
    assert!(matches!(put.status, 403 | 404));
    assert_eq!(tag(&host.call("GET", SETTINGS, None).await), "\"0\"");
}
