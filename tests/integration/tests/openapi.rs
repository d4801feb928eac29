//! Proves that what the host answers never contradicts the OpenAPI document that Backstage publishes for its catalog, and is
//! never a 5xx: schemathesis reads the document out of the published package and sends what it allows and what it forbids, to
//! every operation of it. Where Backstage is known to contradict its own document, the case and its reason are in
//! `tests/integration/openapi/hooks.py`.
//!
//! Needs Python, and Node to read the package; `tests/integration/openapi/prepare` makes the rest. Where one is not there, or the
//! network is needed and absent, the test is skipped, aloud; on CI (`CI=true`) that is a failure.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use greenroom_integration_tests::skipped;
use greenroom_test_support::{TestHost, quiet};
use serde_json::{Value, json};

/// Requests of each operation and phase, about.
const EXAMPLES: u32 = 100;
const SEED: u32 = 1;
/// How long all of them may take.
const BOUND: Duration = Duration::from_secs(600);

/// The checks: no 5xx, no answer that the document does not describe, no request taken that it forbids.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
response_schema_conformance,negative_data_rejection";

/// Why the test cannot run here.
fn missing(folder: &Path) -> Option<String> {
    let there = |program: &str, argument: &[&str]| {
        let output = Command::new(program).args(argument).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !there("python3", &["-c", "import ensurepip, venv"]) {
        return Some("Python with venv is not installed".to_owned());
    }
    if !there("node", &["--version"]) {
        return Some("node is not installed".to_owned());
    }
    let prepared = Command::new(folder.join("prepare")).output();
    match prepared {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "tests/integration/openapi/prepare failed: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => Some(format!("tests/integration/openapi/prepare: {error}")),
    }
}

/// The example catalog; a reader that may read nothing.
fn config() -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example/catalog");
    let example = example.canonicalize().expect("the example catalog");
    let all = json!(example.join("all.yaml").display().to_string());
    format!(
        "file_roots = [{}]
[tenants.default]
[[tenants.default.catalog.rules]]
allow = [\"Component\", \"API\", \"Resource\", \"System\", \"Domain\", \"Group\", \"User\", \"Location\", \"Template\"]
[[tenants.default.catalog.locations]]
type = \"file\"
target = {all}
",
        json!(example.display().to_string())
    )
}

/// What there is, for the paths of requests.
async fn there(host: &TestHost) -> Value {
    let path = "/tenants/default/api/catalog/locations";
    let target = json!({"type": "url", "target": "https://example.com/catalog-info.yaml"});
    let added = host.client().post(path, &target).await.ok();
    // In an order that is the same in every run, unlike that of uids.
    let entities =
        "/tenants/default/api/catalog/entities/by-query?limit=1000&orderField=metadata.name,asc";
    let entities = host.client().get(entities).await.ok();
    let entities = entities["items"].as_array().expect("entities");
    let name = |entity: &Value| {
        json!([
            entity["kind"],
            entity["metadata"]["namespace"],
            entity["metadata"]["name"]
        ])
    };
    json!({
        "entities": entities.iter().map(name).collect::<Value>(),
        "uids": entities.iter().map(|entity| entity["metadata"]["uid"].clone()).collect::<Value>(),
        "locations": [added["location"]["id"]],
    })
}

/// How many operations the document has.
fn operations(folder: &Path) -> usize {
    let text = std::fs::read_to_string(folder.join("document.json")).expect("the document");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let methods = ["get", "post", "put", "delete"];
    let of = |path: &Value| methods.iter().filter(|one| path.get(one).is_some()).count();
    paths.values().map(of).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_contradicts_the_official_document() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
    if let Some(missing) = missing(&folder) {
        return skipped(&missing);
    }
    let host = TestHost::builder().config_toml(config()).start().await;
    quiet(host.client(), "default", Duration::from_secs(60)).await;
    let run = tokio::process::Command::new(folder.join(".venv/bin/schemathesis"))
        .args(["run", "document.json", "--no-color"])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--checks", CHECKS])
        .args(["--max-examples", &EXAMPLES.to_string()])
        .args(["--seed", &SEED.to_string()])
        .args(["--continue-on-failure", "--suppress-health-check", "all"])
        .args(["--request-timeout", "60"])
        .args(["--generation-database", "none"])
        .arg("--url")
        .arg(format!("{}/tenants/default/api/catalog", host.origin()))
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", host.token()))
        .current_dir(&folder)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("GREENROOM_THERE", there(&host).await.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(BOUND, run)
        .await
        .expect("schemathesis ends")
        .expect("schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tested = format!("Tested: {}\n", operations(&folder));
    assert!(said.contains(&tested), "{said}");
}
