//! Finds the placeholders of a value.
//!
//! The depth of an entity is bounded by its envelope check, so recursion is too. What a placeholder
//! became is not searched again.

use greenroom_sdk::Value;

/// What a placeholder makes of its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The text as it is.
    Text,
    /// The JSON value.
    Json,
    /// The value of the one YAML document.
    Yaml,
}

impl Kind {
    fn of(key: &str) -> Option<Kind> {
        match key {
            "$text" => Some(Kind::Text),
            "$json" => Some(Kind::Json),
            "$yaml" => Some(Kind::Yaml),
            _ => None,
        }
    }

    /// The key.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Kind::Text => "$text",
            Kind::Json => "$json",
            Kind::Yaml => "$yaml",
        }
    }
}

/// Replaces every placeholder for which `resolve` gives a value.
///
/// An object with one key that starts with `$` but is no placeholder of ours, or whose value is no
/// string, is left alone with everything in it: it may be a JSON schema.
pub(crate) fn replace(value: &mut Value, resolve: &mut impl FnMut(Kind, &str) -> Option<Value>) {
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
                if let (Some(kind), Value::String(reference)) = (Kind::of(key), inner)
                    && let Some(found) = resolve(kind, reference)
                {
                    *value = found;
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
