//! Uploads and what becomes of revisions, without a worker: the tests say what an inspection found.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use greenroom_model::{Digest, ProcessorName};
use greenroom_storage::RevisionState;
use http::Request;
use serde_json::{Value, json};

use super::host::{Answer, Host};

const P: &str = "/tenants/a/processors/p";

/// A component in name: what the API looks at is its beginning.
fn component(bytes: usize, salt: u8) -> Vec<u8> {
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.resize(bytes, salt);
    component
}

async fn upload_as(host: &Host, token: &str, tenant: &str, body: Body) -> Answer {
    let path = format!("/tenants/{tenant}/processors/p/revisions?wait=0");
    let request = Request::post(path).header("authorization", format!("Bearer {token}"));
    host.send(request.body(body).unwrap()).await
}

async fn upload(host: &Host, body: impl Into<Body>) -> Answer {
    upload_as(host, &host.operator, "a", body.into()).await
}

/// A body that comes in pieces without a length, and fails after the last if it is told to.
fn pieces(bytes: &[u8], size: usize, lost: bool) -> Body {
    let mut pieces: Vec<Result<Bytes, std::io::Error>> = bytes
        .chunks(size)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    if lost {
        pieces.push(Err(std::io::Error::other("connection lost")));
    }
    Body::from_stream(stream::iter(pieces))
}

async fn with_processor() -> Host {
    let host = Host::new().await;
    for tenant in ["a", "b"] {
        let path = format!("/tenants/{tenant}/processors/p");
        assert_eq!(host.call("PUT", &path, None).await.status, 201);
    }
    host
}

async fn revisions(host: &Host) -> Vec<Value> {
    let listed = host.call("GET", &format!("{P}/revisions"), None).await;
    listed.json()["items"].as_array().unwrap().clone()
}

/// However the body is cut, what is stored is what was sent.
#[tokio::test]
async fn an_upload_comes_back_as_it_was_sent() {
    let host = with_processor().await;
    for (salt, (size, piece)) in
        (1..).zip([(8, 1), (65_536, 1_000), (65_537, 65_537), (400_000, 70_001)])
    {
        let bytes = component(size, salt);
        let answer = upload(&host, pieces(&bytes, piece, false)).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let uploaded = answer.json();
        assert_eq!(uploaded["digest"], Digest::of(&bytes).to_string());
        assert_eq!(uploaded["bytes"], size);
        let at = format!("{P}/revisions/{}", uploaded["number"]);
        let found = host.call("GET", &at, None).await;
        assert_eq!(found.json()["digest"], uploaded["digest"]);
        let downloaded = host.call("GET", &format!("{at}/component"), None).await;
        assert_eq!(downloaded.bytes, bytes);
        assert_eq!(downloaded.headers["content-type"], "application/wasm");
        assert!(
            downloaded.headers["content-disposition"]
                .to_str()
                .unwrap()
                .starts_with("attachment")
        );
        let tag = downloaded.headers["etag"].to_str().unwrap();
        assert_eq!(tag.trim_matches('"'), uploaded["digest"].as_str().unwrap());
    }
    for missing in ["9", "0", "-1", "1.0", "99999999999", "x"] {
        for rest in ["", "/component"] {
            let at = format!("{P}/revisions/{missing}{rest}");
            assert_eq!(host.call("GET", &at, None).await.status, 404, "{at}");
        }
    }
    let token = host
        .token(Some(host.tenant), &[greenroom_storage::Scope::Read])
        .await;
    let at = format!("{P}/revisions/1");
    assert_eq!(host.call_as(&token, "GET", &at, None).await.status, 200);
    let at = format!("{at}/component");
    assert_eq!(host.call_as(&token, "GET", &at, None).await.status, 403);
}

/// At the cap without a length, before a byte with one, and when the body is shorter than it says.
#[tokio::test]
async fn a06_an_upload_is_stopped_at_the_cap_and_nothing_of_it_stays() {
    let host = with_processor().await;
    let large = component(32 * 1024 * 1024 + 1, 1);
    let answer = upload(&host, pieces(&large, 1 << 20, false)).await;
    assert_eq!(answer.status, 413);
    let declared = async |length: &str| {
        let request = Request::post(format!("{P}/revisions"))
            .header("authorization", format!("Bearer {}", host.operator))
            .header("content-length", length);
        host.send(request.body(pieces(&component(100, 1), 10, false)).unwrap())
            .await
    };
    assert_eq!(declared("10737418240").await.status, 413);
    assert_eq!(declared("101").await.status, 400);
    assert!(revisions(&host).await.is_empty());
    host.quiet().await;
    assert_eq!(host.storage.sweep().await.unwrap(), 0);
}

/// The patience is real time: 10 s of silence.
#[tokio::test]
async fn a06_an_upload_that_stalls_is_given_up() {
    let host = with_processor().await;
    let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from(component(70_000, 1)))]);
    let body = Body::from_stream(first.chain(stream::pending()));
    let answer = upload(&host, body).await;
    assert_eq!(answer.status, 408);
    host.quiet().await;
    assert_eq!(host.storage.sweep().await.unwrap(), 0);
    assert!(revisions(&host).await.is_empty());
}

#[tokio::test]
async fn a07_an_upload_that_is_cut_off_leaves_nothing_and_may_be_repeated() {
    let host = with_processor().await;
    let bytes = component(300_000, 1);
    let cut = upload(&host, pieces(&bytes[..297_000], 10_000, true)).await;
    assert_eq!(cut.status, 400);
    assert!(revisions(&host).await.is_empty());
    host.quiet().await;
    assert_eq!(
        host.storage.sweep().await.unwrap(),
        0,
        "the pieces are gone already"
    );
    assert_eq!(upload(&host, bytes).await.status, 202);
    assert_eq!(revisions(&host).await.len(), 1);
}

#[tokio::test]
async fn a17_known_bytes_are_the_same_revision_of_their_tenant_only() {
    let host = with_processor().await;
    let bytes = component(1_000, 1);
    let first = upload(&host, bytes.clone()).await;
    assert_eq!(first.status, 202);
    // Still inspecting: inspected once more, under the same number.
    let again = upload(&host, bytes.clone()).await;
    assert_eq!((again.status, &again.json()["number"]), (202, &json!(1)));
    let rejected = RevisionState::Rejected {
        reason: "no".into(),
    };
    assert!(host.finish_inspection("p", 1, rejected).await);
    let known = upload(&host, bytes.clone()).await;
    assert_eq!(
        (known.status, &known.json()["state"]),
        (200, &json!("rejected"))
    );
    assert_eq!(revisions(&host).await.len(), 1);
    host.quiet().await;
    assert_eq!(
        host.storage.sweep().await.unwrap(),
        0,
        "no second copy is left"
    );

    let other = upload_as(&host, &host.operator, "b", bytes.into()).await;
    assert_eq!(
        (other.status, &other.json()["state"]),
        (202, &json!("inspecting"))
    );
}

#[tokio::test]
async fn a19_only_a_ready_revision_becomes_current_and_what_is_needed_stays() {
    let host = with_processor().await;
    let activate = async |number: u64| {
        let body = json!({"revision": number});
        host.call("POST", &format!("{P}/activate"), Some(body))
            .await
    };
    let delete = async |number: u64| {
        host.call("DELETE", &format!("{P}/revisions/{number}"), None)
            .await
            .status
    };
    let (first, second) = (
        host.revision("p", None).await,
        host.revision("p", None).await,
    );
    let inspecting = upload(&host, component(100, 1)).await.json()["number"]
        .as_u64()
        .unwrap();
    let rejected = upload(&host, component(100, 2)).await.json()["number"]
        .as_u64()
        .unwrap();
    let state = RevisionState::Rejected {
        reason: "imports too much".into(),
    };
    assert!(
        host.finish_inspection("p", u32::try_from(rejected).unwrap(), state)
            .await
    );
    let (first, second) = (u64::from(first), u64::from(second));

    let found = host
        .call("GET", &format!("{P}/revisions/{first}"), None)
        .await
        .json();
    assert_eq!(
        found["track"], "0.1",
        "beside what the revision says of itself"
    );
    assert_eq!(found["descriptor"]["track"], Value::Null);
    assert_eq!(activate(first).await.status, 200);
    for (number, status) in [
        (inspecting, 409),
        (rejected, 409),
        (99, 404),
        (0, 400),
        (1 << 40, 404),
    ] {
        assert_eq!(activate(number).await.status, status, "{number}");
    }
    let told = activate(rejected).await.json()["error"]["message"].to_string();
    assert!(told.contains("imports too much"), "{told}");
    let other = host
        .call(
            "POST",
            "/tenants/b/processors/p/activate",
            Some(json!({"revision": first})),
        )
        .await;
    assert_eq!(other.status, 404);
    let current = async || host.call("GET", P, None).await.json()["current"].clone();
    assert_eq!(current().await, first);

    assert_eq!(delete(first).await, 409);
    // Two at once are ordered, and both are in the audit log.
    let (one, two) = tokio::join!(activate(second), activate(second));
    assert_eq!((one.status, two.status), (200, 200));
    let audit = host.call("GET", "/admin/audit?tenant=a", None).await;
    assert_eq!(audit.text.matches("\"activate_revision\"").count(), 3);
    assert_eq!((delete(second).await, delete(first).await), (409, 409));
    assert_eq!(
        (delete(inspecting).await, delete(rejected).await),
        (204, 204)
    );
    assert_eq!(
        (delete(rejected).await, activate(rejected).await.status),
        (404, 404)
    );
    assert_eq!(revisions(&host).await.len(), 2);
    let back = host.call("POST", &format!("{P}/rollback"), None).await;
    assert_eq!(back.json()["current"], first);
}

#[tokio::test]
async fn a_processor_that_is_off_is_in_no_pipeline() {
    let host = with_processor().await;
    let number = host.revision("p", None).await;
    let body = json!({"revision": number});
    assert_eq!(
        host.call("POST", &format!("{P}/activate"), Some(body))
            .await
            .status,
        200
    );
    let pipeline = async || {
        host.storage
            .pipeline(host.tenant)
            .await
            .unwrap()
            .processors
            .len()
    };
    assert_eq!(pipeline().await, 1);
    for (enabled, expected) in [(false, 0), (true, 1)] {
        let settings = json!({"enabled": enabled});
        let put = host
            .call("PUT", &format!("{P}/settings"), Some(settings))
            .await;
        assert_eq!(put.status, 200);
        assert_eq!(pipeline().await, expected);
    }
    let name = ProcessorName::parse("p").unwrap();
    let kept = host
        .storage
        .find_processor(host.tenant, &name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.current, Some(number));
}
