//! Proves that the real catalogs of the developer set are treated as the reference implementation treats them: for each of
//! their documents, valid means served under its ref or listed as the loser of a conflict, and invalid means reported with
//! stage and reason; and that no Location's error hides its good children. Skipped, aloud, where the set is absent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use greenroom_test_support::{CatalogUnderTest, Difference, TestHost, quiet};

/// Documents on which we differ from the verdict on purpose, with the reason.
const DIFFERENCES: &[(&str, usize, &str)] = &[];

const BOUND: Duration = Duration::from_secs(180);

fn data() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    path.is_dir().then_some(path)
}

fn unexpected(differences: &[Difference]) -> Vec<String> {
    differences
        .iter()
        .filter(|one| {
            let (file, index) = (one.document.0.as_str(), one.document.1);
            !DIFFERENCES
                .iter()
                .any(|(known, at, _)| (*known, *at) == (file, index))
        })
        .map(|one| format!("{}#{}: {}", one.document.0, one.document.1, one.found))
        .collect()
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
    let differences = unexpected(&catalog.compare(host.client(), "default").await);
    let of = catalog.verdicts().len();
    assert!(
        differences.is_empty(),
        "{} of {of} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    let targets = data.join("expected/location-targets.jsonl");
    let hidden = catalog
        .hidden_children(&targets, host.client(), "default")
        .await;
    assert!(hidden.is_empty(), "{hidden:#?}");
    let known: Vec<_> = DIFFERENCES.iter().map(|(_, _, reason)| reason).collect();
    eprintln!("{of} documents agree but for {known:?}");
}
