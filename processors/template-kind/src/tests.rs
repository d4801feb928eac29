//! The verdicts of the scaffolder's schema, first error only, and ownership.

use greenroom_sdk::testing::{self, Outcome};
use greenroom_sdk::{Value, entity, json};

use super::*;

fn run(spec: Value) -> Outcome {
    let mut template = json!({
        "apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "t", "namespace": "ns"}
    });
    template["spec"] = spec;
    testing::run(TemplateKind, Entity::from_value(template).unwrap())
}

#[test]
fn a_template_is_recognised_and_owned() {
    let done = run(json!({
        "type": "service", "owner": "team-a", "parameters": [{"title": "x"}],
        "steps": [{"id": "a", "action": "fetch", "if": true, "input": {}}],
        "output": {"links": [{"url": "u"}], "remoteUrl": "x"}
    }));
    assert!(done.recognised);
    let relations: Vec<_> = done
        .relations
        .iter()
        .map(|r| format!("{} {} {}", r.source, r.r#type, r.target))
        .collect();
    assert_eq!(
        relations,
        [
            "template:ns/t ownedBy group:ns/team-a",
            "group:ns/team-a ownerOf template:ns/t"
        ]
    );
}

#[test]
fn the_first_error_is_ajvs() {
    let cases = [
        (json!([]), "/spec must be object - type: object"),
        (
            json!({}),
            "/spec must have required property 'type' - missingProperty: type",
        ),
        (
            json!({"type": "", "steps": []}),
            "/spec/type must NOT have fewer than 1 characters - limit: 1",
        ),
        (
            json!({"type": "x", "steps": [{"id": 1, "action": "a"}]}),
            "/spec/steps/0/id must be string - type: string",
        ),
        (
            json!({"type": "x", "steps": [{}]}),
            "/spec/steps/0 must have required property 'action' - missingProperty: action",
        ),
        (
            json!({"type": "x", "steps": [{"action": "a", "if": 1}]}),
            "/spec/steps/0/if must be string,boolean - type: string,boolean",
        ),
        (
            json!({"type": "x", "steps": [], "parameters": [1]}),
            "/spec/parameters must be object - type: object",
        ),
        (
            json!({"type": "x", "steps": [], "output": {"a/b": 1}}),
            "/spec/output/a~1b must be string - type: string",
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(run(spec).error_message(), format!("TypeError: {expected}"));
    }
}

#[test]
fn other_versions_and_kinds_are_not_ours() {
    for (version, kind) in [
        ("backstage.io/v1beta2", "Template"),
        (API_VERSION, "template"),
    ] {
        let other = entity!({"apiVersion": version, "kind": kind, "metadata": {"name": "t"}});
        let done = testing::run(TemplateKind, other);
        assert!(!done.recognised && done.error.is_none());
    }
}
