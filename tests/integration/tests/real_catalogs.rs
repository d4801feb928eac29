//! Proves that the real catalogs of the developer set are treated as the reference implementation treats them: for each of
//! their documents, valid means served under its ref or listed as the loser of a conflict, and invalid means reported with
//! stage and reason; and that no Location's error hides its good children. Skipped, aloud, where the set is absent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use greenroom_test_support::{CatalogUnderTest, TestHost, assert_known, quiet};

const BY_URL: &str = "a placeholder names a URL: the verdict puts a stub in its place and does not model that a placeholder \
     may only name a file of its own repository, so here it is refused";

/// Documents on which we differ from the verdict on purpose.
const KNOWN: &[(&str, usize, &str)] = &[
    (
        "alithya-oss__backstage-plugins/workspaces/confluence/examples/entities.yaml",
        2,
        BY_URL,
    ),
    (
        "alithya-oss__backstage-plugins/workspaces/confluence/examples/entities.yaml",
        3,
        BY_URL,
    ),
    (
        "alithya-oss__backstage-plugins/workspaces/confluence/examples/entities.yaml",
        5,
        BY_URL,
    ),
    (
        "backstage__backstage/packages/catalog-model/examples/apis/wayback-archive-api.yaml",
        0,
        BY_URL,
    ),
    (
        "backstage__backstage/packages/catalog-model/examples/apis/wayback-search-api.yaml",
        0,
        BY_URL,
    ),
    ("backstage__demo/catalog-info.yaml", 1, BY_URL),
    (
        "dweber019__backstage-plugins/packages/entities/wsdl-api-example.yaml",
        0,
        BY_URL,
    ),
    (
        "tetratelabs__eg-backstage-demo/examples/example-catalog/applications/httpbin/api.yaml",
        0,
        BY_URL,
    ),
    (
        "weaveworks__backstage-sockshop/apis/catalogue-api.yaml",
        0,
        BY_URL,
    ),
    (
        "weaveworks__backstage-sockshop/apis/orders-api.yaml",
        0,
        BY_URL,
    ),
];

const BOUND: Duration = Duration::from_secs(180);

fn data() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    path.is_dir().then_some(path)
}

#[tokio::test]
async fn every_document_is_treated_as_its_verdict_says() {
    let Some(data) = data() else {
        eprintln!("SKIPPED: the real catalogs are not here (../shared/data)");
        return;
    };
    let catalog = CatalogUnderTest::read(
        &data.join("catalogs"),
        &data.join("expected/verdicts.jsonl"),
    );
    let host = TestHost::builder()
        .config_toml(catalog.config_toml())
        .start()
        .await;
    quiet(host.client(), "default", BOUND).await;
    assert_known(&catalog.compare(host.client(), "default").await, KNOWN);
    let targets = data.join("expected/location-targets.jsonl");
    let hidden = catalog
        .hidden_children(&targets, host.client(), "default")
        .await;
    assert_known(&hidden, &[]);
    let of = catalog.verdicts().len();
    eprintln!("{} of {of} documents agree", of - KNOWN.len());
}
