//! Keys: what JavaScript makes of them, and which of them are duplicates (y04).
//!
//! npm `yaml` compares scalars by value before they become strings, so `1` and `'1'` may stand in
//! one map while `1` and `1.0` may not; aliases and collections are never compared.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::compose::Completed;
use super::scalar::Scalar;

/// What a key was before it became a string: only equal ones of equal kind are duplicates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    Other,
}

pub(super) fn key_of(node: Completed, by_alias: bool) -> (Kind, String) {
    match node {
        Completed::Scalar(scalar) => {
            let kind = match &scalar {
                _ if by_alias => Kind::Other,
                Scalar::Null => Kind::Null,
                Scalar::Bool(_) => Kind::Bool,
                Scalar::Number(number) if number.is_nan() => Kind::Other,
                Scalar::Number(_) => Kind::Number,
                Scalar::Text(_) => Kind::Text,
            };
            (kind, scalar.into_key())
        }
        Completed::Collection(value) => (Kind::Other, flow_text(&value)),
    }
}

/// Whether a key may be added; notes it when its text alone does not tell.
pub(super) fn admit(
    map: &Map<String, Value>,
    unusual: &mut BTreeSet<(Kind, String)>,
    kind: Kind,
    text: &str,
) -> bool {
    const KINDS: [Kind; 4] = [Kind::Null, Kind::Bool, Kind::Number, Kind::Other];
    let present = map.contains_key(text);
    let by_unusual = present
        && !unusual.is_empty()
        && KINDS
            .iter()
            .any(|kind| unusual.contains(&(*kind, text.to_owned())));
    match kind {
        Kind::Text if !present => true,
        Kind::Text if !by_unusual => false,
        Kind::Other => {
            if present && !by_unusual {
                unusual.insert((Kind::Text, text.to_owned()));
            }
            unusual.insert((kind, text.to_owned()));
            true
        }
        kind => {
            if present && !by_unusual {
                unusual.insert((Kind::Text, text.to_owned()));
            }
            unusual.insert((kind, text.to_owned()))
        }
    }
}

/// A collection as a key: flow style, as npm `yaml` writes it.
fn flow_text(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(flow_text).collect();
            format!("[ {} ]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(key, value)| match value {
                    Value::Null => key.clone(),
                    value => format!("{key}: {}", flow_text(value)),
                })
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
