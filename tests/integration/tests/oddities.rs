//! Proves that a small catalog of our own, with the oddities of real ones, is treated document by document as the reference
//! implementation treats it. It needs nothing that is not in the repository.

use std::path::Path;
use std::time::Duration;

use greenroom_test_support::{CatalogUnderTest, Difference, TestHost, quiet};

/// Documents on which we differ from the verdict on purpose, with the reason.
const DIFFERENCES: &[(&str, usize, &str)] = &[];

fn is_known(one: &Difference) -> bool {
    DIFFERENCES
        .iter()
        .any(|(file, index, _)| one.document == ((*file).to_owned(), *index))
}

#[tokio::test]
async fn every_document_is_treated_as_its_verdict_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/oddities");
    let catalog = CatalogUnderTest::read(&root, &root.join("expected.jsonl"));
    let host = TestHost::builder()
        .config_toml(catalog.config_toml())
        .start()
        .await;
    quiet(host.client(), "default", Duration::from_secs(60)).await;
    let differences: Vec<String> = catalog
        .compare(host.client(), "default")
        .await
        .iter()
        .filter(|one| !is_known(one))
        .map(|one| format!("{}#{}: {}", one.document.0, one.document.1, one.found))
        .collect();
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        catalog.verdicts().len(),
        differences.join("\n")
    );
}
