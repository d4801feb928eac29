//! Checks a value against a schema that [`super::schema_check`] has taken, within a budget of steps.
//!
//! A step is one schema applied to one value, or one comparison of two values; what is not cheap costs more. The budget is
//! some hundred times what a large honest schema takes, and a few tenths of a second at most. Depth is bounded too,
//! because a reference may lead back to where it came from.

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

    fn object(
        &mut self,
        keywords: &'s Map<String, Value>,
        keyword: &str,
        wanted: &'s Value,
        object: &Map<String, Value>,
    ) -> Matched {
        match keyword {
            "properties" => {
                for (name, schema) in named(wanted) {
                    if let Some(value) = object.get(name) {
                        self.schema.push(pointer_part(name));
                        self.member(name, schema, value)?;
                        self.schema.pop();
                    }
                }
            }
            "patternProperties" => {
                for (pattern, schema) in named(wanted) {
                    self.schema.push(pointer_part(pattern));
                    for (name, value) in object {
                        if self.matches(pattern, name)? {
                            self.member(name, schema, value)?;
                        }
                    }
                    self.schema.pop();
                }
            }
            "additionalProperties" => {
                for (name, value) in object {
                    if self.is_additional(keywords, name)? {
                        if *wanted == Value::Bool(false) {
                            let shown = pointer_part(name);
                            return self
                                .wrong(format!("must NOT have additional property '{shown}'"));
                        }
                        self.member(name, wanted, value)?;
                    }
                }
            }
            "propertyNames" => {
                for name in object.keys() {
                    self.member(name, wanted, &Value::String(name.clone()))?;
                }
            }
            "required" => return self.has_all(wanted, object),
            "dependentRequired" | "dependentSchemas" | "dependencies" => {
                for (name, dependent) in named(wanted) {
                    if !object.contains_key(name) {
                        continue;
                    }
                    self.schema.push(pointer_part(name));
                    if dependent.is_array() {
                        self.has_all(dependent, object)?;
                    } else {
                        self.spend(object.values().map(size).sum())?;
                        self.apply(dependent, &Value::Object(object.clone()))?;
                    }
                    self.schema.pop();
                }
            }
            "minProperties" if below(object.len(), wanted) => {
                return self.wrong(format!("must have at least {wanted} properties"));
            }
            "maxProperties" if above(object.len(), wanted) => {
                return self.wrong(format!("must have at most {wanted} properties"));
            }
            _ => {}
        }
        Ok(())
    }

    fn member(&mut self, name: &str, schema: &'s Value, value: &Value) -> Matched {
        self.instance.push(pointer_part(name));
        self.apply(schema, value)?;
        self.instance.pop();
        Ok(())
    }

    fn has_all(&mut self, names: &Value, object: &Map<String, Value>) -> Matched {
        for name in list(names).iter().filter_map(Value::as_str) {
            self.spend(1)?;
            if !object.contains_key(name) {
                let shown = pointer_part(name);
                return self.wrong(format!("must have required property '{shown}'"));
            }
        }
        Ok(())
    }

    fn is_additional(
        &mut self,
        keywords: &'s Map<String, Value>,
        name: &str,
    ) -> Result<bool, ConfigMismatch> {
        self.spend(1)?;
        let declared = keywords.get("properties").and_then(Value::as_object);
        if declared.is_some_and(|declared| declared.contains_key(name)) {
            return Ok(false);
        }
        for pattern in keywords
            .get("patternProperties")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys)
        {
            if self.matches(pattern, name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn matches(&mut self, pattern: &str, text: &str) -> Result<bool, ConfigMismatch> {
        // Without backtracking a search takes time in proportion to the text, times the pattern.
        let lengths = text.len().saturating_mul(pattern.len().min(100)) / 256;
        self.spend(1 + lengths as u64)?;
        Ok(self
            .patterns
            .get(pattern)
            .is_none_or(|pattern| pattern.is_match(text)))
    }

    fn array(
        &mut self,
        keywords: &'s Map<String, Value>,
        keyword: &str,
        wanted: &'s Value,
        items: &[Value],
    ) -> Matched {
        match keyword {
            // A list of schemas for the first items, as the drafts before and since 2020-12 write it.
            "prefixItems" | "items" if wanted.is_array() => {
                for (index, (schema, item)) in list(wanted).iter().zip(items).enumerate() {
                    self.schema.push(index.to_string());
                    self.item(index, schema, item)?;
                    self.schema.pop();
                }
            }
            "items" | "additionalItems" => {
                let first = match (keyword, keywords.get("items"), keywords.get("prefixItems")) {
                    ("additionalItems", Some(Value::Array(first)), _) => first.len(),
                    ("additionalItems", _, _) => return Ok(()),
                    (_, _, Some(Value::Array(first))) => first.len(),
                    _ => 0,
                };
                for (index, item) in items.iter().enumerate().skip(first) {
                    self.item(index, wanted, item)?;
                }
            }
            "contains" => {
                let mut matching = 0_usize;
                for item in items {
                    matching += usize::from(self.holds(wanted, item)?);
                }
                let least = keywords.get("minContains");
                let enough = least.map_or(matching > 0, |least| !below(matching, least));
                let most = keywords.get("maxContains");
                if !enough || most.is_some_and(|most| above(matching, most)) {
                    return self.wrong(format!(
                        "has {matching} items that match the schema in contains"
                    ));
                }
            }
            "minItems" if below(items.len(), wanted) => {
                return self.wrong(format!("must have at least {wanted} items"));
            }
            "maxItems" if above(items.len(), wanted) => {
                return self.wrong(format!("must have at most {wanted} items"));
            }
            "uniqueItems" if *wanted == Value::Bool(true) => {
                for (index, item) in items.iter().enumerate() {
                    for earlier in items.iter().take(index) {
                        self.spend(1 + size(item) / 8)?;
                        if equal(earlier, item) {
                            return self.wrong("must not have equal items");
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn item(&mut self, index: usize, schema: &'s Value, item: &Value) -> Matched {
        self.instance.push(index.to_string());
        self.apply(schema, item)?;
        self.instance.pop();
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
