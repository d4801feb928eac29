//! Every document of the real catalogs parses, fails to parse or is blank as the reference verdicts
//! say, at the line they say. Skipped, aloud, where the data is absent; `npm_yaml.rs` holds values
//! everywhere.

use std::collections::BTreeMap;
use std::path::Path;

use greenroom_sdk::{Value, yaml};

#[test]
fn parse_and_blank_agree_with_the_verdicts() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let Some(verdicts) = read(&data.join("expected/verdicts.jsonl")) else {
        println!("SKIPPED: there are no real catalogs beside this repository (shared/data)");
        return;
    };
    let mut files: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in verdicts
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let verdict: Value = serde_json::from_slice(line).expect("verdicts are JSON lines");
        let file = verdict["file"].as_str().expect("a verdict names a file");
        files.entry(file.to_owned()).or_default().push(verdict);
    }
    let (mut documents, mut wrong) = (0, Vec::new());
    for (file, verdicts) in &files {
        let bytes = read(&data.join("catalogs").join(file)).expect("the file is there");
        let results = yaml::documents(&bytes);
        for verdict in verdicts {
            documents += 1;
            if let Err(difference) = compare(verdict, &results) {
                wrong.push(format!("{file}: {difference}"));
            }
        }
    }
    assert!(documents > 400, "only {documents} documents");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn compare(
    verdict: &Value,
    results: &[Result<(Value, yaml::Position), yaml::YamlError>],
) -> Result<(), String> {
    let index = verdict["docIndex"].as_u64();
    let found = results.iter().find(|result| {
        let document = match result {
            Ok((_, position)) => position.document,
            Err(error) => error.document,
        };
        index == Some(document.into())
    });
    match (verdict["stage"].as_str(), found) {
        (Some("blank"), None) => Ok(()),
        (Some("parse"), Some(Err(error))) => {
            let expected = verdict["error"].as_str().unwrap_or_default();
            let line = format!("(line {})", error.line);
            if expected.ends_with(&line) {
                Ok(())
            } else {
                Err(format!("document {index:?}: {expected}, ours {error}"))
            }
        }
        (Some("blank" | "parse"), found) => Err(format!(
            "document {index:?}: {}, ours {found:?}",
            verdict["error"]
        )),
        (_, Some(Ok((value, _)))) if value["kind"] == verdict["kind"] => Ok(()),
        (_, found) => Err(format!("document {index:?} is readable, ours {found:?}")),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the data set beside the repository"
)]
fn read(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}
