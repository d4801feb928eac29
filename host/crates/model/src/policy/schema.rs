//! The schema every entity must match, whatever its kind (ref §1.1), with Ajv's words.
//!
//! Written out instead of interpreted: the schema is small and fixed, and a JSON-schema engine
//! would be a large dependency. Checks stand in the order in which Ajv reports its first error:
//! type, required, additional properties, then properties in schema order. Members of `relations`
//! and `status` are not looked into, because their presence is refused right after.

use serde_json::{Map, Value};

use crate::entity::Entity;

/// The first place where an entity does not match the schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} {problem} - {parameters}")]
pub struct SchemaViolation {
    /// JSON pointer, `<root>` for the entity itself.
    pub path: String,
    /// Such as `must be string`.
    pub problem: String,
    /// Such as `type: string`.
    pub parameters: String,
}

type Checked = Result<(), SchemaViolation>;

const KNOWN_ROOT: [&str; 6] = [
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "relations",
    "status",
];

/// Checks the entity schema, as the policies do first and the kind validation does again.
///
/// # Errors
/// [`SchemaViolation`] for the first mismatch.
pub fn check_schema(entity: &Entity) -> Result<(), SchemaViolation> {
    let root = entity.as_map();
    if let Some(key) = root.keys().find(|key| !KNOWN_ROOT.contains(&key.as_str())) {
        return Err(SchemaViolation {
            path: "<root>".to_owned(),
            problem: "must NOT have additional properties".to_owned(),
            parameters: format!("additionalProperty: {key}"),
        });
    }
    check_text(root, "apiVersion", "", 1)?;
    check_text(root, "kind", "", 1)?;
    check_metadata(entity.metadata())?;
    for (key, expected) in [
        ("spec", "object"),
        ("relations", "array"),
        ("status", "object"),
    ] {
        check_type(root, key, "", expected)?;
    }
    Ok(())
}

fn check_metadata(metadata: &Map<String, Value>) -> Checked {
    const AT: &str = "/metadata";
    if !metadata.contains_key("name") {
        return Err(missing(AT, "name"));
    }
    for key in ["uid", "etag", "name", "namespace", "title"] {
        check_text(metadata, key, AT, 1)?;
    }
    check_text(metadata, "description", AT, 0)?;
    for key in ["labels", "annotations"] {
        check_type(metadata, key, AT, "object")?;
        let Some(Value::Object(pairs)) = metadata.get(key) else {
            continue;
        };
        let path = format!("{AT}/{key}");
        // Ajv's pattern `^.+$` does not see empty keys and keys with line ends; the key's own
        // format refuses those later.
        let seen =
            |key: &str| !key.is_empty() && !key.contains(['\n', '\r', '\u{2028}', '\u{2029}']);
        for key in pairs.keys().filter(|key| seen(key)) {
            check_text(pairs, key, &path, 0)?;
        }
    }
    check_type(metadata, "tags", AT, "array")?;
    if let Some(Value::Array(tags)) = metadata.get("tags") {
        for (index, tag) in tags.iter().enumerate() {
            check_text_value(tag, &format!("{AT}/tags/{index}"), 1)?;
        }
    }
    check_type(metadata, "links", AT, "array")?;
    if let Some(Value::Array(links)) = metadata.get("links") {
        for (index, link) in links.iter().enumerate() {
            check_link(link, &format!("{AT}/links/{index}"))?;
        }
    }
    Ok(())
}

fn check_link(link: &Value, path: &str) -> Checked {
    let Value::Object(link) = link else {
        return Err(wrong_type(path, "object"));
    };
    if !link.contains_key("url") {
        return Err(missing(path, "url"));
    }
    for key in ["url", "title", "icon", "type"] {
        check_text(link, key, path, 1)?;
    }
    Ok(())
}

fn check_text(map: &Map<String, Value>, key: &str, parent: &str, least: usize) -> Checked {
    match map.get(key) {
        Some(value) => check_text_value(value, &pointer(parent, key), least),
        None => Ok(()),
    }
}

fn check_text_value(value: &Value, path: &str, least: usize) -> Checked {
    match value {
        Value::String(text) if text.len() >= least => Ok(()),
        Value::String(_) => Err(SchemaViolation {
            path: path.to_owned(),
            problem: format!("must NOT have fewer than {least} characters"),
            parameters: format!("limit: {least}"),
        }),
        _ => Err(wrong_type(path, "string")),
    }
}

fn check_type(map: &Map<String, Value>, key: &str, parent: &str, expected: &str) -> Checked {
    let fits = match map.get(key) {
        None => true,
        Some(value) if expected == "array" => value.is_array(),
        Some(value) => value.is_object(),
    };
    if fits {
        Ok(())
    } else {
        Err(wrong_type(&pointer(parent, key), expected))
    }
}

fn pointer(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn wrong_type(path: &str, expected: &str) -> SchemaViolation {
    SchemaViolation {
        path: path.to_owned(),
        problem: format!("must be {expected}"),
        parameters: format!("type: {expected}"),
    }
}

fn missing(path: &str, key: &str) -> SchemaViolation {
    SchemaViolation {
        path: path.to_owned(),
        problem: format!("must have required property '{key}'"),
        parameters: format!("missingProperty: {key}"),
    }
}
