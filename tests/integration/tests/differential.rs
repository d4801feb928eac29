//! Proves that the host answers filters, predicates, orders, fields, facets and pages as Backstage's own in-memory client does
//! (`InMemoryCatalogClient` of `@backstage/catalog-client/testUtils`), asked through the real client: the same thousands of
//! generated requests about the same entities, generated ones made to be hard and the real catalogs where they are.
//!
//! Where that client is known to be another than the backend it stands for, the backend is followed; each such case is a row
//! with its reason in `tests/integration/node/differential/known.mjs`. A failure prints its seed and the smallest request that
//! differs; `GREENROOM_SEED` and `GREENROOM_REQUESTS` choose others. Without node or its packages the tests are skipped, aloud;
//! on CI (`CI=true`) that is a failure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use greenroom_integration_tests::node_checks;
use greenroom_test_support::{CatalogUnderTest, TestHost, quiet};
use serde_json::Value;

/// Entities that are generated.
const ENTITIES: u32 = 240;
/// Requests about generated entities.
const REQUESTS: u32 = 3_000;
/// Requests about the real catalogs.
const REQUESTS_OF_REAL: u32 = 1_000;
/// What entities and requests are made from if nothing else is asked for: a run of the suite is the same everywhere.
const SEED: u32 = 20_261_128;

const BOUND: Duration = Duration::from_secs(600);

fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|error| panic!("{name}={text}: {error}"))
    })
}

/// What the script prints.
async fn differential(
    folder: &Path,
    what: &str,
    count: u32,
    host: Option<&TestHost>,
) -> std::process::Output {
    let seed = number("GREENROOM_SEED", SEED);
    let mut node = tokio::process::Command::new("node");
    node.args(["differential.mjs", what])
        .current_dir(folder)
        .env("SEED", seed.to_string())
        .env("COUNT", count.to_string())
        .kill_on_drop(true);
    if let Some(host) = host {
        let base = format!("{}/tenants/default/api/catalog", host.origin());
        node.env("BASE_URL", base).env("TOKEN", host.token());
    }
    tokio::time::timeout(BOUND, node.output())
        .await
        .expect("the script ends")
        .expect("node runs")
}

/// Compares, and returns what was compared.
async fn compare(folder: &Path, count: u32, host: &TestHost) -> Value {
    let output = differential(folder, "requests", count, Some(host)).await;
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}");
    assert!(
        output.status.success(),
        "the host and the reference differ: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: Value = serde_json::from_str(&said).expect("a line of JSON");
    assert_eq!(said["compared"], count, "{said}");
    // Corrections are for the odd ones.
    assert!(
        said["alike"].as_u64().unwrap_or_default() > u64::from(count) / 2,
        "{said}"
    );
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_entities_are_found_as_the_reference_finds_them() {
    let Some(folder) = node_checks() else {
        return;
    };
    let output = differential(&folder, "entities", ENTITIES, None).await;
    let entities: Vec<Value> = String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an entity"))
        .collect();
    assert_eq!(entities.len(), ENTITIES as usize);
    let host = TestHost::builder().start().await;
    host.client()
        .push("default", "generated", entities.clone())
        .await
        .ok();
    quiet(host.client(), "default", BOUND).await;
    for entity in &entities {
        let name = |key: &str| entity["metadata"][key].as_str();
        let entity_ref = format!(
            "{}:{}/{}",
            entity["kind"].as_str().unwrap_or_default(),
            name("namespace").unwrap_or("default"),
            name("name").unwrap_or_default()
        );
        let served = host.client().entity("default", &entity_ref).await;
        let served = served.unwrap_or_else(|| panic!("{entity_ref} is not served"));
        assert_eq!(served["metadata"]["title"], entity["metadata"]["title"]);
        for key in ["nested", "list", "level", "flag", "note", "dotted"] {
            assert_eq!(served["spec"][key], entity["spec"][key], "{entity_ref}");
        }
    }
    let requests = number("GREENROOM_REQUESTS", REQUESTS);
    let said = compare(&folder, requests, &host).await;
    assert_eq!(said["entities"], ENTITIES, "{said}");
    if requests >= REQUESTS {
        assert_eq!(
            said["unused"],
            Value::Array(Vec::new()),
            "known differences that did not occur"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_entities_are_found_as_the_reference_finds_them() {
    let Some(folder) = node_checks() else {
        return;
    };
    let data: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !data.is_dir() {
        eprintln!("SKIPPED: the real catalogs are not here (../shared/data)");
        return;
    }
    let catalog = CatalogUnderTest::read(
        &data.join("catalogs"),
        &data.join("expected/verdicts.jsonl"),
    );
    let host = TestHost::builder()
        .config_toml(catalog.config_toml())
        .start()
        .await;
    quiet(host.client(), "default", BOUND).await;
    let requests = number("GREENROOM_REQUESTS", REQUESTS_OF_REAL);
    let said = compare(&folder, requests, &host).await;
    assert!(
        said["entities"].as_u64().is_some_and(|count| count > 200),
        "{said}"
    );
}
