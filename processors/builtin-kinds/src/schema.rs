//! Checks a `spec` against its kind, and says the first error as Backstage's validator (Ajv) does.

use std::fmt;

use greenroom_sdk::{Entity, Value};

use crate::kinds::{Kind, Shape};

/// The first thing wrong with an entity, with Ajv's words and parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SchemaError {
    path: String,
    problem: String,
    parameters: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SchemaError {
            path,
            problem,
            parameters,
        } = self;
        write!(f, "TypeError: {path} {problem} - {parameters}")
    }
}

/// Checks what the kind says about `spec`.
pub(crate) fn check(kind: &Kind, entity: &Entity) -> Result<(), SchemaError> {
    let spec = match entity.as_map().get("spec") {
        None => return Err(missing("<root>", "spec")),
        Some(Value::Object(spec)) => spec,
        Some(_) => return Err(wrong_type("/spec".to_owned(), "object")),
    };
    for name in kind.required {
        if !spec.contains_key(*name) {
            return Err(missing("/spec", name));
        }
    }
    for (name, shape) in kind.fields {
        if let Some(value) = spec.get(*name) {
            check_shape(value, *shape, format!("/spec/{name}"))?;
        }
    }
    Ok(())
}

fn check_shape(value: &Value, shape: Shape, path: String) -> Result<(), SchemaError> {
    match shape {
        Shape::Text => check_text(value, path, true),
        Shape::Texts => {
            let Value::Array(items) = value else {
                return Err(wrong_type(path, "array"));
            };
            for (index, item) in items.iter().enumerate() {
                check_text(item, format!("{path}/{index}"), true)?;
            }
            Ok(())
        }
        Shape::Profile => {
            let Value::Object(profile) = value else {
                return Err(wrong_type(path, "object"));
            };
            for name in ["displayName", "email", "picture"] {
                if let Some(value) = profile.get(name) {
                    check_text(value, format!("{path}/{name}"), true)?;
                }
            }
            Ok(())
        }
        Shape::Presence => {
            check_text(value, path.clone(), false)?;
            if matches!(value.as_str(), Some("required" | "optional")) {
                return Ok(());
            }
            Err(SchemaError {
                path,
                problem: "must be equal to one of the allowed values".to_owned(),
                parameters: "allowedValues: required,optional".to_owned(),
            })
        }
    }
}

fn check_text(value: &Value, path: String, non_empty: bool) -> Result<(), SchemaError> {
    match value {
        Value::String(text) if text.is_empty() && non_empty => Err(SchemaError {
            path,
            problem: "must NOT have fewer than 1 characters".to_owned(),
            parameters: "limit: 1".to_owned(),
        }),
        Value::String(_) => Ok(()),
        _ => Err(wrong_type(path, "string")),
    }
}

fn missing(path: &str, name: &str) -> SchemaError {
    SchemaError {
        path: path.to_owned(),
        problem: format!("must have required property '{name}'"),
        parameters: format!("missingProperty: {name}"),
    }
}

fn wrong_type(path: String, expected: &str) -> SchemaError {
    SchemaError {
        path,
        problem: format!("must be {expected}"),
        parameters: format!("type: {expected}"),
    }
}
