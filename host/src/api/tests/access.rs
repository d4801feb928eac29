//! Who gets in, and what everybody else is told.

use std::time::{Duration, Instant};

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

/// Two processes over one catalog: what one does to a token the other heeds within 5 s, and at once what the clock does.
#[tokio::test]
async fn i06_revocation_expiry_and_a_later_start_hold_on_every_process() {
    let host = Host::new().await;
    let other = host.another();
    let tokens = "/admin/tenants/a/tokens";
    let make = async |body| {
        let made = host.call("POST", tokens, Some(body)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let made = made.json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("token"))
    };
    let status = async |process: &Host, token: &str| {
        let answer = process.call_as(token, "GET", ENTITIES, None).await;
        answer.status
    };
    let now = greenroom_model::Clock::now(&*host.clock);
    let (start, end) = (now.plus_ms(300_000), now.plus_ms(600_000));
    let body = json!({"scopes": ["read"], "notBefore": start, "expiresAt": end});
    let (_, timed) = make(body).await;
    let (id, revoked) = make(json!({"scopes": ["read"]})).await;
    for process in [&host, &other] {
        assert_eq!(status(process, &timed).await, 401, "not yet valid");
        assert_eq!(status(process, &revoked).await, 200);
    }
    host.clock.advance(300_000);
    assert_eq!(
        (status(&host, &timed).await, status(&other, &timed).await),
        (200, 200)
    );
    host.clock.advance(299_999);
    assert_eq!(status(&other, &timed).await, 200);
    host.clock.advance(1);
    assert_eq!(
        (status(&host, &timed).await, status(&other, &timed).await),
        (401, 401)
    );

    let began = Instant::now();
    let path = format!("{tokens}/{id}");
    assert_eq!(host.call("DELETE", &path, None).await.status, 204);
    assert_eq!(
        status(&host, &revoked).await,
        401,
        "at once where it was done"
    );
    while status(&other, &revoked).await == 200 {
        assert!(
            began.elapsed() < Duration::from_secs(6),
            "{:?}",
            began.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn i07_guesses_are_answered_alike_and_run_out() {
    let host = Host::new().await;
    let known = host.token(Some(host.tenant), &[Scope::Read]).await;
    let ask = async |token: &str| host.call_as(token, "GET", ENTITIES, None).await;
    let wrong = ask("gr_0000000000000000_00").await;
    assert_eq!(wrong.status, 401);
    // One wrong character, wherever it is, and any id.
    let (id, secret) = known.strip_prefix("gr_").unwrap().split_once('_').unwrap();
    for at in [0, 1, secret.len() / 2, secret.len() - 1] {
        let mut guess = secret.to_owned();
        let other = if guess.as_bytes()[at] == b'0' {
            "1"
        } else {
            "0"
        };
        guess.replace_range(at..=at, other);
        let answer = ask(&format!("gr_{id}_{guess}")).await;
        assert_eq!((answer.status, &answer.text), (401, &wrong.text));
    }
    assert_eq!(ask(&known).await.status, 200);
    // With one id that is there, and with one that is not: as many, and the same answer.
    let mut last = Vec::new();
    for (id, already) in [(id, 4), ("0000000000000000", 1)] {
        let mut taken = already;
        let refused = loop {
            let answer = ask(&format!("gr_{id}_11")).await;
            if answer.status != 401 {
                break answer;
            }
            taken += 1;
        };
        assert_eq!((refused.status, taken), (429, 20), "{}", refused.text);
        last.push((refused.headers["retry-after"].clone(), refused.text));
    }
    assert_eq!(last[0], last[1]);
    // The rest of the address's guesses, by other ids.
    let mut taken = 40;
    for n in 1..100_usize {
        if ask(&format!("gr_{n:016x}_11")).await.status == 429 {
            break;
        }
        taken += 1;
    }
    assert_eq!(taken, 60);
    let newcomer = host.token(Some(host.tenant), &[Scope::Read]).await;
    assert_eq!(ask(&newcomer).await.status, 429, "not even looked at");
    assert_eq!(
        ask(&known).await.status,
        200,
        "who was let in before is not locked out"
    );
    host.clock.advance(1_000);
    assert_eq!(ask(&newcomer).await.status, 200);
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
