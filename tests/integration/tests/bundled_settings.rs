//! Proves that a tenant turns bundled processors on, sets them up and turns them off over HTTP, with the real host: a catalog that
//! nobody set up behaves as Backstage's default backend, and what is set decides from the next run on, by its configuration and
//! its grants, for that tenant.

use std::net::SocketAddr;
use std::time::Duration;

use greenroom_test_support::{Client, TestHost, quiet, wait_until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const TENANT: &str = "default";
const BOUND: Duration = Duration::from_secs(60);

/// The repositories `o/r` and `o/other` of a source host, as it serves raw files.
fn file(path: &str, host: SocketAddr) -> Option<String> {
    Some(match path {
        "/raw/o/r/main/svc/catalog-info.yaml" => "\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: shop}
spec: {type: service}
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: orders, description: Orders}
spec:
  type: openapi
  owner: someone
  lifecycle: experimental
  definition: {$openapi: ./openapi.yaml}
"
        .to_owned(),
        "/raw/o/r/main/svc/openapi.yaml" => format!(
            "openapi: 3.1.0\norder: {{$ref: schemas/order.json}}\nshared: {{$ref: 'http://{host}/o/other/blob/main/shared.yaml'}}\n"
        ),
        "/raw/o/r/main/svc/schemas/order.json" => r#"{"type": "object"}"#.to_owned(),
        "/raw/o/other/main/shared.yaml" => "type: string\n".to_owned(),
        "/raw/o/r/main/.github/CODEOWNERS" => "* @o/everyone\n/svc/ @o/shop\n".to_owned(),
        _ => return None,
    })
}

async fn serve(listener: TcpListener, host: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that goes away is no failure of the server.
        let _ = answer(stream, host).await;
    }
}

async fn answer(mut stream: TcpStream, host: SocketAddr) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await? {
            0 => return Ok(()),
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match file(path, host) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn config(host: SocketAddr) -> String {
    format!(
        "private_networks = [\"127.0.0.0/8\"]
[tenants.default]
[[tenants.default.integrations.github]]
host = \"{host}\"
rawBaseUrl = \"http://{host}/raw\"
[[tenants.default.reading.allow]]
host = \"{host}\"
"
    )
}

async fn set(client: &Client, processor: &str, settings: Value) {
    let path = format!("/tenants/{TENANT}/processors/{processor}/settings");
    client.put(&path, &settings).await.ok();
}

/// The processing state of an entity, once nothing waits.
async fn state(client: &Client, entity_ref: &str) -> Value {
    let states = quiet(client, TENANT, BOUND).await;
    let found = states
        .into_iter()
        .find(|state| state["entityRef"] == entity_ref);
    found.unwrap_or_else(|| panic!("{entity_ref} is known"))
}

/// The entity, once it is served with that at the pointer.
async fn served(client: &Client, entity_ref: &str, pointer: &str, wanted: &Value) -> Value {
    wait_until(&format!("{entity_ref} has {wanted}"), BOUND, async || {
        let entity = client.entity(TENANT, entity_ref).await?;
        (entity.pointer(pointer) == Some(wanted)).then_some(entity)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bundled_processors_are_what_a_tenant_makes_of_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let source = listener.local_addr().expect("its address");
    let server = tokio::spawn(serve(listener, source));
    let host = TestHost::builder()
        .config_toml(config(source))
        .start()
        .await;
    let client = host.client();
    let (shop, orders) = ("component:default/shop", "api:default/orders");

    // As it ships: nobody gives an owner, and `$openapi` means nothing.
    let location = json!({
        "type": "url", "target": format!("http://{source}/o/r/blob/main/svc/catalog-info.yaml")
    });
    let path = format!("/tenants/{TENANT}/api/catalog/locations");
    client.post(&path, &location).await.ok();
    wait_until("the location is read", BOUND, async || {
        let states = quiet(client, TENANT, BOUND).await;
        let known = |name: &str| states.iter().any(|state| state["entityRef"] == name);
        (known(shop) && known(orders)).then_some(())
    })
    .await;
    assert!(client.entity(TENANT, shop).await.is_none());
    assert!(client.entity(TENANT, orders).await.is_none());
    let failed = state(client, orders).await;
    assert!(
        failed["diagnostics"]
            .to_string()
            .contains("/spec/definition"),
        "{failed}"
    );

    set(client, "codeowners", json!({})).await;
    set(
        client,
        "annotate-scm-slug",
        json!({"subscription": [{"kinds": ["Component", "API"]}]}),
    )
    .await;
    let rule = |lifecycle: &str| json!({"config": {"rules": [{"kinds": ["Component"], "values": {"spec": {"lifecycle": lifecycle}}}]}});
    set(client, "default-values", rule("production")).await;
    let entity = served(client, shop, "/spec/owner", &json!("shop")).await;
    assert_eq!(entity["spec"]["lifecycle"], "production");
    let slug = json!("o/r");
    served(
        client,
        shop,
        "/metadata/annotations/github.com~1project-slug",
        &slug,
    )
    .await;

    // Another configuration is another input of the same entity.
    set(client, "default-values", rule("deprecated")).await;
    served(client, shop, "/spec/lifecycle", &json!("deprecated")).await;

    // What is required is told, and rejects only where the rule says so.
    let required = |level: &str| json!({"config": {"rules": [{"fields": ["metadata.description"], "level": level, "message": "say what it is"}]}});
    set(client, "required-fields", required("warning")).await;
    let told = wait_until("the warning is told", BOUND, async || {
        let state = state(client, shop).await;
        (state["diagnostics"] != json!([])).then_some(state)
    })
    .await;
    assert_eq!(
        (&told["status"], &told["diagnostics"][0]["level"]),
        (&json!("ok"), &json!("warning"))
    );
    set(client, "required-fields", required("error")).await;
    let rejected = wait_until("the run is rejected", BOUND, async || {
        let state = state(client, shop).await;
        (state["status"] != "ok").then_some(state)
    })
    .await;
    let message = "`metadata.description` must be set on a Component: say what it is";
    assert!(
        rejected["diagnostics"].to_string().contains(message),
        "{rejected}"
    );
    let kept = client
        .entity(TENANT, shop)
        .await
        .expect("its last good state");
    assert_eq!(kept["spec"]["lifecycle"], "deprecated");
    set(client, "required-fields", json!({"enabled": false})).await;
    wait_until("it is well again", BOUND, async || {
        (state(client, shop).await["status"] == "ok").then_some(())
    })
    .await;

    // Another repository is read under a grant, and under no other.
    set(client, "openapi", json!({})).await;
    let refused = wait_until("the read is refused", BOUND, async || {
        let state = state(client, orders).await;
        let said = state["diagnostics"].to_string();
        said.contains("Placeholder $openapi").then_some(said)
    })
    .await;
    assert!(
        refused.contains("/o/other/blob/main/shared.yaml")
            || refused.contains("/o/other/tree/main/shared.yaml"),
        "{refused}"
    );
    let grants = json!({"grants": ["location", format!("http://{source}/o/other/")]});
    set(client, "openapi", grants).await;
    let definition = "openapi: 3.1.0\norder:\n  type: object\nshared:\n  type: string\n";
    let entity = served(client, orders, "/spec/definition", &json!(definition)).await;
    assert_eq!(
        entity["metadata"]["annotations"]["github.com/project-slug"],
        "o/r"
    );

    let listed = client
        .get(&format!("/tenants/{TENANT}/processors"))
        .await
        .ok();
    let on: Vec<&str> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(|one| one["settings"]["enabled"] == true)
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(
        on,
        [
            "annotate-location",
            "annotate-scm-slug",
            "builtin-kinds",
            "codeowners",
            "default-values",
            "file-reader",
            "openapi",
            "placeholder",
            "template-kind",
            "url-reader"
        ]
    );
    server.abort();
}

/// A kind that nobody validates any more is a kind that nobody knows: also what is on by default can be turned off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_by_default_can_be_turned_off() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    set(client, "template-kind", json!({"enabled": false})).await;
    let entity = |kind: &str, version: &str, spec: Value| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec});
    let template = entity(
        "Template",
        "scaffolder.backstage.io/v1beta3",
        json!({"type": "service", "steps": []}),
    );
    let component = entity(
        "Component",
        "backstage.io/v1alpha1",
        json!({"type": "service", "lifecycle": "production", "owner": "core"}),
    );
    client.push(TENANT, "p", [template, component]).await.ok();
    let template = state(client, "template:default/x").await;
    assert!(
        template["diagnostics"]
            .to_string()
            .contains("No processor recognized"),
        "{template}"
    );
    assert!(client.entity(TENANT, "component:default/x").await.is_some());
    set(client, "template-kind", json!({})).await;
    wait_until("the template is served", BOUND, async || {
        client.entity(TENANT, "template:default/x").await
    })
    .await;
}
