//! What HTTP gives every reply below the catalog mount as Express does: tags, compression, methods, who is let in.

use axum::body::Body;
use greenroom_storage::Scope;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::api::tests::host::Host;

#[tokio::test]
async fn who_is_not_let_in_learns_of_no_path() {
    let host = Host::new().await;
    for (method, path) in [
        ("GET", "/nope"),
        ("OPTIONS", "/entities"),
        ("PATCH", "/entities"),
        ("POST", "/a/b/c"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(format!("/tenants/a/api/catalog{path}"))
            .body(Body::empty())
            .unwrap();
        assert_eq!(host.send(request).await.status, 401, "{method} {path}");
        let other = host.token(Some(host.tenant_b), &[Scope::Admin]).await;
        let path = format!("/tenants/a/api/catalog{path}");
        let answer = host.call_as(&other, method, &path, None).await;
        assert_eq!(answer.status, 403, "{method} {path}");
    }
}

#[tokio::test]
async fn options_names_the_methods_of_a_path() {
    let host = Host::new().await;
    for (path, methods) in [
        ("/entities", "GET,HEAD"),
        ("/entities/by-query", "POST,GET,HEAD"),
        ("/entity-facets", "GET,HEAD,POST"),
        ("/locations", "POST,GET,HEAD"),
        ("/locations/x", "GET,HEAD,PUT,DELETE"),
    ] {
        let answer = host.catalog("OPTIONS", path, None).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, methods),
            "{path}"
        );
        assert_eq!(answer.headers["allow"], methods, "{path}");
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    }
    assert_eq!(host.catalog("OPTIONS", "/nope", None).await.status, 404);
    let answer = host.catalog("PATCH", "/entities", None).await;
    assert_eq!((answer.status, answer.text.as_str()), (404, ""));
}

#[tokio::test]
async fn a_whole_reply_has_a_tag_and_who_has_it_gets_304() {
    let host = Host::new().await;
    let entity = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "a"},
    });
    host.provide(&[entity]).await;
    let known = async |method: &str, path: &str, tag: &str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("/tenants/a/api/catalog{path}"))
            .header("authorization", format!("Bearer {}", host.operator))
            .header("if-none-match", tag)
            .body(Body::empty())
            .unwrap();
        host.send(request).await
    };
    let facets = host.catalog("GET", "/entity-facets?facet=kind", None).await;
    let tag = facets.headers["etag"].to_str().unwrap();
    assert!(tag.starts_with("W/\""), "{tag}");
    for method in ["GET", "HEAD"] {
        let answer = known(method, "/entity-facets?facet=kind", tag).await;
        assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{method}");
        assert_eq!(answer.headers["etag"], tag);
        assert!(!answer.headers.contains_key("content-type"));
    }
    let other = known("GET", "/entity-facets?facet=metadata.name", tag).await;
    assert_eq!(other.status, 200);
    assert_ne!(other.headers["etag"], tag);
    let missing = known("GET", "/entities/by-uid/none", "*").await;
    assert_eq!(missing.status, 404);
    assert!(missing.headers.contains_key("etag"), "errors have tags too");
    for path in [
        "/entities",
        "/entities?limit=1",
        "/entities/by-query",
        "/entities/by-name/component/default/a",
    ] {
        let answer = host.catalog("GET", path, None).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.headers.contains_key("etag"), "{path}");
    }
}

#[tokio::test]
async fn what_is_long_is_compressed_for_who_takes_it() {
    let host = Host::new().await;
    let asked = async |method: &str, path: &str, accepted: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", host.operator))
            .header("accept-encoding", accepted)
            .body(Body::empty())
            .unwrap();
        host.begin(request).await
    };
    let (long, short) = (
        "/tenants/a/api/catalog/openapi.json",
        "/tenants/a/api/catalog/entities",
    );
    let encoding = |answer: &Response<Body>| {
        let encoding = answer.headers().get("content-encoding");
        encoding.map(|encoding| encoding.to_str().unwrap().to_owned())
    };
    for accepted in ["gzip", "br;q=0.1, gzip;q=0.5", "deflate, gzip, br"] {
        let answer = asked("GET", long, accepted).await;
        assert_eq!(encoding(&answer).as_deref(), Some("gzip"), "{accepted}");
        assert_eq!(answer.headers()["vary"], "Accept-Encoding");
        let whole = asked("GET", long, "identity")
            .await
            .into_body()
            .collect()
            .await
            .unwrap();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < whole.to_bytes().len() / 2);
    }
    for (method, path, accepted) in [
        ("GET", long, "identity"),
        ("GET", long, "gzip;q=0"),
        ("GET", short, "gzip"),
        ("HEAD", long, "gzip"),
    ] {
        let answer = asked(method, path, accepted).await;
        assert_eq!(encoding(&answer), None, "{method} {path} {accepted}");
        assert_eq!(
            answer.headers()["vary"],
            "Accept-Encoding",
            "{method} {path} {accepted}"
        );
    }
}

#[tokio::test]
async fn a_token_in_the_body_of_refresh_asks_instead_of_the_header() {
    let host = Host::new().await;
    let entity = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "a"},
    });
    host.provide(&[entity]).await;
    let writer = host.token(Some(host.tenant), &[Scope::Write]).await;
    let reader = host.token(Some(host.tenant), &[Scope::Read]).await;
    let foreign = host.token(Some(host.tenant_b), &[Scope::Admin]).await;
    for (token, status) in [
        (json!(writer), 200),
        (json!(""), 200),
        (json!(reader), 403),
        (json!(foreign), 403),
        (json!("bad"), 401),
        (json!(7), 400),
    ] {
        let body = json!({"entityRef": "component:default/a", "authorizationToken": token});
        let answer = host.catalog("POST", "/refresh", Some(body)).await;
        assert_eq!(answer.status, status, "{token}: {}", answer.text);
    }
}
