//! Hostile requests (hostile inputs, section H) that need no network of their own; each test carries its row.

use std::task::Poll;

use axum::body::Body;
use greenroom_storage::{Slots, WorkerId};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::api::tests::host::{Answer, Host};

const CATALOG: &str = "/tenants/a/api/catalog";

async fn post(host: &Host, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut request = Request::post(format!("{CATALOG}{path}"))
        .header("authorization", format!("Bearer {}", host.operator));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    host.send(request.body(body.into()).unwrap()).await
}

fn name_of(answer: &Answer) -> Value {
    answer.json()["error"]["name"].clone()
}

#[tokio::test]
async fn h06_json_bodies_that_are_none() {
    let host = Host::new().await;
    let json_type = ("content-type", "application/json");
    let utf16: Vec<u8> = "{\"limit\": 1}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let deep = format!(
        "{{\"query\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let large = json!({"query": {"a": "x".repeat(100 * 1024)}}).to_string();
    for (what, body) in [
        ("over its cap", large.into_bytes()),
        ("deep", deep.into_bytes()),
        ("utf-16", utf16),
        ("trailing text", b"{} {}".to_vec()),
        ("trailing comma", b"{\"limit\": 1,}".to_vec()),
        ("not a number", b"{\"limit\": NaN}".to_vec()),
        ("a comment", b"{} // x".to_vec()),
        ("half", b"{\"limit\":".to_vec()),
        ("no object", b"\"x\"".to_vec()),
        ("a list", b"[]".to_vec()),
        ("invalid utf-8", b"{\"query\": {\"a\": \"\xff\"}}".to_vec()),
        (
            "a lone surrogate",
            b"{\"query\": {\"a\": \"\\ud800\"}}".to_vec(),
        ),
    ] {
        let answer = post(&host, "/entities/by-query", &[json_type], body).await;
        assert_eq!(
            (answer.status, name_of(&answer)),
            (400, json!("InputError")),
            "{what}"
        );
    }
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "application/jsonx",
    ] {
        let headers = [("content-type", media_type)];
        let answer = post(&host, "/entities/by-query", &headers, "{}").await;
        assert_eq!(answer.status, 400, "{media_type}");
        assert!(
            answer.text.contains("unsupported media type"),
            "{}",
            answer.text
        );
    }
    for encoding in ["gzip", "br", "identity, gzip"] {
        let headers = [json_type, ("content-encoding", encoding)];
        let answer = post(&host, "/entities/by-query", &headers, "{}").await;
        assert_eq!(answer.status, 415, "{encoding}: nothing is unpacked");
    }
    // What is good JSON is taken: an empty body, white space, parameters of the media type; of equal keys the last counts.
    for (media_type, body) in [
        ("application/json", ""),
        ("application/json", " {\"limit\": 0}\r\n"),
        (
            "Application/JSON; charset=utf-8",
            "{\"limit\": -1, \"limit\": 0}",
        ),
    ] {
        let headers = [("content-type", media_type)];
        let answer = post(&host, "/entities/by-query", &headers, body).await;
        assert_eq!(
            (answer.status, &answer.json()["items"]),
            (200, &json!([])),
            "{body}"
        );
    }
}

#[tokio::test]
async fn h12_very_many_refs() {
    let host = Host::new().await;
    let entity = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "a"},
    });
    host.provide(&[entity]).await;
    let json_type = [("content-type", "application/json")];
    let million = format!("{{\"entityRefs\":[{}\"a\"]}}", "\"a\",".repeat(999_999));
    let answer = post(&host, "/entities/by-refs", &json_type, million).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json()["error"]["message"],
        "request entity too large"
    );

    // All that fits: the same ref again and again, and refs that nobody has.
    for (one, is_served) in [("component:default/a", true), ("x", false)] {
        let count = 1_000_000 / (one.len() + 3);
        let refs = vec![one; count];
        let body = json!({"entityRefs": refs, "fields": ["metadata.name"]}).to_string();
        let answer = post(&host, "/entities/by-refs", &json_type, body).await;
        assert_eq!(answer.status, 200);
        let answer = answer.json();
        let items = answer["items"].as_array().unwrap();
        assert_eq!(items.len(), count, "{one}");
        let expected = match is_served {
            true => json!({"metadata": {"name": "a"}}),
            false => Value::Null,
        };
        assert!(items.iter().all(|item| *item == expected), "{one}");
    }
}

#[tokio::test]
async fn h18_what_an_error_echoes_is_json_and_nothing_else() {
    let host = Host::new().await;
    let script = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let json_type = [("content-type", "application/json")];
    let mut answers = Vec::new();
    for path in [
        format!("/entities/by-name/{script}/default/x"),
        format!("/entities/by-uid/{script}"),
        format!("/entities?{script}=1"),
        format!("/entities?filter=%3D{script}"),
        format!("/locations/{script}"),
    ] {
        answers.push(host.catalog("GET", &path, None).await);
    }
    let script = "<script>alert(1)</script>";
    for (path, body) in [
        ("/refresh", json!({"entityRef": script})),
        ("/locations", json!({"type": script, "target": script})),
        (
            "/locations",
            json!({"type": "url", "target": "x", script: 1}),
        ),
        (
            "/entities/by-query",
            json!({"query": {script: {script: 1}}}),
        ),
        (
            "/validate-entity",
            json!({"entity": {"kind": script}, "location": script}),
        ),
    ] {
        answers.push(post(&host, path, &json_type, body.to_string()).await);
    }
    for answer in answers {
        assert!((400..500).contains(&answer.status), "{}", answer.text);
        assert_eq!(
            answer.headers["content-type"],
            "application/json; charset=utf-8"
        );
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("script-src-attr 'none'"), "{policy}");
        answer.json();
    }
}

#[tokio::test]
async fn h19_what_a_proxy_would_say_is_not_believed() {
    let host = Host::new().await;
    let request = |name: &str, value: &str| {
        Request::post(format!("{CATALOG}/locations"))
            .header("authorization", format!("Bearer {}", host.operator))
            .header("content-type", "application/json")
            .header(name, value)
            .body(Body::from(
                json!({"type": "url", "target": format!("https://example.com/{name}")}).to_string(),
            ))
            .unwrap()
    };
    let long = "0".repeat(1_000_000);
    for (name, value) in [
        ("x-forwarded-for", "10.9.8.7"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "javascript"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "for=10.9.8.7;host=evil.test"),
        ("traceparent", "00-zz-zz-zz"),
        ("tracestate", long.as_str()),
        ("x-request-id", "a\tb"),
    ] {
        let answer = host.send(request(name, value)).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.text);
        for (header, echoed) in &answer.headers {
            let echoed = echoed.to_str().unwrap();
            assert!(
                !echoed.contains("evil") && !echoed.contains("10.9.8.7"),
                "{header}"
            );
        }
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    let audit = host.call("GET", "/admin/audit", None).await;
    assert_eq!(audit.status, 200);
    assert!(
        !audit.text.contains("10.9.8.7"),
        "the audit has the peer's own address"
    );
}

#[tokio::test]
async fn h20_no_origin_is_let_in_and_cookies_are_nothing() {
    let host = Host::new().await;
    for origin in ["null", "https://evil.test", "http://localhost:3000"] {
        let request = Request::get(format!("{CATALOG}/entities"))
            .header("authorization", format!("Bearer {}", host.operator))
            .header("origin", origin)
            .body(Body::empty())
            .unwrap();
        let answer = host.send(request).await;
        assert_eq!(answer.status, 200);
        no_cors(&answer);
        let preflight = Request::builder()
            .method("OPTIONS")
            .uri(format!("{CATALOG}/entities"))
            .header("origin", origin)
            .header("access-control-request-method", "DELETE")
            .header("access-control-request-headers", "authorization")
            .body(Body::empty())
            .unwrap();
        let answer = host.send(preflight).await;
        assert_eq!(answer.status, 401);
        no_cors(&answer);
    }
    for cookie in [
        host.operator.clone(),
        format!("token={}", host.operator),
        format!("authorization=Bearer {}", host.operator),
        format!("backstage-auth={}", host.operator),
    ] {
        let request = Request::get(format!("{CATALOG}/entities"))
            .header("cookie", cookie)
            .body(Body::empty())
            .unwrap();
        let answer = host.send(request).await;
        assert_eq!(answer.status, 401);
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

fn no_cors(answer: &Answer) {
    for name in answer.headers.keys() {
        assert!(!name.as_str().starts_with("access-control-"), "{name}");
    }
}

#[tokio::test]
async fn h05_paths_are_decoded_once_and_have_one_spelling() {
    let host = Host::new().await;
    for path in [
        "/entities/by-name/component/default",
        "/entities/by-name/component/default/a/b",
        "/entities/by-name/component%2Fdefault/a",
        "/entities;x=1",
        "/entities/../locations",
        "/%2e%2e/catalog/entities",
        "/./entities",
        "//locations",
        "/locations/",
        "/Locations",
        "/location%73",
    ] {
        let answer = host.catalog("GET", path, None).await;
        assert_eq!((answer.status, answer.text.as_str()), (404, ""), "{path}");
    }
    for (name, shown) in [
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("%00", "\0"),
        ("..%2F..", "../.."),
        ("a;b=c", "a;b=c"),
        ("a+b", "a+b"),
    ] {
        let path = format!("/entities/by-name/component/default/{name}");
        let answer = host.catalog("GET", &path, None).await;
        let said = format!(
            "No entity named '{shown}' found, with kind 'component' in namespace 'default'"
        );
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["error"]["message"], said);
    }
    for invalid in ["%FF", "a%zz", "%"] {
        let path = format!("/entities/by-name/component/default/{invalid}");
        assert_eq!(host.catalog("GET", &path, None).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn h17_what_a_link_header_echoes_is_encoded() {
    let host = Host::new().await;
    let entity = |name: &str| {
        json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name},
        })
    };
    host.provide(&[entity("a"), entity("b")]).await;
    let hostile = "%0D%0AX-Evil%3A%201%3E%3B%20rel%3D%22prev%22%C3%A4%00";
    let path = format!("/entities?limit=1&fields=metadata.name,{hostile}");
    let answer = host.catalog("GET", &path, None).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("x-evil"));
    let link = answer.headers["link"].to_str().unwrap();
    let target = link.strip_prefix('<').unwrap();
    let target = target.strip_suffix(">; rel=\"next\"").unwrap();
    assert!(!target.contains(['<', '>', '"', '\r', '\n', ' ']), "{link}");
    let next = host.catalog("GET", target, None).await;
    assert_eq!(
        next.json(),
        json!([{"metadata": {"name": "b"}}]),
        "it leads on"
    );
}

#[tokio::test]
async fn h22_a_refresh_by_key_has_a_bounded_number_of_keys() {
    let host = Host::new().await;
    let path = "/tenants/a/providers/scm/refresh";
    let keys = |count: usize| Some(json!({"keys": vec!["url:https://h.test/a.yaml"; count]}));
    let answer = host.call("POST", path, keys(100)).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"entities": 0}))
    );
    let answer = host.call("POST", path, keys(101)).await;
    assert_eq!(
        (answer.status, name_of(&answer)),
        (400, json!("InputError"))
    );
    assert!(
        answer
            .json()
            .to_string()
            .contains("100 fit into one request")
    );
    for body in [
        None,
        Some(json!({"keys": [1]})),
        Some(json!({"keys": [], "key": "x"})),
    ] {
        let answer = host.call("POST", path, body).await;
        assert_eq!(
            (answer.status, name_of(&answer)),
            (400, json!("InputError"))
        );
    }
    let answer = host
        .call("POST", "/tenants/a/providers/S_CM/refresh", keys(1))
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn h22_refreshes_are_one_piece_of_work_and_spellings_are_locations() {
    let host = Host::new().await;
    let json_type = [("content-type", "application/json")];
    let mut refs = Vec::new();
    for target in [
        "https://example.com/a.yaml",
        "HTTPS://EXAMPLE.COM:443/a.yaml",
        "https://example.com/./a.yaml",
        "https://example.com/a.yaml#x",
        "not a url",
    ] {
        let body = json!({"type": "url", "target": target}).to_string();
        let answer = post(&host, "/locations", &json_type, body).await;
        assert_eq!(answer.status, 201, "{target}");
        assert_eq!(
            answer.json()["location"]["target"],
            target,
            "as it was written"
        );
        refs.push(answer.json()["location"]["entityRef"].clone());
    }
    host.work().await;
    for _ in 0..100 {
        let body = json!({"entityRef": refs[0]}).to_string();
        let answer = post(&host, "/refresh", &json_type, body).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    }
    let worker = WorkerId("w".into());
    host.storage.renew_lease(&worker).await.unwrap();
    let claimed = host
        .storage
        .claim(&worker, 1_000, Slots::Any)
        .await
        .unwrap();
    let claimed: Vec<&str> = claimed.iter().map(|one| one.entity_ref.as_str()).collect();
    assert_eq!(claimed, [refs[0].as_str().unwrap()]);
}

/// 60 entities of 64 KiB are read a chunk at a time, and what is written between two chunks leaves no snapshot behind.
#[tokio::test]
async fn h13_a_slow_reader_holds_one_chunk_and_no_snapshot() {
    let host = Host::new().await;
    let large = "x".repeat(64 * 1024);
    let entities: Vec<Value> = (0..60)
        .map(|number| {
            json!({
                "apiVersion": "v1", "kind": "Component",
                "metadata": {"name": format!("e{number}"), "description": large},
            })
        })
        .collect();
    host.provide(&entities).await;
    let request = Request::get("/tenants/a/api/catalog/entities")
        .header("authorization", format!("Bearer {}", host.operator))
        .body(Body::empty())
        .unwrap();
    let mut body = host.begin(request).await.into_body();
    let (mut whole, mut chunks) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let chunk = frame.unwrap().into_data().unwrap();
        assert!(chunk.len() <= 1 << 20, "{} bytes are held", chunk.len());
        whole.extend_from_slice(&chunk);
        chunks += 1;
        host.queue(&[json!({
            "apiVersion": "v1", "kind": "Component", "metadata": {"name": format!("new{chunks}")},
        })])
        .await;
        // Whoever follows the log may be at it just now; a reader that sleeps would be at it for ever.
        for attempt in 0.. {
            host.storage.sweep().await.unwrap();
            if host.log_bytes() == 0 {
                break;
            }
            assert!(attempt < 50, "the log is kept for a reader");
        }
    }
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(whole.as_array().unwrap().len(), 60);
    assert!(chunks >= 60 * 64 / 1024, "{chunks} chunks");
}

/// Gives up a request at its nth await point; whether it had ended before.
async fn given_up(host: &Host, request: Request<Body>, points: usize) -> bool {
    let mut handling = Box::pin(host.begin(request));
    let mut left = points;
    std::future::poll_fn(|cx| match handling.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if left == 0 => Poll::Ready(false),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// A client that goes away at any await point of any kind of handler leaves no task, and what it began is whole or not at all.
#[tokio::test]
async fn h23_a_client_that_leaves_at_any_await_point_leaves_no_task() {
    let host = Host::new().await;
    let many: String = (0..600)
        .map(|number| {
            let entity = json!({
                "apiVersion": "v1", "kind": "Component", "metadata": {"name": format!("m{number}")},
            });
            format!("{}\n", json!({"add": {"entity": entity}}))
        })
        .chain([json!({"commit": {"count": 600}}).to_string()])
        .collect();
    host.provide(&[json!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "e"}})])
        .await;
    let component = "\0asm\x0d\0\x01\0".to_owned();
    let put = host.call("PUT", "/tenants/a/processors/p", Some(json!({})));
    assert!(put.await.status < 300);
    let requests: [(&str, &str, &str); 8] = [
        ("GET", "/tenants/a/api/catalog/entities", ""),
        (
            "GET",
            "/tenants/a/api/catalog/entities/by-name/component/default/e",
            "",
        ),
        (
            "POST",
            "/tenants/a/processing/component/default/e/refresh?wait=0",
            "",
        ),
        (
            "POST",
            "/tenants/a/processing/component/default/e/redrive",
            "",
        ),
        (
            "POST",
            "/tenants/a/processors/p/revisions?wait=0",
            &component,
        ),
        ("GET", "/tenants/a/changes?after=", ""),
        ("GET", "/tenants/a/processing?limit=1", ""),
        (
            "POST",
            "/tenants/a/providers/many/mutations?type=full",
            &many,
        ),
    ];
    for (method, path, body) in requests {
        for points in 0.. {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("authorization", format!("Bearer {}", host.operator))
                .body(Body::from(body.to_owned()))
                .unwrap();
            let ended = given_up(&host, request, points).await;
            host.quiet().await;
            if path.ends_with("type=full") {
                let key = "provider:many";
                let count = host.storage.count_provided(host.tenant, key).await.unwrap();
                assert!([0, 600].contains(&count), "{count} after {points}");
            }
            if ended {
                break;
            }
            assert!(points < 200, "{method} {path} does not end");
        }
    }
}
