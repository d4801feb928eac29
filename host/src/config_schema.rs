//! A processor's configuration against the JSON Schema that its `describe` declares.
//!
//! The schema comes from a guest and the configuration from its tenant, so both are hostile, and the API checks one against
//! the other in its own process. Therefore this is an evaluator with a budget and not a library: a schema of 2 KB can ask
//! for 2^60 steps (`allOf` of two references to an `allOf` of two references …) or never end (`$ref` to itself), and the
//! libraries bound neither. What is spoken is draft-07 and 2020-12 without remote references and without the `unevaluated`
//! and `dynamic` keywords; a schema that uses those, or that is no schema, is refused when the revision is inspected, so
//! that no keyword that asserts something is ever passed over in silence. See docs/decisions/0015.
//!
//! `format` asserts nothing, as the drafts allow. Patterns run on an engine without backtracking.

mod equality;
mod evaluate;
mod schema_check;

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;
use thiserror::Error;

/// Largest schema, in bytes; the sandbox refuses larger ones already.
const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// A schema that can be checked against.
#[derive(Debug)]
pub struct ConfigSchema {
    root: Value,
    patterns: HashMap<String, Regex>,
}

/// A schema that cannot be taken; a sentence for the processor's author.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("config-schema at `{path}` {problem}")]
pub struct SchemaError {
    /// JSON pointer into the schema, after `#`.
    pub path: String,
    /// What to change.
    pub problem: String,
}

/// A configuration that does not match; what the API tells its author.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigMismatch {
    /// A value is not what the schema says.
    #[error("config{instance} {problem} (schema path {schema})")]
    Value {
        /// JSON pointer into the configuration, empty for all of it.
        instance: String,
        /// What is wrong.
        problem: String,
        /// JSON pointer into the schema to the keyword that says so.
        schema: String,
    },
    /// Finding out takes more than the budget.
    #[error(
        "config cannot be checked within {} steps: simplify the processor's config-schema",
        evaluate::MAX_STEPS
    )]
    TooCostly,
}

impl ConfigSchema {
    /// Reads and checks a schema.
    ///
    /// # Errors
    /// [`SchemaError`] for the first thing to change.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let whole = |problem: String| SchemaError {
            path: "#".to_owned(),
            problem,
        };
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(whole(format!(
                "has {} bytes; at most {MAX_SCHEMA_BYTES} may be",
                text.len()
            )));
        }
        let root: Value =
            serde_json::from_str(text).map_err(|error| whole(format!("is no JSON: {error}")))?;
        let patterns = schema_check::check(&root)?;
        Ok(Self { root, patterns })
    }

    /// Checks a configuration.
    ///
    /// # Errors
    /// [`ConfigMismatch`] for the first value that does not match.
    pub fn check(&self, config: &Value) -> Result<(), ConfigMismatch> {
        evaluate::Evaluation::new(&self.root, &self.patterns).check(config)
    }
}

/// What a `$ref` points at: `#`, or a JSON pointer after it.
fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return None;
    }
    root.pointer(&pointer.replace("%25", "%"))
}

/// A name as a part of a JSON pointer, shortened so that a message stays readable.
fn pointer_part(name: &str) -> String {
    let part: String = name.chars().take(80).collect();
    part.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
