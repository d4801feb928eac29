//! Verdicts, relations and sorting of Backstage's own kinds.

use greenroom_sdk::testing::{self, Outcome};
use greenroom_sdk::{Entity, Value, entity, json};

use super::*;

fn made(kind: &str, spec: Value) -> Entity {
    let mut made = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": kind,
        "metadata": {"name": "Me", "namespace": "ns"}
    });
    made["spec"] = spec;
    Entity::from_value(made).unwrap()
}

fn run(kind: &str, spec: Value) -> Outcome {
    testing::run(BuiltinKinds, made(kind, spec))
}

fn relations(kind: &str, spec: Value) -> Vec<String> {
    let done = run(kind, spec);
    assert_eq!(done.error, None);
    done.relations
        .iter()
        .map(|r| format!("{} {} {}", r.source, r.r#type, r.target))
        .collect()
}

#[test]
fn every_kind_is_recognised() {
    for (kind, spec) in [
        (
            "Component",
            json!({"type": "x", "lifecycle": "x", "owner": "x", "dependsOn": ["a:b"]}),
        ),
        (
            "API",
            json!({"type": "x", "lifecycle": "x", "owner": "x", "definition": "x"}),
        ),
        ("Resource", json!({"type": "x", "owner": "x", "extra": 1})),
        ("System", json!({"owner": "x"})),
        ("Domain", json!({"owner": "x", "subdomainOf": "y"})),
        (
            "Group",
            json!({"type": "x", "children": [], "profile": {"displayName": "x"}}),
        ),
        ("User", json!({"memberOf": []})),
        (
            "Location",
            json!({"presence": "optional", "targets": ["a"]}),
        ),
    ] {
        let done = run(kind, spec);
        assert!(done.recognised, "{kind}: {}", done.error_message());
    }
}

#[test]
fn the_first_error_is_ajvs() {
    for (kind, spec, expected) in [
        (
            "Component",
            json!({"type": "x", "owner": 1}),
            "/spec must have required property 'lifecycle' - missingProperty: lifecycle",
        ),
        (
            "Component",
            json!({"type": "x", "lifecycle": "", "owner": 1}),
            "/spec/lifecycle must NOT have fewer than 1 characters - limit: 1",
        ),
        (
            "Component",
            json!({"type": "x", "lifecycle": "x", "owner": "x", "dependsOn": "a"}),
            "/spec/dependsOn must be array - type: array",
        ),
        (
            "Component",
            json!({"type": "x", "lifecycle": "x", "owner": "x", "dependsOn": ["a:b", 1]}),
            "/spec/dependsOn/1 must be string - type: string",
        ),
        (
            "API",
            json!({"type": "x", "lifecycle": "x", "owner": "x", "definition": null}),
            "/spec/definition must be string - type: string",
        ),
        (
            "User",
            json!({"memberOf": [], "profile": {"email": ""}}),
            "/spec/profile/email must NOT have fewer than 1 characters - limit: 1",
        ),
        (
            "Location",
            json!({"presence": "maybe"}),
            "/spec/presence must be equal to one of the allowed values - allowedValues: required,optional",
        ),
        ("System", json!([]), "/spec must be object - type: object"),
    ] {
        let done = run(kind, spec);
        assert_eq!(done.error_message(), format!("TypeError: {expected}"));
    }
    let mut bare = made("System", json!({})).into_value();
    bare.as_object_mut().unwrap().remove("spec");
    let done = testing::run(BuiltinKinds, Entity::from_value(bare).unwrap());
    assert_eq!(
        done.error_message(),
        "TypeError: <root> must have required property 'spec' - missingProperty: spec"
    );
}

#[test]
fn foreign_kinds_are_not_ours() {
    for (version, kind) in [
        ("backstage.io/v1alpha1", "component"),
        ("backstage.io/v1alpha1", "AiResource"),
        ("backstage.io/v1", "Component"),
    ] {
        let foreign = entity!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}});
        let done = testing::run(BuiltinKinds, foreign);
        assert!(!done.recognised && done.error.is_none());
    }
}

#[test]
fn relations_go_both_ways_with_default_kind_and_namespace() {
    assert_eq!(
        relations(
            "Component",
            json!({
                "type": "x", "lifecycle": "x", "owner": "user:other/Jane", "system": "s",
                "subcomponentOf": "c", "providesApis": ["p"], "consumesApis": ["q"],
                "dependsOn": ["Resource:db"], "dependencyOf": ["component:up"]
            })
        ),
        [
            "component:ns/me ownedBy user:other/jane",
            "user:other/jane ownerOf component:ns/me",
            "component:ns/me partOf component:ns/c",
            "component:ns/c hasPart component:ns/me",
            "component:ns/me providesApi api:ns/p",
            "api:ns/p apiProvidedBy component:ns/me",
            "component:ns/me consumesApi api:ns/q",
            "api:ns/q apiConsumedBy component:ns/me",
            "component:ns/me dependsOn resource:ns/db",
            "resource:ns/db dependencyOf component:ns/me",
            "component:ns/me dependencyOf component:ns/up",
            "component:ns/up dependsOn component:ns/me",
            "component:ns/me partOf system:ns/s",
            "system:ns/s hasPart component:ns/me",
        ]
    );
    assert_eq!(
        relations(
            "Group",
            json!({"type": "x", "parent": "p", "children": ["c"], "members": ["m"]})
        ),
        [
            "group:ns/me childOf group:ns/p",
            "group:ns/p parentOf group:ns/me",
            "group:ns/me parentOf group:ns/c",
            "group:ns/c childOf group:ns/me",
            "group:ns/me hasMember user:ns/m",
            "user:ns/m memberOf group:ns/me",
        ]
    );
    assert_eq!(relations("User", json!({"memberOf": ["g"]})).len(), 2);
    assert_eq!(
        relations("System", json!({"owner": "o", "domain": "d"})).len(),
        4
    );
    assert_eq!(
        relations("Domain", json!({"owner": "o", "subdomainOf": "d"})).len(),
        4
    );
}

#[test]
fn a_ref_without_its_mandatory_kind_fails_the_entity() {
    let done = run(
        "Resource",
        json!({"type": "x", "owner": "o", "dependsOn": ["db"]}),
    );
    assert!(done.error_message().contains("had missing or empty kind"));
}

#[test]
fn refs_are_sorted_as_javascript_sorts() {
    let done = run(
        "User",
        json!({"memberOf": ["b", "\u{1F600}", "\u{FF5E}", "a", "B"], "other": ["b", "a"]}),
    );
    let spec = done.entity.spec().unwrap();
    assert_eq!(
        spec["memberOf"],
        json!(["B", "a", "b", "\u{1F600}", "\u{FF5E}"])
    );
    assert_eq!(spec["other"], json!(["b", "a"]));
    let mixed = run("Location", json!({"members": ["b", 1, "a"]}));
    assert_eq!(
        mixed.entity.spec().unwrap()["members"],
        json!(["b", 1, "a"])
    );
}
