//! What is replaced and what is left alone, and y14: nothing outside the repository is read.

use greenroom_sdk::testing::{Outcome, Test};
use greenroom_sdk::{Entity, ProcessorError, Value, json};

use super::*;

const HOME: &str = "https://github.com/o/r/blob/main/a/catalog-info.yaml";

fn api(definition: Value) -> Entity {
    let mut made = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "API", "metadata": {"name": "a"},
        "spec": {}
    });
    made["spec"]["definition"] = definition;
    Entity::from_value(made).unwrap()
}

fn run(test: &Test, definition: Value) -> Outcome {
    test.run(Placeholder, api(definition))
}

fn at_home() -> Test {
    Test::new().location("url", HOME)
}

#[test]
fn replaces_text_json_and_yaml() {
    let test = at_home()
        .document("https://github.com/o/r/tree/main/a/x.txt", "\u{FEFF}hello")
        .document(
            "https://github.com/o/r/tree/main/x.json",
            r#"{"$text": "./x.txt"}"#,
        )
        .document("https://github.com/o/r/tree/main/root.yaml", "a: 0x10\n");
    let done = run(
        &test,
        json!([{"$text": "./x.txt"}, {"deep": {"$json": "../x.json"}}, {"$yaml": "/root.yaml"}]),
    );
    assert_eq!(done.error, None);
    assert_eq!(
        done.entity.spec().unwrap()["definition"],
        json!(["hello", {"deep": {"$text": "./x.txt"}}, {"a": 16}])
    );
    assert_eq!(done.rounds, 2);
    assert_eq!(done.refresh_keys.len(), 3);
    assert_eq!(
        done.refresh_keys[0],
        "url:https://github.com/o/r/tree/main/a/x.txt"
    );
}

#[test]
fn leaves_what_is_not_its_own() {
    let definition = json!([
        {"$ref": "#/x"}, {"$text": 1}, {"$text": "./x", "other": 1},
        {"$schema": {"$text": "./never-read"}}, "$text"
    ]);
    let done = run(&at_home(), definition.clone());
    assert_eq!(done.error, None);
    assert_eq!(done.entity.spec().unwrap()["definition"], definition);
}

#[test]
fn y14_other_repositories_and_paths_are_refused() {
    for reference in [
        "https://github.com/o/other/blob/main/x",
        "https://raw.githubusercontent.com/o/r/main/x",
        "http://github.com/o/r/blob/main/x",
        "https://github.com/o/r/blob/main/%2e%2e/%2e%2e/%2e%2e/x",
        "file:///etc/passwd",
        "../../../../../other/r/blob/main/x",
        "\\\\evil.example/x",
    ] {
        let done = run(&at_home(), json!({"$text": reference}));
        assert!(
            matches!(
                done.error,
                Some((_, ProcessorError::Refused(_) | ProcessorError::Invalid(_)))
            ),
            "{reference}: {:?}",
            done.error
        );
    }
    let on_disk = Test::new().location("file", "/srv/c/a/catalog-info.yaml");
    for reference in ["https://h/x", "/etc/passwd", "file:/etc/passwd", "file:x"] {
        let done = run(&on_disk, json!({"$text": reference}));
        assert!(
            matches!(done.error, Some((_, ProcessorError::Refused(_)))),
            "{reference}"
        );
    }
    let refused = on_disk.refused("file:/etc/passwd", "not below a listed root");
    let done = run(&refused, json!({"$text": "../../../../etc/passwd"}));
    assert!(matches!(done.error, Some((_, ProcessorError::Refused(_)))));
}

#[test]
fn relative_paths_work_in_files() {
    let test = Test::new()
        .location("file", "/srv/c/a/catalog-info.yaml")
        .document("file:/srv/c/specs/x.yaml", "openapi: 3.0.0");
    let done = run(&test, json!({"$text": "../specs/x.yaml"}));
    assert_eq!(done.entity.spec().unwrap()["definition"], "openapi: 3.0.0");
    assert_eq!(done.refresh_keys, ["file:/srv/c/specs/x.yaml"]);
}

#[test]
fn y14_errors_quote_nothing_of_the_document() {
    let url = "https://github.com/o/r/tree/main/a/secret";
    for (kind, body) in [
        ("$json", &b"hunter2"[..]),
        ("$json", b"{\"hunter2\": hunter2}"),
        ("$yaml", b"hunter2: {% hunter2"),
        ("$yaml", b"hunter2\n---\nhunter2"),
        ("$yaml", b"hunter2: 1\nhunter2: 2"),
        ("$yaml", b"*hunter2"),
        ("$text", b"hunter2\xFF"),
    ] {
        let done = run(&at_home().document(url, body), json!({kind: "./secret"}));
        let message = done.error_message();
        assert!(
            !message.is_empty() && !message.contains("hunter2"),
            "{message}"
        );
    }
}

#[test]
fn a_missing_document_is_named() {
    let test = at_home().missing("https://github.com/o/r/tree/main/a/v1.yaml");
    let done = run(&test, json!({"$text": "./v1.yaml"}));
    assert!(
        done.error_message()
            .starts_with("Placeholder $text could not read location ./v1.yaml")
    );
}

#[test]
fn many_placeholders_are_bounded() {
    let many: Vec<_> = (0..100)
        .map(|n| json!({"$text": format!("./{n}")}))
        .collect();
    let mut test = at_home();
    for n in 0..100 {
        test = test.document(&format!("https://github.com/o/r/tree/main/a/{n}"), "x");
    }
    let done = run(&test, json!(many));
    assert!(done.error_message().contains("more than 60"));
    let same: Vec<_> = (0..500).map(|_| json!({"$text": "./1"})).collect();
    assert_eq!(run(&test, json!(same)).error, None);
}

#[test]
fn y02_a_document_may_not_make_the_entity_too_deep() {
    let deep = format!("{}1{}", "[".repeat(119), "]".repeat(119));
    let test = at_home().document("https://github.com/o/r/tree/main/a/deep", deep);
    assert!(
        run(&test, json!({"$yaml": "./deep"}))
            .error_message()
            .contains("deeper")
    );
}
