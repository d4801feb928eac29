//! Checks a value against the rules and says the first error as Backstage's validator (Ajv) does.
//!
//! The rules are a finite tree, so recursion follows their depth and not the input's.

use std::fmt;

use greenroom_sdk::{Map, Value};

use crate::rules::{Object, Rule};

/// The first thing wrong, with Ajv's words and parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SchemaError {
    path: String,
    problem: String,
    parameters: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "<root>"
        } else {
            &self.path
        };
        write!(
            f,
            "TypeError: {path} {} - {}",
            self.problem, self.parameters
        )
    }
}

/// Checks the whole entity.
pub(crate) fn check(rules: &Object, entity: &Map<String, Value>) -> Result<(), SchemaError> {
    check_object(rules, entity, "")
}

fn check_object(rules: &Object, map: &Map<String, Value>, path: &str) -> Result<(), SchemaError> {
    for name in rules.required {
        if !map.contains_key(*name) {
            return Err(SchemaError {
                path: path.to_owned(),
                problem: format!("must have required property '{name}'"),
                parameters: format!("missingProperty: {name}"),
            });
        }
    }
    if let Some(rule) = rules.others {
        for (name, value) in map {
            if !rules.fields.iter().any(|(field, _)| field == name) {
                check_rule(rule, value, &child(path, name))?;
            }
        }
    }
    for (name, rule) in rules.fields {
        if let Some(value) = map.get(*name) {
            check_rule(*rule, value, &child(path, name))?;
        }
    }
    Ok(())
}

fn check_rule(rule: Rule, value: &Value, path: &str) -> Result<(), SchemaError> {
    match (rule, value) {
        (Rule::Text | Rule::TextOrBool, Value::String(_)) | (Rule::TextOrBool, Value::Bool(_)) => {
            Ok(())
        }
        (Rule::NonEmpty, Value::String(text)) if text.is_empty() => Err(SchemaError {
            path: path.to_owned(),
            problem: "must NOT have fewer than 1 characters".to_owned(),
            parameters: "limit: 1".to_owned(),
        }),
        (Rule::NonEmpty, Value::String(_)) => Ok(()),
        (Rule::Text | Rule::NonEmpty, _) => Err(wrong_type(path, "string")),
        (Rule::TextOrBool, _) => Err(wrong_type(path, "string,boolean")),
        (Rule::Array(rule), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                check_rule(*rule, item, &format!("{path}/{index}"))?;
            }
            Ok(())
        }
        (Rule::Array(_), _) => Err(wrong_type(path, "array")),
        (Rule::Object(rules) | Rule::OneOrMany(rules), Value::Object(map)) => {
            check_object(rules, map, path)
        }
        (Rule::OneOrMany(rules), Value::Array(items))
            if items.iter().all(|item| {
                item.as_object()
                    .is_some_and(|map| check_object(rules, map, path).is_ok())
            }) =>
        {
            Ok(())
        }
        (Rule::Object(_) | Rule::OneOrMany(_), _) => Err(wrong_type(path, "object")),
    }
}

/// JSON pointer of a field, cut like every message.
fn child(path: &str, name: &str) -> String {
    let name: String = name.chars().take(200).collect();
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn wrong_type(path: &str, expected: &str) -> SchemaError {
    SchemaError {
        path: path.to_owned(),
        problem: format!("must be {expected}"),
        parameters: format!("type: {expected}"),
    }
}
