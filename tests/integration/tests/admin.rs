//! Proves who may do what: tenants are made, listed and deleted by the operator alone; a token does what its scopes say, in its
//! tenant only; a revoked one does nothing; and no answer tells whether a foreign tenant exists.

use greenroom_test_support::{Client, TestHost};
use serde_json::{Value, json};

fn component(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team"},
    })
}

/// A client with a new token of that tenant, and the token's id.
async fn with_scopes(operator: &Client, tenant: &str, scopes: &[&str]) -> (Client, String) {
    let body = json!({"name": "test", "scopes": scopes});
    let path = format!("/admin/tenants/{tenant}/tokens");
    let made = operator.post(&path, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    let text = made["token"].as_str().expect("the token's text");
    let id = made["id"].as_str().expect("the token's id").to_owned();
    (operator.with_token(Some(text)), id)
}

async fn host_with(tenants: &[&str]) -> TestHost {
    let host = TestHost::builder().workers(0).start().await;
    for name in tenants {
        let made = host
            .client()
            .post("/admin/tenants", &json!({"name": name}))
            .await;
        assert_eq!(made.status, 201, "{}", made.body);
    }
    host
}

fn entities(tenant: &str) -> String {
    format!("/tenants/{tenant}/api/catalog/entities")
}

#[tokio::test]
async fn tenants_are_made_listed_and_deleted_by_the_operator() {
    let host = host_with(&["acme"]).await;
    let operator = host.client();
    let listed = operator.get("/admin/tenants").await.ok();
    let names: Vec<&str> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|tenant| tenant["name"].as_str())
        .collect();
    assert_eq!(names, ["acme", "default"]);

    let again = json!({"name": "acme"});
    let again = operator.post("/admin/tenants", &again).await;
    assert_eq!(again.error(409), "ConflictError");
    let bad = operator
        .post("/admin/tenants", &json!({"name": "Not A Name"}))
        .await;
    assert_eq!(bad.error(400), "InputError");

    assert_eq!(operator.get(&entities("acme")).await.ok(), json!([]));
    assert_eq!(operator.delete("/admin/tenants/acme").await.status, 204);
    assert_eq!(operator.get(&entities("acme")).await.status, 404);
    assert_eq!(operator.delete("/admin/tenants/acme").await.status, 404);

    let (admin, _) = with_scopes(operator, "default", &["admin"]).await;
    for reply in [
        admin.get("/admin/tenants").await,
        admin.post("/admin/tenants", &json!({"name": "mine"})).await,
        admin.delete("/admin/tenants/default").await,
        admin.get("/admin/audit").await,
        admin.post("/admin/tokens", &json!({"name": "mine"})).await,
    ] {
        assert_eq!(reply.error(403), "NotAllowedError");
    }
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say() {
    let host = host_with(&[]).await;
    let operator = host.client();
    let (reader, _) = with_scopes(operator, "default", &["read"]).await;
    let (writer, _) = with_scopes(operator, "default", &["write"]).await;
    let (deployer, _) = with_scopes(operator, "default", &["deploy"]).await;
    let (admin, _) = with_scopes(operator, "default", &["admin"]).await;

    for client in [&reader, &writer, &deployer, &admin] {
        assert_eq!(client.get(&entities("default")).await.status, 200);
    }
    for (client, may) in [
        (&reader, false),
        (&deployer, false),
        (&writer, true),
        (&admin, true),
    ] {
        let reply = client.push("default", "scopes", [component("a")]).await;
        assert_eq!(reply.status, if may { 200 } else { 403 }, "{}", reply.body);
    }
    for (client, may) in [
        (&reader, false),
        (&writer, false),
        (&deployer, true),
        (&admin, true),
    ] {
        let reply = client
            .post("/tenants/default/processors/mine", &json!({}))
            .await;
        assert_eq!(reply.status != 403, may, "{}", reply.body);
    }
    let path = "/admin/tenants/default/tokens";
    for (client, may) in [
        (&reader, false),
        (&writer, false),
        (&deployer, false),
        (&admin, true),
    ] {
        let body = json!({"name": "more", "scopes": ["read"]});
        let reply = client.post(path, &body).await;
        assert_eq!(reply.status, if may { 201 } else { 403 }, "{}", reply.body);
    }
    let raised = json!({"name": "more", "scopes": ["operator"]});
    assert_eq!(
        admin.post(path, &raised).await.error(403),
        "NotAllowedError"
    );
}

#[tokio::test]
async fn a_revoked_token_does_nothing() {
    let host = host_with(&[]).await;
    let operator = host.client();
    let (reader, id) = with_scopes(operator, "default", &["read"]).await;
    assert_eq!(reader.get(&entities("default")).await.status, 200);
    let path = format!("/admin/tenants/default/tokens/{id}");
    assert_eq!(operator.delete(&path).await.status, 204);
    let refused = reader.get(&entities("default")).await;
    assert_eq!(refused.error(401), "AuthenticationError");

    let listed = operator.get("/admin/tenants/default/tokens").await;
    assert!(!listed.body.contains("gr_"), "{}", listed.body);
    let listed = listed.ok();
    let revoked = listed["items"]
        .as_array()
        .and_then(|items| items.iter().find(|one| one["id"] == *id))
        .expect("a revoked token stays listed");
    assert!(revoked["revokedAt"].is_string(), "{revoked}");

    for token in [
        None,
        Some("gr_0000000000000000_nothing"),
        Some("x"),
        Some(""),
    ] {
        let reply = operator.with_token(token).get(&entities("default")).await;
        assert_eq!(reply.error(401), "AuthenticationError");
    }
}

#[tokio::test]
async fn i02_a_foreign_tenant_is_refused_whether_it_exists_or_not() {
    let host = host_with(&["acme", "other"]).await;
    let operator = host.client();
    let (stranger, _) = with_scopes(operator, "acme", &["admin"]).await;
    let pushed = operator.push("other", "p", [component("secret")]).await;
    assert_eq!(pushed.ok()["added"], 1);
    for path in [
        "/tenants/{}/api/catalog/entities",
        "/tenants/{}/api/catalog/entities/by-name/component/default/secret",
        "/tenants/{}/processing",
        "/tenants/{}/processors",
        "/admin/tenants/{}/tokens",
    ] {
        let foreign = stranger.get(&path.replace("{}", "other")).await;
        let absent = stranger.get(&path.replace("{}", "nobody")).await;
        assert_eq!(foreign.error(403), "NotAllowedError");
        assert_eq!(foreign.status, absent.status);
        let told = |text: &str| text.replace("other", "x").replace("nobody", "x");
        assert_eq!(told(&foreign.body), told(&absent.body));
    }
    let reply = stranger.push("other", "p", [component("planted")]).await;
    assert_eq!(reply.error(403), "NotAllowedError");
    assert_eq!(stranger.get(&entities("acme")).await.ok(), json!([]));
}
