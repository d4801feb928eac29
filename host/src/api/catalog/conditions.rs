//! Conditions of Backstage's permission framework: the catalog's six rules, joined by `allOf`, `anyOf` and `not`, and
//! whether they hold for one entity.

use greenroom_model::lower_case;
use serde_json::{Map, Value};

/// Deepest nesting, and most nodes, of one condition.
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 1_000;

/// A condition on one entity.
#[derive(Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// `HAS_ANNOTATION`, `HAS_LABEL`: a key below `metadata.<place>`, perhaps with this value.
    Key {
        place: &'static str,
        key: String,
        value: Option<String>,
    },
    /// `HAS_METADATA`, `HAS_SPEC`: a path below the part, perhaps with this value.
    Property {
        part: &'static str,
        path: String,
        value: Option<String>,
    },
    /// `IS_ENTITY_KIND`, without case.
    Kind(Vec<String>),
    /// `IS_ENTITY_OWNER`: one of these refs owns it.
    Owner(Vec<String>),
}

impl Condition {
    /// Reads a condition; the error says what is wrong with it.
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        parse(value, &mut 0, 1)
    }

    /// Whether it holds.
    pub(super) fn holds(&self, entity: &Value) -> bool {
        match self {
            Condition::All(inner) => inner.iter().all(|one| one.holds(entity)),
            Condition::Any(inner) => inner.iter().any(|one| one.holds(entity)),
            Condition::Not(inner) => !inner.holds(entity),
            Condition::Key { place, key, value } => {
                let found = entity["metadata"][place].get(key);
                found.is_some_and(|found| value.as_deref().is_none_or(|value| found == value))
            }
            Condition::Property { part, path, value } => {
                has_property(&entity[part], path, value.as_deref())
            }
            Condition::Kind(kinds) => {
                let kind = lower_case(entity["kind"].as_str().unwrap_or_default());
                kinds.iter().any(|wanted| lower_case(wanted) == kind)
            }
            Condition::Owner(claims) => {
                let relations = entity["relations"].as_array();
                relations.into_iter().flatten().any(|relation| {
                    relation["type"] == "ownedBy"
                        && claims.iter().any(|claim| relation["targetRef"] == **claim)
                })
            }
        }
    }
}

/// A path as lodash's `get` takes it: a key as it is, else its parts between dots.
fn has_property(part: &Value, path: &str, wanted: Option<&str>) -> bool {
    let found = part
        .get(path)
        .or_else(|| path.split('.').try_fold(part, |value, key| value.get(key)));
    match (found, wanted) {
        (None, _) => false,
        (Some(Value::Array(items)), Some(wanted)) => items.iter().any(|item| item == wanted),
        (Some(found), Some(wanted)) => found == wanted,
        (Some(found), None) => is_truthy(found),
    }
}

fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

fn parse(value: &Value, nodes: &mut usize, depth: usize) -> Result<Condition, String> {
    *nodes += 1;
    if depth > MAX_DEPTH || *nodes > MAX_NODES {
        return Err(format!(
            "conditions are deeper than {MAX_DEPTH} levels or more than {MAX_NODES}; make them smaller"
        ));
    }
    let object = value
        .as_object()
        .ok_or_else(|| "conditions must be an object".to_owned())?;
    if object.contains_key("rule") {
        return rule(object);
    }
    let mut members = object.iter();
    let (Some((operator, operand)), None) = (members.next(), members.next()) else {
        return Err("conditions must have one of `rule`, `allOf`, `anyOf`, `not`".to_owned());
    };
    let mut several = || match operand.as_array() {
        Some(inner) if !inner.is_empty() => inner
            .iter()
            .map(|one| parse(one, nodes, depth + 1))
            .collect::<Result<Vec<_>, _>>(),
        _ => Err(format!("`{operator}` must be a list with members")),
    };
    match operator.as_str() {
        "allOf" => several().map(Condition::All),
        "anyOf" => several().map(Condition::Any),
        "not" => Ok(Condition::Not(Box::new(parse(operand, nodes, depth + 1)?))),
        _ => Err("conditions must have one of `rule`, `allOf`, `anyOf`, `not`".to_owned()),
    }
}

fn rule(object: &Map<String, Value>) -> Result<Condition, String> {
    let name = object["rule"].as_str().unwrap_or_default();
    let params = object.get("params").and_then(Value::as_object);
    let given = |key: &str| params.and_then(|params| params.get(key));
    let wrong = |key: &str| format!("params of `{name}` must have `{key}` of the right type");
    let text = |key: &str| {
        let text = given(key).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| wrong(key))
    };
    let value = || match given("value") {
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value.clone())),
        Some(_) => Err(wrong("value")),
    };
    let texts = |key: &str| {
        let items = given(key).and_then(Value::as_array);
        let items = items.ok_or_else(|| wrong(key))?.iter();
        let items = items.map(|item| item.as_str().map(str::to_owned));
        items.collect::<Option<Vec<_>>>().ok_or_else(|| wrong(key))
    };
    let key = |place, key| {
        Ok(Condition::Key {
            place,
            key: text(key)?,
            value: value()?,
        })
    };
    let property = |part| {
        Ok(Condition::Property {
            part,
            path: text("key")?,
            value: value()?,
        })
    };
    match name {
        "HAS_ANNOTATION" => key("annotations", "annotation"),
        "HAS_LABEL" => key("labels", "label"),
        "HAS_METADATA" => property("metadata"),
        "HAS_SPEC" => property("spec"),
        "IS_ENTITY_KIND" => texts("kinds").map(Condition::Kind),
        "IS_ENTITY_OWNER" => texts("claims").map(Condition::Owner),
        _ => {
            let shown: String = name.chars().take(80).collect();
            Err(format!("Unexpected permission rule: {shown}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(condition: &Value) -> bool {
        let entity = json!({
            "kind": "Component",
            "metadata": {
                "annotations": {"a/b": "1", "null": null},
                "labels": {"tier": "gold"},
                "tags": ["java"],
                "a.b": "dotted",
            },
            "spec": {"owner": "x", "nested": {"deep": "y", "zero": 0}},
            "relations": [{"type": "ownedBy", "targetRef": "group:default/x"}],
        });
        Condition::parse(condition).unwrap().holds(&entity)
    }

    fn rule(name: &str, params: &Value) -> Value {
        json!({"rule": name, "resourceType": "catalog-entity", "params": params})
    }

    #[test]
    fn rules_hold_as_backstages_do() {
        for yes in [
            rule("HAS_ANNOTATION", &json!({"annotation": "a/b"})),
            rule(
                "HAS_ANNOTATION",
                &json!({"annotation": "a/b", "value": "1"}),
            ),
            rule("HAS_LABEL", &json!({"label": "tier", "value": "gold"})),
            rule("HAS_METADATA", &json!({"key": "tags", "value": "java"})),
            rule("HAS_METADATA", &json!({"key": "a.b", "value": "dotted"})),
            rule("HAS_SPEC", &json!({"key": "nested.deep"})),
            rule("IS_ENTITY_KIND", &json!({"kinds": ["api", "COMPONENT"]})),
            rule("IS_ENTITY_OWNER", &json!({"claims": ["group:default/x"]})),
            json!({"not": rule("HAS_SPEC", &json!({"key": "nested.zero"}))}),
            json!({"anyOf": [
                rule("HAS_LABEL", &json!({"label": "none"})),
                {"allOf": [rule("HAS_SPEC", &json!({"key": "owner", "value": "x"}))]},
            ]}),
        ] {
            assert!(holds(&yes), "{yes}");
        }
        for no in [
            rule("HAS_ANNOTATION", &json!({"annotation": "A/B"})),
            rule(
                "HAS_ANNOTATION",
                &json!({"annotation": "a/b", "value": "2"}),
            ),
            rule("HAS_SPEC", &json!({"key": "nested.none"})),
            rule("HAS_SPEC", &json!({"key": "owner", "value": "X"})),
            rule("IS_ENTITY_KIND", &json!({"kinds": []})),
            rule("IS_ENTITY_OWNER", &json!({"claims": ["Group:default/x"]})),
        ] {
            assert!(!holds(&no), "{no}");
        }
    }

    #[test]
    fn h09_what_is_no_condition_is_refused() {
        let mut deep = rule("HAS_SPEC", &json!({"key": "a"}));
        for _ in 0..MAX_DEPTH {
            deep = json!({"not": deep});
        }
        let wide = json!({"anyOf": vec![rule("HAS_SPEC", &json!({"key": "a"})); MAX_NODES]});
        for bad in [
            deep,
            wide,
            json!([]),
            json!({}),
            json!({"allOf": []}),
            json!({"anyOf": {}}),
            json!({"nor": []}),
            json!({"allOf": [{"not": 1}]}),
            rule("IS_ADMIN", &json!({})),
            rule("HAS_SPEC", &json!({})),
            rule("HAS_SPEC", &json!({"key": "a", "value": 1})),
            rule("IS_ENTITY_KIND", &json!({"kinds": [1]})),
        ] {
            assert!(Condition::parse(&bad).is_err(), "{bad}");
        }
    }
}
