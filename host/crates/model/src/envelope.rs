//! The envelope check: what must hold before anything can be said about an entity (ref §2.2 step 1).
//!
//! Messages of schema failures are those of Backstage's validator (Ajv), first error only, with its
//! parameters: `/metadata must have required property 'name' - missingProperty: name`. Three checks
//! are ours: depth, because code below recurses over values; NUL, because it must be an error of
//! the entity and never one of the database (y05); and numbers are put into JavaScript's form, so
//! that a body serialises as Backstage would serve it (y06). The walk is bounded by the depth.

use serde_json::{Map, Number, Value};

use crate::entity_ref::{DEFAULT_NAMESPACE, EntityRef, MAX_REF_BYTES};

/// Deepest nesting of objects and arrays in an entity, its own object included. Below
/// `serde_json`'s 127 so that a stored or sent record can wrap an entity and still be parsed.
pub const MAX_DEPTH: usize = 120;

/// Why a value is no entity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A ref of more bytes than are kept.
    #[error(
        "kind, namespace and name have more than {MAX_REF_BYTES} bytes together; shorten the name"
    )]
    LongRef,
    /// The text is no JSON; the message is the parser's, with line and column.
    #[error("the entity is not valid JSON: {0}")]
    Json(String),
    /// Nested too deep.
    #[error(
        "the entity is nested deeper than {MAX_DEPTH}; flatten it or move the data into a file"
    )]
    TooDeep,
    /// A string or key with U+0000, which no database keeps.
    #[error("{} contains a NUL character; remove it", if .path.is_empty() { "<root>" } else { .path })]
    Nul {
        /// JSON pointer of the string, or of the object whose key it is; empty for the entity itself.
        path: String,
    },
    /// The envelope schema does not hold, in Ajv's words.
    #[error("{path} {problem}{}", .parameters.as_deref().map(|p| format!(" - {p}")).unwrap_or_default())]
    Schema {
        /// JSON pointer, `<root>` for the entity itself.
        path: String,
        /// Such as `must be string`.
        problem: String,
        /// Such as `type: string`.
        parameters: Option<String>,
    },
}

impl EnvelopeError {
    /// Backstage's error name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            EnvelopeError::Schema { .. } => "TypeError",
            EnvelopeError::Json(_) => "SyntaxError",
            EnvelopeError::LongRef | EnvelopeError::TooDeep | EnvelopeError::Nul { .. } => {
                "InputError"
            }
        }
    }

    /// The same error, seen from one level further up.
    fn below(self, piece: &str) -> EnvelopeError {
        match self {
            EnvelopeError::Nul { path } => EnvelopeError::Nul {
                path: format!("/{piece}{path}"),
            },
            other => other,
        }
    }
}

/// Parses JSON after checking its depth on the text, so that the verdict does not depend on the
/// parser's own limit.
pub(crate) fn parse(text: &str) -> Result<Value, EnvelopeError> {
    check_text_depth(text.as_bytes())?;
    serde_json::from_str(text).map_err(|error| EnvelopeError::Json(error.to_string()))
}

/// Checks a value and returns its object.
pub(crate) fn check(value: Value) -> Result<Map<String, Value>, EnvelopeError> {
    let Value::Object(mut map) = value else {
        return Err(wrong_type("<root>", "object"));
    };
    for key in ["apiVersion", "kind", "metadata"] {
        if !map.contains_key(key) {
            return Err(missing("<root>", key));
        }
    }
    non_empty_string(&map, "apiVersion", "/apiVersion")?;
    non_empty_string(&map, "kind", "/kind")?;
    let Some(Value::Object(metadata)) = map.get("metadata") else {
        return Err(wrong_type("/metadata", "object"));
    };
    if !metadata.contains_key("name") {
        return Err(missing("/metadata", "name"));
    }
    non_empty_string(metadata, "name", "/metadata/name")?;
    non_empty_string(metadata, "namespace", "/metadata/namespace")?;
    short_ref(&map, metadata)?;
    normalise_object(&mut map, 1)?;
    Ok(map)
}

fn short_ref(map: &Map<String, Value>, metadata: &Map<String, Value>) -> Result<(), EnvelopeError> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let namespace = match text(metadata.get("namespace")) {
        absent if absent.is_empty() => DEFAULT_NAMESPACE.to_owned(),
        namespace => namespace,
    };
    let entity_ref = EntityRef::new(
        &text(map.get("kind")),
        &namespace,
        &text(metadata.get("name")),
    );
    if entity_ref.as_str().len() > MAX_REF_BYTES {
        return Err(EnvelopeError::LongRef);
    }
    Ok(())
}

fn non_empty_string(map: &Map<String, Value>, key: &str, path: &str) -> Result<(), EnvelopeError> {
    match map.get(key) {
        None => Ok(()),
        Some(Value::String(text)) if text.is_empty() => Err(EnvelopeError::Schema {
            path: path.to_owned(),
            problem: "must NOT have fewer than 1 characters".to_owned(),
            parameters: Some("limit: 1".to_owned()),
        }),
        Some(Value::String(_)) => Ok(()),
        Some(_) => Err(wrong_type(path, "string")),
    }
}

fn wrong_type(path: &str, expected: &str) -> EnvelopeError {
    EnvelopeError::Schema {
        path: path.to_owned(),
        problem: format!("must be {expected}"),
        parameters: Some(format!("type: {expected}")),
    }
}

fn missing(path: &str, key: &str) -> EnvelopeError {
    EnvelopeError::Schema {
        path: path.to_owned(),
        problem: format!("must have required property '{key}'"),
        parameters: Some(format!("missingProperty: {key}")),
    }
}

fn check_text_depth(text: &[u8]) -> Result<(), EnvelopeError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(EnvelopeError::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Errors get their path on the way out, so that the way in costs nothing.
fn normalise_object(map: &mut Map<String, Value>, depth: usize) -> Result<(), EnvelopeError> {
    for (key, value) in map.iter_mut() {
        if has_nul(key) {
            return Err(nul());
        }
        normalise(value, depth).map_err(|error| error.below(&pointer_piece(key)))?;
    }
    Ok(())
}

fn normalise(value: &mut Value, depth: usize) -> Result<(), EnvelopeError> {
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::Number(number) => {
            if let Some(changed) = javascript_number(number) {
                *value = changed;
            }
            Ok(())
        }
        Value::String(text) if has_nul(text) => Err(nul()),
        Value::String(_) => Ok(()),
        Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => Err(EnvelopeError::TooDeep),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                normalise(item, depth + 1).map_err(|error| error.below(&index.to_string()))?;
            }
            Ok(())
        }
        Value::Object(map) => normalise_object(map, depth + 1),
    }
}

fn has_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

fn nul() -> EnvelopeError {
    EnvelopeError::Nul {
        path: String::new(),
    }
}

/// A key as a piece of a JSON pointer, cut at 200 characters.
fn pointer_piece(key: &str) -> String {
    let mut piece = String::new();
    for c in key.chars().take(200) {
        match c {
            '~' => piece.push_str("~0"),
            '/' => piece.push_str("~1"),
            c => piece.push(c),
        }
    }
    piece
}

/// The form JavaScript would give the number, when it is another one: whole doubles are integers,
/// integers beyond 2⁵³ are rounded to a double. Whole doubles of 2⁶³ and more stay floats, whose
/// exponent form is the same JSON number.
fn javascript_number(number: &Number) -> Option<Value> {
    const FITS_I64: f64 = 9.0e18;
    if number.as_i64().is_some_and(|n| n.unsigned_abs() <= 1 << 53) {
        return None;
    }
    let float = number.as_f64()?;
    let same = if float.fract() == 0.0 && float.abs() < FITS_I64 {
        Number::from(float as i64)
    } else {
        Number::from_f64(float)?
    };
    (same != *number).then_some(Value::Number(same))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Entity;

    fn message(value: Value) -> String {
        Entity::from_value(value).unwrap_err().to_string()
    }

    #[test]
    fn a_ref_has_at_most_1_000_bytes() {
        let named = |bytes: usize| {
            let name = "n".repeat(bytes - "component:default/".len());
            let entity = json!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": name, "namespace": "default"}});
            Entity::from_value(entity).map(|entity| entity.entity_ref().as_str().len())
        };
        assert_eq!(named(1_000), Ok(1_000));
        assert_eq!(named(1_001), Err(EnvelopeError::LongRef));
        let text = format!("component:default/{}", "n".repeat(1_000));
        assert!(matches!(
            EntityRef::parse(&text),
            Err(crate::RefError::TooLong(_))
        ));
    }

    #[test]
    fn first_error_is_ajvs() {
        for (value, expected) in [
            (json!([]), "<root> must be object - type: object"),
            (
                json!({}),
                "<root> must have required property 'apiVersion' - missingProperty: apiVersion",
            ),
            (
                json!({"apiVersion": 1, "kind": "", "metadata": {}}),
                "/apiVersion must be string - type: string",
            ),
            (
                json!({"apiVersion": "a", "kind": "", "metadata": {}}),
                "/kind must NOT have fewer than 1 characters - limit: 1",
            ),
            (
                json!({"apiVersion": "a", "kind": "k", "metadata": {}}),
                "/metadata must have required property 'name' - missingProperty: name",
            ),
            (
                json!({"apiVersion": "a", "kind": "k", "metadata": {"name": "n", "namespace": null}}),
                "/metadata/namespace must be string - type: string",
            ),
        ] {
            assert_eq!(message(value), expected);
        }
    }

    #[test]
    fn y02_depth_is_bounded_in_text_and_value() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!(
                r#"{{"apiVersion":"a","kind":"k","metadata":{{"name":"n"}},"spec":{open}{close}}}"#
            )
        };
        assert!(Entity::from_json(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(
            Entity::from_json(&nested(MAX_DEPTH)),
            Err(EnvelopeError::TooDeep)
        );
        assert_eq!(
            Entity::from_json(&nested(100_000)),
            Err(EnvelopeError::TooDeep)
        );
        let value: Value = serde_json::from_str(&nested(MAX_DEPTH)).unwrap();
        assert_eq!(Entity::from_value(value), Err(EnvelopeError::TooDeep));
        assert!(Entity::from_json(r#"{"a":"[[[\"[["#).is_err());
    }

    #[test]
    fn y05_nul_is_an_entity_error_with_its_path() {
        let entity = |spec: Value| json!({"apiVersion": "a", "kind": "k", "metadata": {"name": "n"}, "spec": spec});
        let error = message(entity(json!({"a/b": ["x", "\0"]})));
        assert_eq!(error, "/spec/a~1b/1 contains a NUL character; remove it");
        assert!(message(entity(json!({"a\0": 1}))).starts_with("/spec contains"));
    }

    #[test]
    fn y06_numbers_are_javascripts() {
        let text = r#"{"apiVersion":"a","kind":"k","metadata":{"name":"n"},"spec":{"n":[1.0,1e3,-0.0,-0,9007199254740993,1.5,18446744073709551615]}}"#;
        let entity = Entity::from_json(text).unwrap();
        assert_eq!(
            serde_json::to_string(&entity.spec().unwrap()["n"]).unwrap(),
            "[1,1000,0,0,9007199254740992,1.5,1.8446744073709552e+19]"
        );
    }
}
