//! What is required of whom, what is told, and hostile entities.

use greenroom_sdk::testing::{Outcome, Test};
use greenroom_sdk::{Level, Map, Value, entity, json};

use super::*;

fn run(rules: Value, entity: Entity) -> Outcome {
    Test::new()
        .config(Value::from_iter([("rules", rules)]))
        .run(RequiredFields, entity)
}

fn said(done: &Outcome) -> Vec<(Level, &str)> {
    done.diagnostics
        .iter()
        .map(|said| (said.level, said.message.as_str()))
        .collect()
}

fn web() -> Entity {
    entity!({
        "apiVersion": "v1", "kind": "Component",
        "metadata": {
            "name": "web", "description": " ", "tags": [], "labels": {}, "title": null,
            "annotations": {"backstage.io/techdocs-ref": "dir:.", "a.b.c": "x"}
        },
        "spec": {"type": "service", "owner": "core", "ports": 0, "open": false}
    })
}

#[test]
fn what_is_there_is_enough() {
    let fields = json!([
        "kind",
        "metadata.name",
        "spec.owner",
        "spec.ports",
        "spec.open",
        "metadata.annotations.backstage.io/techdocs-ref",
        "metadata.annotations.a.b.c",
    ]);
    let done = run(json!([{"fields": fields}]), web());
    assert_eq!((done.error.as_ref(), said(&done)), (None, vec![]));
    assert!(!done.recognised);
}

#[test]
fn everything_missing_is_told_at_once() {
    let fields = json!([
        "metadata.description",
        "metadata.tags",
        "metadata.labels",
        "metadata.title",
        "spec.none",
        "spec.owner.name",
        "metadata.annotations.a.b",
        "none.at.all",
    ]);
    let done = run(json!([{"fields": fields}]), web());
    let told = said(&done);
    assert_eq!(told.len(), 8);
    assert_eq!(
        told[0],
        (
            Level::Error,
            "`metadata.description` must be set on a Component"
        )
    );
}

#[test]
fn rules_hold_for_their_kinds_and_types() {
    for (kinds, types, holds) in [
        (json!([]), json!([]), true),
        (json!(["component"]), json!(["SERVICE"]), true),
        (json!(["API", "Component"]), json!([]), true),
        (json!(["API"]), json!([]), false),
        (json!(["Component"]), json!(["website"]), false),
    ] {
        let rule = json!({
            "kinds": kinds, "types": types, "fields": ["spec.lifecycle"], "level": "warning",
            "message": "see https://example.com/guide"
        });
        let done = run(json!([rule]), web());
        let told = "`spec.lifecycle` must be set on a Component: see https://example.com/guide";
        let expected = match holds {
            true => vec![(Level::Warning, told)],
            false => vec![],
        };
        assert_eq!(said(&done), expected);
    }
}

#[test]
fn a_configuration_that_does_not_fit_is_an_error_that_says_so() {
    for config in [
        json!({}),
        json!({"rules": [{"fields": ["a"], "levle": "x"}]}),
    ] {
        let done = Test::new().config(config).run(RequiredFields, web());
        assert!(done.error_message().contains("configuration does not fit"));
    }
}

#[test]
fn hostile_entities_are_looked_at_in_bounded_time() {
    let kind = format!("K\u{7}\u{1b}[31m{}", "x".repeat(900));
    let mut hostile = web().into_value();
    hostile["kind"] = json!(kind);
    // Every key begins the name again, in every way it can be cut.
    let mut inner = Map::new();
    for _ in 0..15 {
        let mut outer = Map::new();
        for parts in 1..=15 {
            outer.insert(vec!["a"; parts].join("."), Value::Object(inner.clone()));
            if outer.len() > 1 {
                break;
            }
        }
        inner = outer;
    }
    hostile["spec"] = Value::Object(inner);
    let entity = Entity::from_value(hostile).expect("an entity");
    let field = format!("spec.{}b", "a.".repeat(14));
    let done = run(json!([{"fields": [field]}]), entity);
    let told = said(&done);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].1.contains("K\\u{7}\\u{1b}[31m") && told[0].1.len() < 300,
        "{}",
        told[0].1
    );
}

#[test]
fn the_schema_takes_what_is_documented() {
    let schema = config::schema();
    let rule = &schema["properties"]["rules"]["items"];
    assert_eq!(rule["required"], json!(["fields"]));
    assert_eq!(schema["required"], json!(["rules"]));
}
