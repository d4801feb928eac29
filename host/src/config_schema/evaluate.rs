//! Checks a value against a schema that [`super::schema_check`] has taken, within a budget of steps.
//!
//! A step is one schema applied to one value, or one comparison of two values; what is not cheap costs more. The budget is
//! some hundred times what a large honest schema takes, and a few tenths of a second at most. Depth is bounded too,
//! because a reference may lead back to where it came from.

mod members;

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::equality::{compare, double, equal, whole};
use super::{ConfigMismatch, pointer_part, resolve};

/// Steps of one check.
pub(super) const MAX_STEPS: u64 = 200_000;
/// How deep schemas may be applied within each other.
const MAX_DEPTH: usize = 200;

/// One check in progress.
pub(super) struct Evaluation<'s> {
    root: &'s Value,
    patterns: &'s HashMap<String, Regex>,
    steps: u64,
    depth: usize,
    /// Where in the configuration and in the schema the check stands.
    instance: Vec<String>,
    schema: Vec<String>,
}

/// Whether a value matches, or why not.
type Matched = Result<(), ConfigMismatch>;

impl<'s> Evaluation<'s> {
    pub(super) fn new(root: &'s Value, patterns: &'s HashMap<String, Regex>) -> Self {
        Self {
            root,
            patterns,
            steps: 0,
            depth: 0,
            instance: Vec::new(),
            schema: Vec::new(),
        }
    }

    pub(super) fn check(mut self, value: &Value) -> Matched {
        let root = self.root;
        self.apply(root, value)
    }

    fn spend(&mut self, steps: u64) -> Matched {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_STEPS {
            return Err(ConfigMismatch::TooCostly);
        }
        Ok(())
    }

    fn wrong(&self, problem: impl Into<String>) -> Matched {
        let pointer =
            |parts: &[String]| -> String { parts.iter().map(|part| format!("/{part}")).collect() };
        Err(ConfigMismatch::Value {
            instance: pointer(&self.instance),
            problem: problem.into(),
            schema: format!("#{}", pointer(&self.schema)),
        })
    }

    /// A check whose mismatch is an answer and not the end; only the budget ends it.
    fn holds(&mut self, schema: &'s Value, value: &Value) -> Result<bool, ConfigMismatch> {
        let (instance, schema_path, depth) = (self.instance.len(), self.schema.len(), self.depth);
        let matched = self.apply(schema, value);
        self.depth = depth;
        self.instance.truncate(instance);
        self.schema.truncate(schema_path);
        match matched {
            Ok(()) => Ok(true),
            Err(ConfigMismatch::Value { .. }) => Ok(false),
            Err(ConfigMismatch::TooCostly) => Err(ConfigMismatch::TooCostly),
        }
    }

    fn apply(&mut self, schema: &'s Value, value: &Value) -> Matched {
        self.spend(1)?;
        let keywords = match schema {
            Value::Object(keywords) => keywords,
            Value::Bool(false) => return self.wrong("is not allowed"),
            _ => return Ok(()),
        };
        if self.depth >= MAX_DEPTH {
            return Err(ConfigMismatch::TooCostly);
        }
        self.depth += 1;
        for (keyword, wanted) in keywords {
            self.schema.push(pointer_part(keyword));
            self.keyword(keywords, keyword, wanted, value)?;
            self.schema.pop();
        }
        self.depth -= 1;
        Ok(())
    }

    fn keyword(
        &mut self,
        keywords: &'s Map<String, Value>,
        keyword: &str,
        wanted: &'s Value,
        value: &Value,
    ) -> Matched {
        match keyword {
            "$ref" => {
                let target = wanted
                    .as_str()
                    .and_then(|reference| resolve(self.root, reference));
                target.map_or(Ok(()), |target| self.apply(target, value))
            }
            "type" => self.of_type(wanted, value),
            "enum" => self.one_of_values(wanted, value),
            "const" => {
                self.spend(size(wanted))?;
                if equal(wanted, value) {
                    return Ok(());
                }
                self.wrong("must be equal to the constant of the schema")
            }
            "allOf" => self.all_of(wanted, value),
            "anyOf" => {
                for schema in list(wanted) {
                    if self.holds(schema, value)? {
                        return Ok(());
                    }
                }
                self.wrong("must match a schema in anyOf")
            }
            "oneOf" => {
                let mut matching = 0;
                for schema in list(wanted) {
                    matching += u32::from(self.holds(schema, value)?);
                }
                if matching == 1 {
                    return Ok(());
                }
                self.wrong("must match exactly one schema in oneOf")
            }
            "not" if self.holds(wanted, value)? => self.wrong("must not match the schema in not"),
            "if" => {
                let branch = if self.holds(wanted, value)? {
                    "then"
                } else {
                    "else"
                };
                match keywords.get(branch) {
                    Some(schema) => self.apply(schema, value),
                    None => Ok(()),
                }
            }
            _ => match value {
                Value::Object(object) => self.object(keywords, keyword, wanted, object),
                Value::Array(items) => self.array(keywords, keyword, wanted, items),
                Value::String(text) => self.text(keyword, wanted, text),
                Value::Number(number) => self.number(keyword, wanted, number),
                Value::Null | Value::Bool(_) => Ok(()),
            },
        }
    }

    fn of_type(&mut self, wanted: &Value, value: &Value) -> Matched {
        let is = |name: &Value| match (name.as_str().unwrap_or_default(), value) {
            ("integer", Value::Number(number)) => {
                whole(number).is_some() || double(number).fract() == 0.0
            }
            ("number", Value::Number(_))
            | ("string", Value::String(_))
            | ("boolean", Value::Bool(_))
            | ("null", Value::Null)
            | ("array", Value::Array(_))
            | ("object", Value::Object(_)) => true,
            _ => false,
        };
        match wanted {
            Value::Array(names) if names.iter().any(is) => Ok(()),
            Value::Array(names) => {
                let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                self.wrong(format!("must be {}", names.join(" or ")))
            }
            name if is(name) => Ok(()),
            name => self.wrong(format!("must be {}", name.as_str().unwrap_or_default())),
        }
    }

    fn one_of_values(&mut self, wanted: &Value, value: &Value) -> Matched {
        for allowed in list(wanted) {
            self.spend(size(allowed))?;
            if equal(allowed, value) {
                return Ok(());
            }
        }
        let mut shown = wanted.to_string();
        if shown.chars().count() > 200 {
            shown = shown.chars().take(200).chain(['…']).collect();
        }
        self.wrong(format!("must be equal to one of {shown}"))
    }

    fn all_of(&mut self, wanted: &'s Value, value: &Value) -> Matched {
        for (index, schema) in list(wanted).iter().enumerate() {
            self.schema.push(index.to_string());
            self.apply(schema, value)?;
            self.schema.pop();
        }
        Ok(())
    }

    fn text(&mut self, keyword: &str, wanted: &Value, text: &str) -> Matched {
        match keyword {
            "minLength" if below(text.chars().count(), wanted) => {
                self.wrong(format!("must have at least {wanted} characters"))
            }
            "maxLength" if above(text.chars().count(), wanted) => {
                self.wrong(format!("must have at most {wanted} characters"))
            }
            "pattern" => {
                let pattern = wanted.as_str().unwrap_or_default();
                if self.matches(pattern, text)? {
                    return Ok(());
                }
                let shown: String = pattern.chars().take(200).collect();
                self.wrong(format!("must match the pattern '{shown}'"))
            }
            _ => Ok(()),
        }
    }

    fn number(&mut self, keyword: &str, wanted: &Value, number: &serde_json::Number) -> Matched {
        let Value::Number(bound) = wanted else {
            return Ok(());
        };
        let order = compare(number, bound);
        match keyword {
            "minimum" if order.is_lt() => self.wrong(format!("must be >= {bound}")),
            "maximum" if order.is_gt() => self.wrong(format!("must be <= {bound}")),
            "exclusiveMinimum" if order.is_le() => self.wrong(format!("must be > {bound}")),
            "exclusiveMaximum" if order.is_ge() => self.wrong(format!("must be < {bound}")),
            "multipleOf" => {
                let multiple = match (whole(number), whole(bound)) {
                    (Some(number), Some(bound)) => number % bound == 0,
                    _ => {
                        let quotient = double(number) / double(bound);
                        (quotient - quotient.round()).abs() <= 1e-9 * quotient.abs().max(1.0)
                    }
                };
                if multiple {
                    return Ok(());
                }
                self.wrong(format!("must be a multiple of {bound}"))
            }
            _ => Ok(()),
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn named(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn below(count: usize, least: &Value) -> bool {
    least.as_u64().is_some_and(|least| (count as u64) < least)
}

fn above(count: usize, most: &Value) -> bool {
    most.as_u64().is_some_and(|most| count as u64 > most)
}

/// How much of a value a comparison may look at.
fn size(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().fold(1, |sum, item| sum + size(item)),
        Value::Object(object) => object.values().fold(1, |sum, item| sum + size(item)),
        Value::String(text) => 1 + text.len() as u64 / 64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}
