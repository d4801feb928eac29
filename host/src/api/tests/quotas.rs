//! Quotas over HTTP: shown with what is used, set by the operator alone, and refused with the figures.

use axum::body::Body;
use greenroom_storage::Scope;
use http::Request;
use serde_json::{Value, json};

use super::host::{Answer, Host};

const QUOTAS: &str = "/admin/tenants/a/quotas";
const USAGE: &str = "/tenants/a/usage";

async fn set(host: &Host, quotas: Value) {
    let answer = host.call("PUT", QUOTAS, Some(quotas.clone())).await;
    assert_eq!((answer.status, answer.json()), (200, quotas));
}

async fn usage(host: &Host) -> Value {
    host.call("GET", USAGE, None).await.json()
}

fn refusal(answer: &Answer, figures: &str) {
    assert_eq!(answer.status, 409, "{}", answer.text);
    let message = answer.json()["error"]["message"].clone();
    assert!(message.as_str().unwrap().contains(figures), "{message}");
}

async fn push(host: &Host, names: &[&str]) -> Answer {
    let mut lines: Vec<String> = names
        .iter()
        .map(|name| {
            let entity =
                json!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": name}});
            json!({"add": {"entity": entity}}).to_string()
        })
        .collect();
    lines.push(json!({"commit": {"count": names.len()}}).to_string());
    let request = Request::post("/tenants/a/providers/p/mutations?type=delta")
        .header("authorization", format!("Bearer {}", host.operator))
        .body(Body::from(lines.join("\n")))
        .unwrap();
    host.send(request).await
}

async fn upload(host: &Host, token: &str, processor: &str, name: &str) -> Answer {
    let bytes = [b"\0asm\x0d\0\x01\0".as_slice(), name.as_bytes()].concat();
    let path = format!("/tenants/a/processors/{processor}/revisions?wait=0");
    let request = Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .body(Body::from(bytes))
        .unwrap();
    host.send(request).await
}

#[tokio::test]
async fn every_quota_is_shown_with_what_is_used_of_it() {
    let host = Host::new().await;
    let before = usage(&host).await;
    assert_eq!(before["entities"], json!({"used": 0, "limit": 1_000_000}));
    assert_eq!(
        before["callLimits"]["limit"]["fuel"],
        json!(10_000_000_000_u64)
    );
    host.provide(&[json!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "x"}})])
        .await;
    host.call("PUT", "/tenants/a/processors/p", None).await;
    host.revision("p", None).await;
    set(
        &host,
        json!({"entities": u64::MAX, "callLimits": {"fuel": 7}}),
    )
    .await;
    let after = usage(&host).await;
    assert_eq!(after["entities"], json!({"used": 1, "limit": u64::MAX}));
    assert_eq!(after["processors"]["used"], 1);
    assert_eq!(after["componentBytes"]["used"], 24);
    assert_eq!(
        after["revisionsPerProcessor"],
        json!({"used": 1, "limit": 20})
    );
    assert_eq!(after["waitingUploads"]["used"], 1);
    let uploads = json!({"used": 1, "limit": 60, "windowSeconds": 60});
    assert_eq!(after["uploadsPerMinute"], uploads);
    assert_eq!(after["cpuSecondsPerMinute"]["windowSeconds"], 60);
    assert_eq!(after["callLimits"]["limit"]["fuel"], 7);
    let limits = json!({"limits": {"fuel": 8}});
    let above = host
        .call("PUT", "/tenants/a/processors/p/settings", Some(limits))
        .await;
    assert_eq!(above.status, 400, "{}", above.text);
    // Whoever reads the catalog sees them; another tenant has its own.
    let reader = host.token(Some(host.tenant), &[Scope::Read]).await;
    assert_eq!(
        host.call_as(&reader, "GET", USAGE, None).await.json(),
        after
    );
    let other = host.call("GET", "/tenants/b/usage", None).await;
    assert_eq!(other.json()["entities"]["used"], 0);
}

#[tokio::test]
async fn i05_a_tenant_does_not_set_its_own_quotas() {
    let host = Host::new().await;
    let admin = host.token(Some(host.tenant), &[Scope::Admin]).await;
    let more = Some(json!({"entities": 5}));
    for method in ["GET", "PUT"] {
        let body = more.clone().filter(|_| method == "PUT");
        let answer = host.call_as(&admin, method, QUOTAS, body).await;
        assert_eq!(answer.status, 403, "{}", answer.text);
    }
    assert_eq!(host.call("GET", QUOTAS, None).await.json(), json!({}));
    let nobody = host.call("PUT", "/admin/tenants/nobody/quotas", more).await;
    assert_eq!(nobody.status, 404);
    for (wrong, told) in [
        (json!({"entitys": 5}), "entitys"),
        (json!({"entities": -1}), "-1"),
        (json!({"entities": 1.5}), "1.5"),
        (json!({"callLimits": {"fuel": 0}}), "`fuel` is 0"),
        (json!({"callLimits": {"fuels": 1}}), "fuels"),
    ] {
        let answer = host.call("PUT", QUOTAS, Some(wrong)).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.text.contains(told), "{}", answer.text);
    }
    let audit = host.call("GET", "/admin/audit?tenant=a", None).await.json();
    assert_eq!(audit["items"], json!([]), "nothing was changed");
    set(&host, json!({"processors": 3})).await;
    let audit = host.call("GET", "/admin/audit?tenant=a", None).await.json();
    assert_eq!(audit["items"][0]["action"], "update_quotas");
}

#[tokio::test]
async fn q05_what_has_no_room_is_409_with_the_figures() {
    let host = Host::new().await;
    set(
        &host,
        json!({"entities": 2, "processors": 1, "componentBytes": 11}),
    )
    .await;
    assert_eq!(push(&host, &["x", "y"]).await.status, 200);
    let more = push(&host, &["y", "z"]).await;
    refusal(&more, "2 of at most 2 entities and 1 more have no room");
    refusal(&more, "Nothing was changed");
    // One that is so large that it is staged is refused alike.
    let names: Vec<String> = (0..2_000).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    refusal(&push(&host, &names).await, "2000 more have no room");
    let target = json!({"type": "url", "target": "https://example.com/x.yaml"});
    let location = host.catalog("POST", "/locations", Some(target)).await;
    refusal(&location, "2 of at most 2 entities");
    assert_eq!(
        host.catalog("GET", "/locations", None).await.json(),
        json!([])
    );
    let create = async |name| {
        let path = format!("/tenants/a/processors/{name}");
        host.call("PUT", &path, None).await
    };
    assert_eq!(create("p").await.status, 201);
    refusal(&create("q").await, "1 of at most 1 processors");
    assert_eq!(
        create("p").await.status,
        200,
        "the one that is there is found"
    );
    let first = upload(&host, &host.operator, "p", "one").await;
    assert_eq!(first.status, 202, "{}", first.text);
    let second = upload(&host, &host.operator, "p", "two").await;
    refusal(
        &second,
        "11 of at most 11 bytes of components and 11 more have no room",
    );
    set(&host, json!({"entities": 1})).await;
    assert_eq!(
        usage(&host).await["entities"],
        json!({"used": 2, "limit": 1})
    );
    refusal(&push(&host, &["z"]).await, "2 of at most 1 entities");
    assert_eq!(
        push(&host, &["x"]).await.status,
        200,
        "what is there is updated"
    );
}

#[tokio::test]
async fn q04_rates_are_the_tenants_whatever_is_deleted_and_whoever_asks() {
    let host = Host::new().await;
    set(&host, json!({"uploadsPerMinute": 2})).await;
    for name in ["one", "two"] {
        assert_eq!(
            host.call("PUT", "/tenants/a/processors/p", None)
                .await
                .status,
            201
        );
        let token = host.token(Some(host.tenant), &[Scope::Deploy]).await;
        let answer = upload(&host, &token, "p", name).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!(
            host.call("DELETE", "/tenants/a/processors/p", None)
                .await
                .status,
            204
        );
    }
    host.call("PUT", "/tenants/a/processors/q", None).await;
    let token = host.token(Some(host.tenant), &[Scope::Deploy]).await;
    let third = upload(&host, &token, "q", "three").await;
    assert_eq!(third.status, 429, "{}", third.text);
    assert!(third.headers.contains_key("retry-after"));
    set(&host, json!({"uploadsPerMinute": 0})).await;
    host.clock.advance(3_600_000);
    assert_eq!(
        upload(&host, &token, "q", "four").await.status,
        429,
        "0 means none"
    );
    set(&host, json!({"uploadsPerMinute": u64::MAX})).await;
    assert_eq!(upload(&host, &token, "q", "five").await.status, 202);
}
