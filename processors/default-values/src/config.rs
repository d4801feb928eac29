//! The configuration: rules.

use greenroom_sdk::{Entity, Map, ProcessorError, Value, json};
use serde::Deserialize;

/// What makes an entity itself, or is the host's to give.
const FIXED: [&str; 4] = ["name", "namespace", "uid", "etag"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// Kinds it is for, letter case ignored; all if there are none.
    #[serde(default)]
    kinds: Vec<String>,
    /// Values of `spec.type` it is for, letter case ignored; all if there are none.
    #[serde(default)]
    types: Vec<String>,
    pub(crate) values: Values,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Values {
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    #[serde(default)]
    pub(crate) spec: Map<String, Value>,
}

impl Config {
    /// Checks what would make another entity of it.
    pub(crate) fn check(&self) -> Result<(), ProcessorError> {
        let set = self.rules.iter().find_map(|rule| {
            FIXED
                .into_iter()
                .find(|key| rule.values.metadata.contains_key(*key))
        });
        set.map_or(Ok(()), |key| {
            Err(ProcessorError::Other(format!(
                "the processor's configuration gives a default for `metadata.{key}`, which has none; remove it"
            )))
        })
    }
}

impl Rule {
    pub(crate) fn is_for(&self, entity: &Entity) -> bool {
        let any_case = |wanted: &[String], have: &str| {
            wanted.is_empty() || wanted.iter().any(|one| one.eq_ignore_ascii_case(have))
        };
        any_case(&self.kinds, entity.kind())
            && any_case(&self.types, entity.spec_type().unwrap_or_default())
    }
}

/// What a configuration must be, so that a wrong one is refused when it is set.
pub(crate) fn schema() -> Value {
    let texts = json!({"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 100}, "maxItems": 100});
    let fixed: Map<String, Value> = FIXED
        .into_iter()
        .map(|key| (key.to_owned(), Value::Bool(false)))
        .collect();
    json!({
        "type": "object",
        "required": ["rules"],
        "additionalProperties": false,
        "properties": {"rules": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["values"],
                "additionalProperties": false,
                "properties": {
                    "kinds": texts,
                    "types": texts,
                    "values": {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": false,
                        "properties": {
                            "metadata": {"type": "object", "minProperties": 1, "properties": fixed},
                            "spec": {"type": "object", "minProperties": 1}
                        }
                    }
                }
            }
        }}
    })
}
