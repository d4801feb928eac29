//! Processors, uploads and mutations.

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::api::tests::host::{Answer, Host};

async fn upload(host: &Host, bytes: &[u8], encoding: Option<&str>) -> Answer {
    let mut request = Request::post("/tenants/a/processors/p/revisions?wait=0")
        .header("authorization", format!("Bearer {}", host.operator));
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    host.send(request.body(Body::from(bytes.to_vec())).unwrap())
        .await
}

#[tokio::test]
async fn a01_a02_a03_a04_a06_bad_uploads_leave_no_revision() {
    let host = Host::new().await;
    assert_eq!(
        host.call("PUT", "/tenants/a/processors/builtin-kinds", None)
            .await
            .status,
        409
    );
    assert_eq!(upload(&host, b"\0asm\x0d\0\x01\0", None).await.status, 404);
    assert_eq!(
        host.call("PUT", "/tenants/a/processors/p", None)
            .await
            .status,
        201
    );
    assert_eq!(
        host.call("PUT", "/tenants/a/processors/p", None)
            .await
            .status,
        200
    );
    let bad: [&[u8]; 5] = [
        b"",
        b"(component)",
        b"\0asm\x01\0\0\0",
        b"\x7fELF1234",
        b"\x1f\x8b123456",
    ];
    for bytes in bad {
        assert_eq!(upload(&host, bytes, None).await.status, 400, "{bytes:?}");
    }
    assert_eq!(
        upload(&host, b"\0asm\x0d\0\x01\0", Some("gzip"))
            .await
            .status,
        415
    );
    assert_eq!(
        upload(&host, &vec![0; 32 * 1024 * 1024 + 1], None)
            .await
            .status,
        413
    );
    let revisions = host
        .call("GET", "/tenants/a/processors/p/revisions", None)
        .await;
    assert_eq!(revisions.json()["items"], json!([]));
}

/// Archives that hold a good component, whole; and a good component under an encoding. Nothing is unpacked.
#[tokio::test]
async fn a04_archives_and_encoded_bodies_are_refused_with_what_they_look_like() {
    let host = Host::new().await;
    let made = host.call("PUT", "/tenants/a/processors/p", None).await;
    assert_eq!(made.status, 201);
    let good = b"\0asm\x0d\0\x01\0";
    // A stored member of gzip and of zip, a block of tar, and the first blob of an OCI layout as a registry hands it out.
    let length = u16::try_from(good.len()).unwrap();
    let gzip = [
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01".as_slice(),
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        good,
        &[0; 8],
    ]
    .concat();
    let zip = [
        b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice(),
        &u32::from(length).to_le_bytes(),
        &u32::from(length).to_le_bytes(),
        b"\x01\0\0\0a",
        good,
    ]
    .concat();
    let mut tar = vec![0; 1024];
    tar[..1].copy_from_slice(b"a");
    tar[257..263].copy_from_slice(b"ustar\0");
    tar[512..512 + good.len()].copy_from_slice(good);
    let oci = br#"{"schemaVersion":2,"layers":[{"mediaType":"application/wasm"}]}"#.to_vec();
    for (bytes, name) in [
        (gzip, "gzip"),
        (zip, "zip"),
        (tar, "tar"),
        (oci, "JSON, perhaps an OCI manifest"),
    ] {
        let answer = upload(&host, &bytes, None).await;
        assert_eq!(answer.status, 400, "{name}");
        let expected = format!("looks like {name}: send the component's bytes");
        assert_eq!(answer.json()["error"]["message"], expected);
    }
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, gzip"] {
        let answer = upload(&host, good, Some(encoding)).await;
        assert_eq!(answer.status, 415, "{encoding}");
        let told = answer.json()["error"]["message"].to_string();
        assert!(
            told.contains("send the body without content-encoding"),
            "{told}"
        );
    }
    let revisions = host
        .call("GET", "/tenants/a/processors/p/revisions", None)
        .await;
    assert_eq!(revisions.json()["items"], json!([]));
    assert_eq!(
        host.storage.sweep().await.unwrap(),
        0,
        "and no piece of one is left"
    );
}

#[tokio::test]
async fn an_upload_waits_for_its_inspection() {
    let host = Host::new().await;
    host.call(
        "PUT",
        "/tenants/a/processors/p",
        Some(json!({"priority": 5, "grants": ["origin"]})),
    )
    .await;
    let answer = upload(&host, b"\0asm\x0d\0\x01\0", None).await;
    assert_eq!(
        (answer.status, &answer.json()["state"]),
        (202, &json!("inspecting"))
    );
    let run = answer.headers["location"].to_str().unwrap();
    assert_eq!(
        host.call("GET", run, None).await.json()["kind"],
        "inspect-revision"
    );
    let activate = host
        .call(
            "POST",
            "/tenants/a/processors/p/activate",
            Some(json!({"revision": 1})),
        )
        .await;
    assert_eq!(activate.status, 409);
    let missing = host
        .call(
            "POST",
            "/tenants/a/processors/p/activate",
            Some(json!({"revision": 2})),
        )
        .await;
    assert_eq!(missing.status, 404);
    assert_eq!(
        host.call("POST", "/tenants/a/processors/p/rollback", None)
            .await
            .status,
        409
    );
    assert_eq!(
        host.call("GET", "/tenants/a/processors/p/faults", None)
            .await
            .json()["items"],
        json!([])
    );
    let bad = host
        .call(
            "PUT",
            "/tenants/a/processors/p/settings",
            Some(json!({"grants": ["file:///"]})),
        )
        .await;
    assert_eq!(bad.status, 400);
    assert_eq!(
        host.call("DELETE", "/tenants/a/processors/p", None)
            .await
            .status,
        204
    );
    assert_eq!(
        host.call("GET", "/tenants/a/processors/p", None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn h21_a_full_mutation_that_shrinks_asks_first() {
    let host = Host::new().await;
    let entity = |number: usize| json!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": format!("c{number}")}});
    let entities: Vec<_> = (0..20).map(entity).collect();
    host.provide(&entities).await;
    let send = async |query: &str| {
        let body = format!(
            "{}\n{}\n",
            json!({"add": {"entity": entity(0)}}),
            json!({"commit": {"count": 1}})
        );
        let request = Request::post(format!(
            "/tenants/a/providers/test/mutations?type=full{query}"
        ))
        .header("authorization", format!("Bearer {}", host.operator))
        .body(Body::from(body))
        .unwrap();
        host.send(request).await
    };
    let refused = send("").await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("1 of 20")
    );
    let allowed = send("&allow_shrink=true").await;
    assert_eq!(
        (allowed.status, &allowed.json()["removed"]),
        (200, &json!(19))
    );
    let state = host
        .call("GET", "/tenants/a/processing/component:default%2Fc0", None)
        .await;
    assert_eq!(state.json()["served"], true);
    let same = host
        .call("GET", "/tenants/a/processing/component/default/c0", None)
        .await;
    assert_eq!(same.text, state.text);
    let listed = host
        .call("GET", "/tenants/a/processing?limit=1&status=ok", None)
        .await;
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        host.call("GET", "/tenants/a/processing/conflicts", None)
            .await
            .json()["items"],
        json!([])
    );
}
