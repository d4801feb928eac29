//! Proves that the real `@backstage/catalog-client` works against a running host: every method of it, and every way in which it
//! reads a status. A location that is added is read from an HTTP server of this test that the host's configuration allows.
//! The checks are in `tests/integration/node/client.mjs`. Without node or its packages the test is skipped, aloud; on CI
//! (`CI=true`) that is a failure.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use greenroom_integration_tests::node_checks;
use greenroom_test_support::{TestHost, quiet};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const DESCRIPTOR: &str = "\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: added-by-the-client
spec:
  type: service
  lifecycle: experimental
  owner: shop
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata:
  name: added-by-the-client
spec:
  type: openapi
  lifecycle: experimental
  owner: shop
  definition: 'openapi: 3.1.0'
";

/// Answers every request for `/catalog-info.yaml` with the descriptor, and others with 404, until it is aborted.
async fn serve(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        // A client that goes away is no failure of the server.
        let _ = answer(stream).await;
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await? {
            0 => return Ok(()),
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let (status, body) = if request.starts_with(b"GET /catalog-info.yaml ") {
        ("200 OK", DESCRIPTOR)
    } else {
        ("404 Not Found", "")
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/yaml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// The example catalog, and a reader that may read the test's own server.
fn config(files: SocketAddr) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example/catalog");
    let example = example.canonicalize().expect("the example catalog");
    let example = json!(example);
    let all = json!(format!("{}/all.yaml", example.as_str().unwrap_or_default()));
    format!(
        "file_roots = [{example}]
private_networks = [\"127.0.0.0/8\"]
[tenants.default]
[[tenants.default.catalog.rules]]
allow = [\"Component\", \"API\", \"Resource\", \"System\", \"Domain\", \"Group\", \"User\", \"Location\", \"Template\"]
[[tenants.default.catalog.locations]]
type = \"file\"
target = {all}
[[tenants.default.reading.allow]]
host = \"{files}\"
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_catalog_client_is_content() {
    let Some(folder) = node_checks() else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let files = listener.local_addr().expect("its address");
    let server = tokio::spawn(serve(listener));
    let host = TestHost::builder().config_toml(config(files)).start().await;
    quiet(host.client(), "default", Duration::from_secs(60)).await;
    let reader = json!({"name": "reader", "scopes": ["read"]});
    let reader = host
        .client()
        .post("/admin/tenants/default/tokens", &reader)
        .await
        .ok();

    let run = tokio::process::Command::new("node")
        .arg("client.mjs")
        .current_dir(folder)
        .env(
            "BASE_URL",
            format!("{}/tenants/default/api/catalog", host.origin()),
        )
        .env("TOKEN", host.token())
        .env(
            "READ_TOKEN",
            reader["token"].as_str().expect("the token's text"),
        )
        .env(
            "LOCATION_TARGET",
            format!("http://{files}/catalog-info.yaml"),
        )
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(120), run)
        .await
        .expect("the checks end")
        .expect("node runs");
    server.abort();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains("every method was called"), "{said}");
}
