//! Fields by their dotted names, as filters of the catalog have them.
//!
//! A dot separates keys and may also be in one (`metadata.annotations.backstage.io/x`), so at each object every
//! key that the name begins with is tried. A name has at most 16 parts, which bounds the attempts.

use greenroom_sdk::{Map, Value};

/// Whether the field is there and holds something: not null, and no empty text, list or object.
pub(crate) fn is_set(object: &Map<String, Value>, name: &str) -> bool {
    if object.get(name).is_some_and(holds_something) {
        return true;
    }
    name.match_indices('.').any(|(dot, _)| {
        let (key, rest) = (&name[..dot], &name[dot + 1..]);
        matches!(object.get(key), Some(Value::Object(inner)) if is_set(inner, rest))
    })
}

fn holds_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
