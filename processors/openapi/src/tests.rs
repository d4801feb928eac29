//! What becomes of references, and that no document can make the bundling loop, overflow or tell a secret.

use greenroom_sdk::testing::{Outcome, Test};
use greenroom_sdk::{Value, json, yaml};

use super::*;

const HOME: &str = "https://github.com/o/r/blob/main/a/catalog-info.yaml";
const DIRECTORY: &str = "https://github.com/o/r/tree/main/a/";

fn api(definition: Value) -> Entity {
    let mut made = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "API", "metadata": {"name": "a"},
        "spec": {}
    });
    made["spec"]["definition"] = definition;
    Entity::from_value(made).expect("an entity")
}

/// An entity on GitHub with documents beside it.
fn with(documents: &[(&str, &str)]) -> Test {
    let test = Test::new().location("url", HOME);
    documents.iter().fold(test, |test, (name, body)| {
        test.document(&format!("{DIRECTORY}{name}"), *body)
    })
}

fn run(test: &Test) -> Outcome {
    test.run(Openapi, api(json!({"$openapi": "./api.yaml"})))
}

/// The definition, read back.
fn bundled(documents: &[(&str, &str)]) -> Value {
    let done = run(&with(documents));
    assert_eq!(done.error, None);
    let text = done.entity.spec().expect("a spec")["definition"]
        .as_str()
        .expect("a text")
        .to_owned();
    yaml::document(text.as_bytes()).expect("it is YAML")
}

fn failure(documents: &[(&str, &str)]) -> String {
    let done = run(&with(documents));
    assert!(done.error.is_some(), "{:?}", done.entity);
    done.error_message()
}

/// The example of the original's own tests.
#[test]
fn a_reference_becomes_what_it_names() {
    let list = "---\nsummary: List all pets\ntags:\n  - pets\nresponses:\n  '200':\n    description: A paged array\n";
    let test = with(&[
        (
            "api.yaml",
            "openapi: \"3.0.0\"\ninfo:\n  version: 1.0.0\n  title: Swagger Petstore\npaths:\n  /pets:\n    get:\n      $ref: \"./paths/pets/list.yaml\"\n",
        ),
        ("paths/pets/list.yaml", list),
    ]);
    let expected = "\
openapi: 3.0.0
info:
  version: 1.0.0
  title: Swagger Petstore
paths:
  /pets:
    get:
      summary: List all pets
      tags:
        - pets
      responses:
        \"200\":
          description: A paged array
";
    let done = run(&test);
    assert_eq!(done.error, None);
    assert_eq!(done.entity.spec().expect("a spec")["definition"], expected);
    assert_eq!(done.rounds, 3);
    let keys = ["api.yaml", "paths/pets/list.yaml"].map(|name| format!("url:{DIRECTORY}{name}"));
    assert_eq!(done.refresh_keys, keys);
}

#[test]
fn both_keys_and_nothing_else_are_placeholders() {
    let test = with(&[("api.yaml", "a: 1"), ("events.yaml", "b: 2")]);
    let done = test.run(
        Openapi,
        api(json!([
            {"$openapi": "./api.yaml"}, {"deep": {"$asyncapi": "events.yaml"}},
            {"$openapi": 1}, {"$openapi": "./x", "other": 1}, {"$text": "./x"}, {"$ref": {"$openapi": "./x"}}
        ])),
    );
    assert_eq!(done.error, None);
    assert_eq!(done.rounds, 2, "both are asked for at once");
    assert_eq!(
        done.entity.spec().expect("a spec")["definition"],
        json!([
            "a: 1\n", {"deep": "b: 2\n"},
            {"$openapi": 1}, {"$openapi": "./x", "other": 1}, {"$text": "./x"}, {"$ref": {"$openapi": "./x"}}
        ])
    );
}

#[test]
fn a_value_is_placed_once_and_pointed_to() {
    let made = bundled(&[
        (
            "api.yaml",
            "deep: {er: {$ref: pet.yaml}}\npet: {$ref: pet.yaml}\nname: {$ref: 'pet.yaml#/properties/name'}\n",
        ),
        ("pet.yaml", "properties:\n  name: {type: string}\n"),
    ]);
    assert_eq!(
        made,
        json!({
            "deep": {"er": {"$ref": "#/pet"}},
            "pet": {"properties": {"name": {"type": "string"}}},
            "name": {"$ref": "#/pet/properties/name"}
        })
    );
}

#[test]
fn references_inside_the_root_stay_unless_they_would_pass_through_another() {
    let made = bundled(&[
        (
            "api.yaml",
            "a: {$ref: '#/b'}\nb: {$ref: x.yaml}\nc: {$ref: '#/b/inner'}\nd: {$ref: '#anchor'}\ne: {$ref: ''}\nf: {$ref: '#/e'}\ng: {$ref: 'api.yaml#/e'}\n",
        ),
        (
            "x.yaml",
            "inner: {type: string}\nback: {$ref: 'api.yaml#/e'}\n",
        ),
    ]);
    assert_eq!(
        made,
        json!({
            "a": {"$ref": "#/b"},
            "b": {"inner": {"type": "string"}, "back": {"$ref": "#/e"}},
            "c": {"$ref": "#/b/inner"},
            "d": {"$ref": "#anchor"}, "e": {"$ref": ""}, "f": {"$ref": "#/e"}, "g": {"$ref": "#/e"}
        })
    );
}

#[test]
fn references_are_relative_to_the_document_they_are_written_in() {
    let made = bundled(&[
        ("api.yaml", "$ref: sub/one.yaml"),
        ("sub/one.yaml", "two: {$ref: './deep/two.json#/a~1b/0'}"),
        (
            "sub/deep/two.json",
            r#"{"a/b": [{"three": {"$ref": "../../three.md"}}]}"#,
        ),
        ("three.md", "# Title\n"),
    ]);
    assert_eq!(made, json!({"two": {"three": "# Title\n"}}));
}

#[test]
fn keys_beside_a_reference_are_kept() {
    let made = bundled(&[
        (
            "api.yaml",
            "a: {$ref: x.yaml, description: mine, more: {$ref: y.yaml}}\nb: {$ref: x.yaml}\n",
        ),
        ("x.yaml", "type: object\ndescription: theirs\n"),
        ("y.yaml", "type: string\n"),
    ]);
    assert_eq!(
        made,
        json!({
            "a": {"$ref": "#/b", "description": "mine", "more": {"type": "string"}},
            "b": {"type": "object", "description": "theirs"}
        })
    );
    let made = bundled(&[
        (
            "api.yaml",
            "a: {$ref: x.yaml, description: mine}\nc: {$ref: 'x.yaml#/description', x: 1}\n",
        ),
        ("x.yaml", "type: object\ndescription: {$ref: y.yaml}\n"),
        ("y.yaml", "theirs"),
    ]);
    assert_eq!(
        made,
        json!({"a": {"type": "object", "description": "mine"}, "c": "theirs"})
    );
}

#[test]
fn circles_of_documents_become_recursion() {
    let made = bundled(&[
        ("api.yaml", "schemas: {$ref: node.yaml}"),
        (
            "node.yaml",
            "children: {items: {$ref: other.yaml}}\nself: {$ref: node.yaml}\n",
        ),
        (
            "other.yaml",
            "node: {$ref: 'node.yaml'}\nroot: {$ref: api.yaml}\n",
        ),
    ]);
    assert_eq!(
        made,
        json!({"schemas": {
            "children": {"items": {"node": {"$ref": "#/schemas"}, "root": {"$ref": "#"}}},
            "self": {"$ref": "#/schemas"}
        }})
    );
    let made = bundled(&[
        ("api.yaml", "a: {$ref: x.yaml, title: outer}"),
        ("x.yaml", "child: {$ref: x.yaml, title: inner}\n"),
    ]);
    assert_eq!(
        made,
        json!({"a": {"child": {"$ref": "#/a", "title": "inner"}, "title": "outer"}})
    );
}

#[test]
fn references_that_lead_nowhere_are_named() {
    for (root, expected) in [
        (
            "a: {$ref: x.yaml}",
            "`x.yaml` leads from reference to reference without end",
        ),
        ("a: {$ref: 'z.yaml#/a'}", "`z.yaml#/a` leads from reference"),
        (
            "a: {$ref: 'y.yaml#/none'}",
            "`y.yaml#/none` names nothing in its document",
        ),
        ("a: {$ref: 'y.yaml#/list/7'}", "names nothing"),
        ("a: {$ref: '#/none'}", "`#/none` names nothing"),
        ("a: {$ref: 'y.yaml#anchor'}", "names an anchor"),
        ("a: {$ref: 'file:///etc/passwd'}", "is no http or https URL"),
        ("a: {$ref: 'ftp://h/x'}", "is no http or https URL"),
    ] {
        let said = failure(&[
            ("api.yaml", root),
            ("x.yaml", "$ref: x.yaml"),
            ("y.yaml", "list: [1]"),
            ("z.yaml", "a: {$ref: '#/b'}\nb: {$ref: '#/a'}"),
        ]);
        assert!(
            said.starts_with("Placeholder $openapi `./api.yaml`: ") && said.contains(expected),
            "{said}"
        );
    }
    let part = with(&[]).run(Openapi, api(json!({"$openapi": "./api.yaml#/a"})));
    assert!(part.error_message().contains("name the whole"));
}

#[test]
fn missing_and_refused_documents_are_named() {
    let test = with(&[("api.yaml", "a: {$ref: x.yaml}\nb: {$ref: y.yaml}")])
        .missing(&format!("{DIRECTORY}x.yaml"))
        .missing(&format!("{DIRECTORY}y.yaml"));
    let done = run(&test);
    assert!(matches!(done.error, Some((_, ProcessorError::NotFound(_)))));
    assert!(
        done.error_message()
            .contains("/a/x.yaml`; it does not exist")
    );
    assert_eq!(done.rounds, 3, "both are asked for at once");
    let test = with(&[("api.yaml", "a: {$ref: 'https://other.test/x'}")])
        .refused("https://other.test/x", "it is not granted");
    let done = run(&test);
    assert!(matches!(done.error, Some((_, ProcessorError::Refused(_)))));
    assert!(
        done.error_message()
            .ends_with("`https://other.test/x`; it is not granted")
    );
}

#[test]
fn relative_paths_work_in_files_and_nothing_else_does() {
    let test = Test::new()
        .location("file", "/srv/c/a/catalog-info.yaml")
        .document("file:/srv/c/a/api.yaml", "a: {$ref: ../x.yaml}")
        .document("file:/srv/c/x.yaml", "b: {$ref: ./a/y.yaml}")
        .document("file:/srv/c/a/y.yaml", "1");
    let done = run(&test);
    assert_eq!(done.error, None);
    assert_eq!(
        done.entity.spec().expect("a spec")["definition"],
        "a:\n  b: 1\n"
    );
    assert_eq!(done.refresh_keys[0], "file:/srv/c/a/api.yaml");
    for reference in ["/etc/passwd", "file:/etc/passwd", "https://h/x"] {
        let test = Test::new()
            .location("file", "/srv/c/a/catalog-info.yaml")
            .document(
                "file:/srv/c/a/api.yaml",
                format!("a: {{$ref: '{reference}'}}"),
            );
        assert!(
            run(&test)
                .error_message()
                .contains("is not a path relative"),
            "{reference}"
        );
    }
    let elsewhere = Test::new().location("bootstrap", "x");
    assert!(
        run(&elsewhere)
            .error_message()
            .contains("placeholders do not work")
    );
}

#[test]
fn y14_errors_quote_nothing_of_a_document_but_references() {
    for body in [
        &b"hunter2: {% hunter2"[..],
        b"hunter2\n---\nhunter2",
        b"hunter2: 1\nhunter2: 2",
        b"*hunter2",
        b"hunter2\xFF",
    ] {
        let test = with(&[("api.yaml", "a: {$ref: x.yaml}")])
            .document(&format!("{DIRECTORY}x.yaml"), body);
        let message = run(&test).error_message();
        assert!(message.contains("a/x.yaml` is not"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    let text = with(&[("api.yaml", "a: {$ref: x.md}")])
        .document(&format!("{DIRECTORY}x.md"), b"hunter2\xFF");
    let message = run(&text).error_message();
    assert!(
        message.contains("UTF-8") && !message.contains("hunter2"),
        "{message}"
    );
}

#[test]
fn control_characters_of_references_reach_no_message_and_no_text() {
    let said = failure(&[("api.yaml", r##"a: {$ref: "#/\u001b]0;x\u0007\n"}"##)]);
    assert!(
        said.contains("\\u{1b}]0;x\\u{7}") && !said.chars().any(char::is_control),
        "{said}"
    );
    let long = failure(&[(
        "api.yaml",
        &format!("a: {{$ref: '#/{}'}}", "x".repeat(9_000)),
    )]);
    assert!(long.len() < 1_000);
    let made = bundled(&[
        ("api.yaml", r##"a: {$ref: "x.yaml#/\u0007"}"##),
        (
            "x.yaml",
            r##""\u0007": {"\u001b[31m": {$ref: "x.yaml#/\u0007"}}"##,
        ),
    ]);
    assert_eq!(made, json!({"a": {"\u{1b}[31m": {"$ref": "#/a"}}}));
    let escaped = bundled(&[
        (
            "api.yaml",
            "'~/% é': {$ref: x.yaml}\nb: {c: {$ref: x.yaml}}",
        ),
        ("x.yaml", "{}"),
    ]);
    assert_eq!(escaped["b"]["c"], json!({"$ref": "#/~0~1%25%20%C3%A9"}));
}

#[test]
fn many_documents_are_refused() {
    let mut test = with(&[]);
    let mut root = String::new();
    for n in 0..100 {
        root.push_str(&format!("k{n}: {{$ref: {n}.yaml}}\n"));
        test = test.document(&format!("{DIRECTORY}{n}.yaml"), "1");
    }
    let done = run(&test.document(&format!("{DIRECTORY}api.yaml"), root));
    assert!(
        done.error_message().contains("more than 60 files"),
        "{}",
        done.error_message()
    );
}

#[test]
fn y02_deep_documents_are_refused() {
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let said = failure(&[
        ("api.yaml", &deep.replace('1', "{$ref: x.yaml}")),
        ("x.yaml", &deep),
    ]);
    assert!(said.contains("nested deeper than 100"), "{said}");
    let said = failure(&[(
        "api.yaml",
        &format!("{}1{}", "[".repeat(101), "]".repeat(101)),
    )]);
    assert!(said.contains("nested deeper than 100"), "{said}");
    // A chain of documents, each deeper: it ends with the depth and not with the stack.
    let chain: Vec<(String, String)> = (0..50)
        .map(|n| {
            let name = if n == 0 {
                "api.yaml".to_owned()
            } else {
                format!("{n}.yaml")
            };
            (name, format!("a: {{b: {{c: {{$ref: {}.yaml}}}}}}", n + 1))
        })
        .collect();
    let documents: Vec<(&str, &str)> = chain
        .iter()
        .map(|(n, b)| (n.as_str(), b.as_str()))
        .collect();
    assert!(failure(&documents).contains("nested deeper than 100"));
}

/// Each part of a large document is asked for by itself, so each is a copy.
#[test]
fn q_copies_are_bounded() {
    let mut parts = String::from("end: x\n");
    let mut root = String::new();
    for n in 0..90 {
        parts = format!(
            "l{n}: \n{}",
            parts
                .lines()
                .map(|line| format!(" {line}\n"))
                .collect::<String>()
        );
    }
    let filler = format!("\"{}\"", "x".repeat(100_000));
    let parts = parts.replace("end: x", &format!("end: {filler}"));
    let mut path = String::new();
    for n in (0..90).rev() {
        path.push_str(&format!("/l{n}"));
        root.insert_str(0, &format!("k{n}: {{$ref: 'x.yaml#{path}'}}\n"));
    }
    let said = failure(&[("api.yaml", &root), ("x.yaml", &parts)]);
    assert!(said.contains("larger than"), "{said}");
}
