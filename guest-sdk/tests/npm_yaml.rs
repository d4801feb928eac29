//! The YAML reader gives what npm `yaml` 2.9.1 gave (`parseAllDocuments`, then `toJSON`) for each
//! text of `fixtures/npm-yaml.jsonl`: values equal, errors where it has errors, document by
//! document. The differences we know are listed with their reasons and must stay differences.

use greenroom_sdk::{Value, yaml};

/// Texts on which we differ, and why.
const DIFFERENCES: [(&str, &str); 5] = [
    (
        "...\na: 1",
        "there, a leading `...` is a blank document; here it is nothing",
    ),
    (
        "a: \u{FEFF}x",
        "a byte order mark inside a document is an error here",
    ),
    ("\ta: 1", "there, a tab before the first key is an error"),
    ("x: [a\n, b]", "there, a flow sequence must stay indented"),
    (
        "a: !!binary aGk=\n",
        "nothing is constructed from a tag here",
    ),
];

#[test]
fn every_text_gives_what_npm_yaml_gave() {
    let mut wrong = Vec::new();
    for line in include_str!("fixtures/npm-yaml.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("the fixture is JSON lines");
        let text = case["text"].as_str().expect("a case has a text");
        let listed = DIFFERENCES.iter().any(|(known, _)| *known == text);
        if agrees(text, &case["docs"]) == listed {
            wrong.push(format!(
                "{text:?}: npm {}, ours {:?}",
                case["docs"],
                documents(text)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

type Parsed = Result<(Value, yaml::Position), yaml::YamlError>;

fn documents(text: &str) -> Vec<Parsed> {
    yaml::documents(text.as_bytes())
}

fn agrees(text: &str, expected: &Value) -> bool {
    let mut ours = documents(text);
    let all = expected.as_array().expect("a case has documents");
    let agreed = all.iter().enumerate().all(|(index, expected)| {
        let document = u32::try_from(index).expect("few documents");
        let at = ours.iter().position(|result| match result {
            Ok((_, position)) => position.document == document,
            Err(error) => error.document == document,
        });
        let found = at.map(|at| ours.remove(at));
        match (expected.get("value"), found) {
            (Some(Value::Null), None) => true,
            (Some(value), Some(Ok((found, _)))) => *value == found,
            (None, Some(Err(_))) => true,
            _ => false,
        }
    });
    agreed && ours.is_empty()
}
