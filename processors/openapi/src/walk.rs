//! Finds the placeholders of an entity, by the rules of `placeholder`: an object with exactly one key.

use greenroom_sdk::Value;

/// Replaces every placeholder for which `resolve` gives a text. The depth of an entity is bounded by its envelope
/// check, so recursion is too.
pub(crate) fn replace(value: &mut Value, resolve: &mut impl FnMut(&str, &str) -> Option<String>) {
    match value {
        Value::Array(items) => {
            for item in items {
                replace(item, resolve);
            }
        }
        Value::Object(map) => {
            if map.len() == 1
                && let Some((key, inner)) = map.iter().next()
                && key.starts_with('$')
            {
                if let ("$openapi" | "$asyncapi", Value::String(reference)) = (key.as_str(), inner)
                    && let Some(text) = resolve(key, reference)
                {
                    *value = Value::String(text);
                }
                return;
            }
            for (_, inner) in map.iter_mut() {
                replace(inner, resolve);
            }
        }
        _ => {}
    }
}
