//! What the evaluator says of good, bad and hostile schemas and configurations.

use serde_json::{Value, json};

use super::*;

fn schema(schema: &Value) -> ConfigSchema {
    ConfigSchema::parse(&schema.to_string()).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

fn refused(schema: &Value) -> String {
    match ConfigSchema::parse(&schema.to_string()) {
        Ok(_) => panic!("{schema} is taken"),
        Err(error) => error.to_string(),
    }
}

/// Each schema with values that match and values that do not.
#[test]
fn every_keyword_asserts_what_its_draft_says() {
    let cases: Vec<(Value, Vec<Value>, Vec<Value>)> = vec![
        (json!({}), vec![json!(1), json!({"a": null})], vec![]),
        (json!(false), vec![], vec![json!(1)]),
        (
            json!({"type": "integer"}),
            vec![json!(1), json!(1.0), json!(-0.0), json!(1e300)],
            vec![json!(1.5), json!("1"), json!(true)],
        ),
        (
            json!({"type": ["null", "object"]}),
            vec![json!(null), json!({})],
            vec![json!([]), json!(0)],
        ),
        (
            json!({"enum": [1, "a", {"b": [1.0]}]}),
            vec![json!(1.0), json!("a"), json!({"b": [1]})],
            vec![json!("A"), json!({"b": []})],
        ),
        (
            json!({"const": {"a": 1, "b": 2}}),
            vec![json!({"b": 2.0, "a": 1})],
            vec![json!({"a": 1})],
        ),
        (
            json!({"minimum": 2, "maximum": 3}),
            vec![json!(2), json!(3.0), json!("x")],
            vec![json!(1.9), json!(4)],
        ),
        (
            json!({"exclusiveMinimum": 2, "exclusiveMaximum": 3}),
            vec![json!(2.5)],
            vec![json!(2), json!(3)],
        ),
        (
            json!({"minimum": 9_007_199_254_740_993_u64}),
            vec![json!(9_007_199_254_740_993_u64)],
            vec![json!(9_007_199_254_740_992_u64)],
        ),
        (
            json!({"multipleOf": 0.01}),
            vec![json!(0.07), json!(19.99), json!(0)],
            vec![json!(0.075)],
        ),
        (
            json!({"multipleOf": 3}),
            vec![json!(9), json!(-3.0)],
            vec![json!(10)],
        ),
        (
            json!({"minLength": 2, "maxLength": 3}),
            vec![json!("éé"), json!("😀😀😀"), json!(1)],
            vec![json!("a"), json!("aaaa")],
        ),
        (
            json!({"pattern": "^a+$"}),
            vec![json!("aa"), json!(1)],
            vec![json!("ab")],
        ),
        (
            json!({"pattern": "b"}),
            vec![json!("abc")],
            vec![json!("ac")],
        ),
        (json!({"format": "email"}), vec![json!("not one")], vec![]),
        (
            json!({"items": {"type": "string"}}),
            vec![json!([]), json!(["a"]), json!({"0": 1})],
            vec![json!(["a", 1])],
        ),
        (
            json!({"prefixItems": [{"type": "string"}], "items": {"type": "number"}}),
            vec![json!(["a", 1]), json!([])],
            vec![json!([1]), json!(["a", "b"])],
        ),
        (
            json!({"items": [{"type": "string"}], "additionalItems": false}),
            vec![json!(["a"])],
            vec![json!(["a", 1])],
        ),
        (json!({"additionalItems": false}), vec![json!([1])], vec![]),
        (
            json!({"minItems": 1, "maxItems": 2}),
            vec![json!([1])],
            vec![json!([]), json!([1, 2, 3])],
        ),
        (
            json!({"uniqueItems": true}),
            vec![json!([1, "1", [1], {"a": 1}])],
            vec![json!([1, 1.0]), json!([{"a": 1, "b": 2}, {"b": 2, "a": 1}])],
        ),
        (
            json!({"contains": {"type": "string"}}),
            vec![json!([1, "a"])],
            vec![json!([]), json!([1])],
        ),
        (
            json!({"contains": {"type": "string"}, "minContains": 0, "maxContains": 1}),
            vec![json!([]), json!(["a"])],
            vec![json!(["a", "b"])],
        ),
        (
            json!({"required": ["a"]}),
            vec![json!({"a": null}), json!([])],
            vec![json!({})],
        ),
        (
            json!({"properties": {"a": {"type": "string"}, "b": false}}),
            vec![json!({"a": "x", "c": 1})],
            vec![json!({"a": 1}), json!({"b": 1})],
        ),
        (
            json!({"properties": {"a": {}}, "patternProperties": {"^x-": {"type": "number"}}, "additionalProperties": false}),
            vec![json!({"a": 1, "x-b": 2})],
            vec![json!({"x-b": "2"}), json!({"c": 1})],
        ),
        (
            json!({"additionalProperties": {"type": "string"}}),
            vec![json!({"a": "b"})],
            vec![json!({"a": 1})],
        ),
        (
            json!({"propertyNames": {"maxLength": 2}}),
            vec![json!({"ab": 1})],
            vec![json!({"abc": 1})],
        ),
        (
            json!({"minProperties": 1, "maxProperties": 1}),
            vec![json!({"a": 1})],
            vec![json!({}), json!({"a": 1, "b": 2})],
        ),
        (
            json!({"dependentRequired": {"a": ["b"]}}),
            vec![json!({"b": 1}), json!({"a": 1, "b": 1})],
            vec![json!({"a": 1})],
        ),
        (
            json!({"dependentSchemas": {"a": {"required": ["b"]}}}),
            vec![json!({})],
            vec![json!({"a": 1})],
        ),
        (
            json!({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}),
            vec![json!({"c": 1, "d": 1})],
            vec![json!({"a": 1}), json!({"c": 1})],
        ),
        (
            json!({"allOf": [{"type": "number"}, {"minimum": 1}]}),
            vec![json!(1)],
            vec![json!(0), json!("a")],
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"minimum": 1}]}),
            vec![json!("a"), json!(1)],
            vec![json!(0)],
        ),
        (
            json!({"oneOf": [{"type": "number"}, {"minimum": 1}]}),
            vec![json!(0), json!("a")],
            vec![json!(1)],
        ),
        (
            json!({"not": {"type": "string"}}),
            vec![json!(1)],
            vec![json!("a")],
        ),
        (
            json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}),
            vec![json!({"a": 1, "b": 1}), json!({"c": 1})],
            vec![json!({"a": 1, "c": 1}), json!({"b": 1})],
        ),
        (
            json!({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "string"}}}),
            vec![json!("x")],
            vec![json!(1)],
        ),
        (
            json!({"properties": {"child": {"$ref": "#"}}, "additionalProperties": false}),
            vec![json!({"child": {"child": {}}})],
            vec![json!({"child": {"other": 1}})],
        ),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "title": "t", "x-ours": 1}),
            vec![json!(1)],
            vec![],
        ),
    ];
    for (text, good, bad) in cases {
        let checked = schema(&text);
        for value in good {
            assert_eq!(checked.check(&value), Ok(()), "{text} of {value}");
        }
        for value in bad {
            let mismatch = checked.check(&value);
            assert!(
                matches!(mismatch, Err(ConfigMismatch::Value { .. })),
                "{text} of {value}: {mismatch:?}"
            );
        }
    }
}

#[test]
fn c27_a_mismatch_names_both_paths() {
    let checked = schema(&json!({
        "properties": {"teams": {"items": {"$ref": "#/$defs/team"}}},
        "$defs": {"team": {"required": ["na/me"], "properties": {"size": {"maximum": 9}}}},
    }));
    let said = |config| checked.check(&config).unwrap_err().to_string();
    assert_eq!(
        said(json!({"teams": [{"na/me": 1}, {"na/me": 1, "size": 10}]})),
        "config/teams/1/size must be <= 9 (schema path #/properties/teams/items/$ref/properties/size/maximum)"
    );
    assert_eq!(
        said(json!({"teams": [{}]})),
        "config/teams/0 must have required property 'na~1me' \
         (schema path #/properties/teams/items/$ref/required)"
    );
    // A branch that did not match leaves no trace in the path of what comes after it.
    let checked = schema(&json!({
        "anyOf": [{"properties": {"a": {"type": "string"}}}, true], "required": ["b"],
    }));
    let said = checked.check(&json!({"a": 1})).unwrap_err().to_string();
    assert_eq!(
        said,
        "config must have required property 'b' (schema path #/required)"
    );
}

#[test]
fn what_is_no_schema_is_refused_where_it_is_wrong() {
    for (bad, path) in [
        (json!([]), "`#`"),
        (json!({"type": "text"}), "`#/type`"),
        (json!({"type": []}), "`#/type`"),
        (json!({"required": "a"}), "`#/required`"),
        (json!({"properties": {"a/b": 1}}), "`#/properties/a~1b`"),
        (json!({"properties": []}), "`#/properties`"),
        (json!({"items": {"enum": 1}}), "`#/items/enum`"),
        (json!({"allOf": []}), "`#/allOf`"),
        (json!({"oneOf": [{}, 1]}), "`#/oneOf/1`"),
        (json!({"minLength": -1}), "`#/minLength`"),
        (json!({"exclusiveMinimum": true}), "`#/exclusiveMinimum`"),
        (json!({"multipleOf": 0}), "`#/multipleOf`"),
        (json!({"uniqueItems": 1}), "`#/uniqueItems`"),
        (json!({"pattern": "(?=a)"}), "`#/pattern`"),
        (json!({"pattern": "(a{1000}){1000}"}), "`#/pattern`"),
        (
            json!({"patternProperties": {"(": {}}}),
            "`#/patternProperties`",
        ),
        (json!({"$ref": "#/$defs/a"}), "`#/$ref`"),
        (json!({"$ref": "#a"}), "`#/$ref`"),
        (
            json!({"$ref": "https://example.com/schema.json"}),
            "`#/$ref`",
        ),
        (json!({"$ref": "file:///etc/passwd"}), "`#/$ref`"),
        (json!({"$ref": "#/title", "title": "t"}), "`#/$ref`"),
        (
            json!({"items": {"$id": "https://example.com/"}}),
            "`#/items/$id`",
        ),
        (
            json!({"unevaluatedProperties": false}),
            "`#/unevaluatedProperties`",
        ),
        (json!({"$dynamicRef": "#"}), "`#/$dynamicRef`"),
        (
            json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
            "`#/$schema`",
        ),
        (json!({"dependencies": {"a": [1]}}), "`#/dependencies/a`"),
    ] {
        let said = refused(&bad);
        assert!(said.contains(path), "{bad}: {said}");
    }
    assert!(ConfigSchema::parse("{").is_err());
    assert!(ConfigSchema::parse(&format!("\"{}\"", "x".repeat(70_000))).is_err());
}

#[test]
fn a_schema_has_a_bounded_size_and_depth() {
    let mut deep = json!({});
    for _ in 0..70 {
        deep = json!({"not": deep});
    }
    assert!(refused(&deep).contains("deeper"));
    let many = vec![json!({}); 5_000];
    assert!(refused(&json!({"anyOf": many})).contains("subschemas"));
    let patterns: serde_json::Map<String, Value> =
        (0..200).map(|n| (format!("a{n}"), json!({}))).collect();
    assert!(refused(&json!({"patternProperties": patterns})).contains("patterns"));
    assert!(ConfigSchema::parse(&"[".repeat(60_000)).is_err());
}

/// Each is small, asks for more than any machine has, and is told so at once.
#[test]
fn c27_a_schema_that_never_ends_is_stopped() {
    let mut doubling = serde_json::Map::new();
    for n in 0..60 {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        doubling.insert(format!("d{n}"), json!({"allOf": [next, next]}));
    }
    doubling.insert("d60".to_owned(), json!({"type": "object"}));
    let mut nested = json!({"a": 1});
    for _ in 0..60 {
        nested = json!({"a": nested});
    }
    let many: Vec<Value> = (0..20_000).map(|n| json!(n)).collect();
    let costly = [
        (json!({"$ref": "#"}), json!({})),
        (json!({"$ref": "#/$defs/d0", "$defs": doubling}), json!({})),
        (
            json!({"anyOf": [{"$ref": "#/not"}], "not": {"not": {"$ref": "#/anyOf/0"}}}),
            json!({}),
        ),
        (
            json!({"anyOf": [{"additionalProperties": {"$ref": "#"}, "minProperties": 2},
                             {"additionalProperties": {"$ref": "#"}, "minProperties": 2}]}),
            nested,
        ),
        (json!({"uniqueItems": true}), json!(many)),
    ];
    for (hostile, value) in costly {
        let checked = schema(&hostile).check(&value);
        assert_eq!(checked, Err(ConfigMismatch::TooCostly), "{hostile:.80}");
    }
    // What would backtrace for ages elsewhere is a plain answer here.
    let pattern = schema(&json!({"pattern": "^(a+)+$"}));
    let text = format!("{}b", "a".repeat(50_000));
    assert!(pattern.check(&json!(text)).is_err());
}
