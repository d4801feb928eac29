//! Every document of the real catalogs that gets as far as the kind validators gets the reference
//! verdict from this processor: recognised, not ours, or the same first error. Skipped, aloud,
//! where the data is absent.

use std::path::Path;

use greenroom_processor_builtin_kinds::BuiltinKinds;
use greenroom_sdk::{Entity, Value, testing, yaml};

#[test]
fn verdicts_agree() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let Some(verdicts) = read(&data.join("expected/verdicts.jsonl")) else {
        println!("SKIPPED: there are no real catalogs beside this repository (shared/data)");
        return;
    };
    let (mut judged, mut wrong) = (0, Vec::new());
    for line in verdicts
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let verdict: Value = serde_json::from_slice(line).expect("verdicts are JSON lines");
        let Some(expected) = expected(&verdict) else {
            continue;
        };
        judged += 1;
        let file = verdict["file"].as_str().expect("a verdict names a file");
        let found = judge(&data, file, &verdict["docIndex"]);
        if found != expected {
            wrong.push(format!("{file}: {found}, expected {expected}"));
        }
    }
    assert!(judged > 300, "only {judged} documents");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What this processor should say; nothing where placeholders decide or an earlier stage failed.
fn expected(verdict: &Value) -> Option<String> {
    let placeholders = ["placeholdersResolved", "placeholdersStubbed"];
    if placeholders
        .iter()
        .any(|key| verdict[*key].as_u64() > Some(0))
    {
        return None;
    }
    let error = verdict["error"].as_str().unwrap_or_default();
    let ours = verdict["apiVersion"] != "scaffolder.backstage.io/v1beta3";
    match verdict["stage"].as_str()? {
        "ok" => Some(if ours { "valid" } else { "not ours" }.to_owned()),
        "kind" if !ours || error.starts_with("No processor") => Some("not ours".to_owned()),
        "kind" => Some(format!("TypeError: {error}")),
        _ => None,
    }
}

fn judge(data: &Path, file: &str, index: &Value) -> String {
    let bytes = read(&data.join("catalogs").join(file)).expect("the file is there");
    let value = yaml::documents(&bytes)
        .into_iter()
        .filter_map(Result::ok)
        .find(|(_, position)| index.as_u64() == Some(position.document.into()))
        .map(|(value, _)| value)
        .expect("the document is readable");
    let entity = Entity::from_value(value).expect("the envelope is sound");
    let done = testing::run(BuiltinKinds, entity);
    match done.error {
        Some((_, error)) => error.to_string(),
        None if done.recognised => "valid".to_owned(),
        None => "not ours".to_owned(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the data set beside the repository"
)]
fn read(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}
