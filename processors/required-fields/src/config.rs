//! The configuration: rules.

use greenroom_sdk::{Entity, Level, Value, json};
use serde::Deserialize;

/// Most characters of a kind that a message shows.
const SHOWN_CHARS: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// Kinds it holds for, letter case ignored; all if there are none.
    #[serde(default)]
    kinds: Vec<String>,
    /// Values of `spec.type` it holds for, letter case ignored; all if there are none.
    #[serde(default)]
    types: Vec<String>,
    /// What must be there.
    pub(crate) fields: Vec<String>,
    #[serde(default)]
    pub(crate) level: Seriousness,
    /// What to do about it, added to what is told.
    message: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Seriousness {
    #[default]
    Error,
    Warning,
}

impl From<Seriousness> for Level {
    fn from(level: Seriousness) -> Level {
        match level {
            Seriousness::Error => Level::Error,
            Seriousness::Warning => Level::Warning,
        }
    }
}

impl Rule {
    pub(crate) fn holds_for(&self, entity: &Entity) -> bool {
        let any_case = |wanted: &[String], have: &str| {
            wanted.is_empty() || wanted.iter().any(|one| one.eq_ignore_ascii_case(have))
        };
        any_case(&self.kinds, entity.kind())
            && any_case(&self.types, entity.spec_type().unwrap_or_default())
    }

    pub(crate) fn complaint(&self, field: &str, kind: &str) -> String {
        let kind: String = kind.chars().take(SHOWN_CHARS).collect();
        let what = format!("`{field}` must be set on a {}", kind.escape_debug());
        match &self.message {
            Some(message) => format!("{what}: {message}"),
            None => what,
        }
    }
}

/// What a configuration must be, so that a wrong one is refused when it is set.
pub(crate) fn schema() -> Value {
    let texts = json!({"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 100}, "maxItems": 100});
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
                "required": ["fields"],
                "additionalProperties": false,
                "properties": {
                    "kinds": texts,
                    "types": texts,
                    "fields": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 100,
                        "items": {
                            "type": "string",
                            "maxLength": 400,
                            "pattern": "^[^.\\x00-\\x1f]+(\\.[^.\\x00-\\x1f]+){0,15}$"
                        }
                    },
                    "level": {"enum": ["error", "warning"]},
                    "message": {"type": "string", "maxLength": 1000}
                }
            }
        }}
    })
}
