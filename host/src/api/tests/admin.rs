//! Tenants, tokens and the audit log.

use serde_json::json;

use crate::api::tests::host::Host;

#[tokio::test]
async fn a_token_is_shown_once_works_and_is_revoked() {
    let host = Host::new().await;
    let made = host
        .call(
            "POST",
            "/admin/tenants/a/tokens",
            Some(json!({"name": "ci", "scopes": ["read"]})),
        )
        .await;
    assert_eq!(made.status, 201);
    let body = made.json();
    let token = body["token"].as_str().unwrap();
    let entities = "/tenants/a/api/catalog/entities";
    assert_eq!(host.call_as(token, "GET", entities, None).await.status, 200);
    let listed = host.call("GET", "/admin/tenants/a/tokens", None).await;
    assert!(!listed.text.contains(token) && listed.text.contains("\"ci\""));
    let path = format!("/admin/tenants/a/tokens/{}", body["id"].as_str().unwrap());
    assert_eq!(host.call("DELETE", &path, None).await.status, 204);
    assert_eq!(host.call_as(token, "GET", entities, None).await.status, 401);
    let audit = host.call("GET", "/admin/audit", None).await;
    assert!(
        audit.text.contains("create_token")
            && audit.text.contains("revoke_token")
            && !audit.text.contains(token)
    );
}

#[tokio::test]
async fn i04_a_tenant_comes_and_goes() {
    let host = Host::new().await;
    let create = || host.call("POST", "/admin/tenants", Some(json!({"name": "c"})));
    assert_eq!(create().await.status, 201);
    assert_eq!(create().await.status, 409);
    let made = host
        .call(
            "POST",
            "/admin/tenants/c/tokens",
            Some(json!({"scopes": ["read"]})),
        )
        .await
        .json();
    let token = made["token"].as_str().unwrap();
    let entities = "/tenants/c/api/catalog/entities";
    assert_eq!(host.call_as(token, "GET", entities, None).await.status, 200);
    assert_eq!(
        host.call("DELETE", "/admin/tenants/c", None).await.status,
        204
    );
    assert_eq!(
        host.call("DELETE", "/admin/tenants/c", None).await.status,
        404
    );
    assert_eq!(create().await.status, 201);
    assert_ne!(host.call_as(token, "GET", entities, None).await.status, 200);
}
