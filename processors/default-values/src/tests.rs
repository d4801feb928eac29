//! What is filled in and what wins, and configurations and entities that are too much.

use greenroom_sdk::testing::{Outcome, Test};
use greenroom_sdk::{entity, json};

use super::*;

fn run(rules: Value, entity: Entity) -> Outcome {
    Test::new()
        .config(Value::from_iter([("rules", rules)]))
        .run(DefaultValues, entity)
}

fn web() -> Entity {
    entity!({
        "apiVersion": "v1", "kind": "Component",
        "metadata": {"name": "web", "labels": {"tier": "1"}, "annotations": null},
        "spec": {"type": "service", "owner": "core", "dependsOn": [], "system": null}
    })
}

#[test]
fn the_entity_wins_object_by_object() {
    let done = run(
        json!([{"values": {
            "metadata": {
                "labels": {"tier": "3", "zone": "eu"}, "annotations": {"a/b": "c"}, "tags": ["x"]
            },
            "spec": {
                "lifecycle": "production", "owner": {"no": 1}, "dependsOn": ["x"], "system": "s",
                "nested": {"deep": [1]}
            }
        }}]),
        web(),
    );
    assert_eq!(done.error, None);
    assert_eq!(
        done.entity.into_value(),
        json!({
            "apiVersion": "v1", "kind": "Component",
            "metadata": {
                "name": "web", "labels": {"tier": "1", "zone": "eu"}, "annotations": null, "tags": ["x"]
            },
            "spec": {
                "type": "service", "owner": "core", "dependsOn": [], "system": null,
                "lifecycle": "production", "nested": {"deep": [1]}
            }
        })
    );
}

#[test]
fn earlier_rules_win_and_each_is_for_its_kinds_and_types() {
    let done = run(
        json!([
            {"kinds": ["API"], "values": {"spec": {"a": 1}}},
            {"kinds": ["component"], "types": ["Service"], "values": {"spec": {"a": 2}}},
            {"types": ["website"], "values": {"spec": {"b": 1}}},
            {"values": {"spec": {"a": 3, "c": 3}}}
        ]),
        web(),
    );
    let spec = done.entity.spec().expect("a spec");
    assert_eq!((&spec["a"], &spec["c"]), (&json!(2), &json!(3)));
    assert!(!spec.contains_key("b"));
}

#[test]
fn a_spec_is_made_where_there_is_none_and_no_other_type_is_touched() {
    let rules = json!([{"values": {"spec": {"owner": "core"}}}]);
    let bare = entity!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "web"}});
    let done = run(rules.clone(), bare.clone());
    assert_eq!(done.entity.spec(), json!({"owner": "core"}).as_object());
    let mut bad = bare.into_value();
    bad["spec"] = json!("text");
    let bad = Entity::from_value(bad).expect("an envelope");
    assert_eq!(run(rules, bad.clone()).entity, bad);
}

#[test]
fn what_makes_an_entity_itself_has_no_default() {
    for key in ["name", "namespace", "uid", "etag"] {
        let done = run(json!([{"values": {"metadata": {key: "x"}}}]), web());
        assert!(done.error_message().contains(&format!("`metadata.{key}`")));
        assert_eq!(
            config::schema()["properties"]["rules"]["items"]["properties"]["values"]["properties"]
                ["metadata"]["properties"][key],
            json!(false)
        );
    }
    let done = run(json!([{"values": {"kind": "API"}}]), web());
    assert!(done.error_message().contains("configuration does not fit"));
}

#[test]
fn values_are_not_interpreted() {
    let text = "${{ metadata.name }} {{x}} $text \u{7}\u{1b}[31m";
    let done = run(
        json!([{"values": {"spec": {"a": text, "b": {"$text": "./x"}}}}]),
        web(),
    );
    let spec = done.entity.spec().expect("a spec");
    assert_eq!(
        (&spec["a"], &spec["b"]),
        (&json!(text), &json!({"$text": "./x"}))
    );
}

#[test]
fn y02_values_may_not_make_the_entity_too_deep_or_break_it() {
    let mut deep = json!(1);
    let mut own = json!(1);
    for _ in 0..110 {
        deep = json!({"a": deep});
    }
    for _ in 0..60 {
        own = json!({"a": own});
    }
    let mut entity = web().into_value();
    entity["spec"]["x"] = own;
    let entity = Entity::from_value(entity).expect("an entity");
    let done = run(
        json!([{"values": {"spec": {"x": deep, "y": deep}}}]),
        entity.clone(),
    );
    assert_eq!(done.error, None, "what is there is not replaced");
    let too_deep =
        json!({"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": deep}}}}}}}}}});
    let done = run(json!([{"values": {"spec": {"y": too_deep}}}]), entity);
    assert!(
        done.error_message().contains("deeper") || done.error_message().contains("does not fit"),
        "{}",
        done.error_message()
    );
    let done = run(json!([{"values": {"spec": {"y": "a\u{0}b"}}}]), web());
    assert!(
        done.error_message().contains("not valid"),
        "{}",
        done.error_message()
    );
}
