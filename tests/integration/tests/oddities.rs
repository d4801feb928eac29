//! Proves that a small catalog of our own, with the oddities of real ones, is treated document by document as the reference
//! implementation treats it. It needs nothing that is not in the repository.

use std::path::Path;
use std::time::Duration;

use greenroom_test_support::{CatalogUnderTest, TestHost, assert_known, quiet};

/// Documents on which we differ from the verdict on purpose.
const KNOWN: &[(&str, usize, &str)] = &[(
    "non-ascii.yaml",
    1,
    "two documents of this file have one ref: the first, which is invalid, is kept, and its Location warns of the second",
)];

#[tokio::test]
async fn every_document_is_treated_as_its_verdict_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/oddities");
    let catalog = CatalogUnderTest::read(&root, &root.join("expected.jsonl"));
    let host = TestHost::builder()
        .config_toml(catalog.config_toml())
        .start()
        .await;
    quiet(host.client(), "default", Duration::from_secs(60)).await;
    assert_known(&catalog.compare(host.client(), "default").await, KNOWN);
}
