//! Is this a schema we can check against? Walks every subschema once, when a revision is inspected.
//!
//! Every keyword that asserts something has the type the drafts give it, or the schema is refused: a `required` that is a
//! string would otherwise never be looked at. Words that are in no draft are annotations.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::{SchemaError, pointer_part, resolve};

/// Subschemas of one schema.
const MAX_SUBSCHEMAS: usize = 4_000;
/// How deep they may be in each other.
const MAX_DEPTH: usize = 64;
/// Compiled size of one pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 256 * 1024;
/// Patterns of one schema, so that together they stay small.
const MAX_PATTERNS: usize = 100;

const TYPES: [&str; 7] = [
    "array", "boolean", "integer", "null", "number", "object", "string",
];
/// Drafts whose keywords mean what they mean here.
const DRAFTS: [&str; 4] = [
    "draft-06/schema",
    "draft-07/schema",
    "draft/2019-09/schema",
    "draft/2020-12/schema",
];
/// Keywords that assert something we do not look at, or move what a reference means.
const REFUSED: [&str; 7] = [
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
    "$anchor",
    "$dynamicAnchor",
    "$vocabulary",
];

/// Checks a whole schema; answers its patterns, compiled.
pub(super) fn check(root: &Value) -> Result<HashMap<String, Regex>, SchemaError> {
    let mut check = Check {
        root,
        patterns: HashMap::new(),
        subschemas: 0,
    };
    check.schema(root, "#", 0)?;
    Ok(check.patterns)
}

struct Check<'a> {
    root: &'a Value,
    patterns: HashMap<String, Regex>,
    subschemas: usize,
}

type Checked = Result<(), SchemaError>;

fn refuse(path: &str, problem: impl Into<String>) -> Checked {
    Err(SchemaError {
        path: path.to_owned(),
        problem: problem.into(),
    })
}

impl Check<'_> {
    fn schema(&mut self, schema: &Value, path: &str, depth: usize) -> Checked {
        self.subschemas += 1;
        if self.subschemas > MAX_SUBSCHEMAS {
            return refuse("#", format!("has more than {MAX_SUBSCHEMAS} subschemas"));
        }
        if depth > MAX_DEPTH {
            return refuse("#", format!("is nested deeper than {MAX_DEPTH} levels"));
        }
        match schema {
            Value::Bool(_) => Ok(()),
            Value::Object(keywords) => {
                for (keyword, value) in keywords {
                    let at = format!("{path}/{}", pointer_part(keyword));
                    self.keyword(keyword, value, &at, depth)?;
                }
                Ok(())
            }
            _ => refuse(path, "must be an object, `true` or `false`"),
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Value, at: &str, depth: usize) -> Checked {
        match keyword {
            "$schema" => draft(value, at),
            "$id" if depth == 0 => Ok(()),
            "$id" => refuse(at, "must not stand in a subschema: refer with `#/…`"),
            "$ref" => self.reference(value, at),
            "type" => types(value, at),
            "enum" => of(value.is_array(), at, "must be an array"),
            "required" => texts(value, at),
            "dependentRequired" => match value.as_object() {
                Some(lists) => each(lists, at, texts),
                None => refuse(at, "must be an object"),
            },
            "pattern" => match value.as_str() {
                Some(pattern) => self.pattern(pattern, at),
                None => refuse(at, "must be a string"),
            },
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                of(value.is_number(), at, "must be a number")
            }
            "multipleOf" => {
                let positive = value.as_f64().is_some_and(|number| number > 0.0);
                of(positive, at, "must be a number above 0")
            }
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minContains" | "maxContains"
            | "minProperties" | "maxProperties" => {
                of(value.is_u64(), at, "must be a whole number of at least 0")
            }
            "uniqueItems" => of(value.is_boolean(), at, "must be `true` or `false`"),
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => match value.as_array() {
                Some(schemas) if !schemas.is_empty() => self.list(schemas, at, depth),
                _ => refuse(at, "must be an array of at least one schema"),
            },
            "items" if value.is_array() => {
                self.list(value.as_array().map_or(&[], Vec::as_slice), at, depth)
            }
            "not"
            | "if"
            | "then"
            | "else"
            | "items"
            | "additionalItems"
            | "contains"
            | "propertyNames"
            | "additionalProperties" => self.schema(value, at, depth + 1),
            "properties" | "$defs" | "definitions" | "dependentSchemas" => {
                self.named(value, at, depth)
            }
            "patternProperties" => {
                for pattern in value.as_object().into_iter().flat_map(Map::keys) {
                    self.pattern(pattern, at)?;
                }
                self.named(value, at, depth)
            }
            "dependencies" => match value.as_object() {
                Some(dependencies) => dependencies.iter().try_for_each(|(name, value)| {
                    let at = format!("{at}/{}", pointer_part(name));
                    if value.is_array() {
                        texts(value, &at)
                    } else {
                        self.schema(value, &at, depth + 1)
                    }
                }),
                None => refuse(at, "must be an object"),
            },
            refused if REFUSED.contains(&refused) => {
                refuse(at, "is a keyword that is not offered here: write it out")
            }
            _ => Ok(()),
        }
    }

    fn list(&mut self, schemas: &[Value], at: &str, depth: usize) -> Checked {
        for (index, schema) in schemas.iter().enumerate() {
            self.schema(schema, &format!("{at}/{index}"), depth + 1)?;
        }
        Ok(())
    }

    fn named(&mut self, value: &Value, at: &str, depth: usize) -> Checked {
        let Some(schemas) = value.as_object() else {
            return refuse(at, "must be an object of schemas");
        };
        for (name, schema) in schemas {
            let at = format!("{at}/{}", pointer_part(name));
            self.schema(schema, &at, depth + 1)?;
        }
        Ok(())
    }

    fn reference(&self, value: &Value, at: &str) -> Checked {
        let target = value
            .as_str()
            .and_then(|reference| resolve(self.root, reference));
        match target {
            Some(Value::Bool(_) | Value::Object(_)) => Ok(()),
            _ => refuse(
                at,
                "must be `#` or `#/…` of a schema in the same document: nothing is fetched",
            ),
        }
    }

    fn pattern(&mut self, pattern: &str, at: &str) -> Checked {
        if self.patterns.contains_key(pattern) {
            return Ok(());
        }
        if self.patterns.len() >= MAX_PATTERNS {
            return refuse("#", format!("has more than {MAX_PATTERNS} patterns"));
        }
        let compiled = RegexBuilder::new(pattern)
            .size_limit(MAX_PATTERN_BYTES)
            .dfa_size_limit(MAX_PATTERN_BYTES)
            .nest_limit(50)
            .build();
        match compiled {
            Ok(compiled) => {
                self.patterns.insert(pattern.to_owned(), compiled);
                Ok(())
            }
            Err(_) => refuse(
                at,
                "holds a pattern that is not offered: write it without look-around and back-references, and smaller",
            ),
        }
    }
}

fn of(holds: bool, at: &str, problem: &str) -> Checked {
    if holds { Ok(()) } else { refuse(at, problem) }
}

fn each(values: &Map<String, Value>, at: &str, check: impl Fn(&Value, &str) -> Checked) -> Checked {
    values
        .iter()
        .try_for_each(|(name, value)| check(value, &format!("{at}/{}", pointer_part(name))))
}

fn texts(value: &Value, at: &str) -> Checked {
    let texts = value
        .as_array()
        .is_some_and(|list| list.iter().all(Value::is_string));
    of(texts, at, "must be an array of strings")
}

fn types(value: &Value, at: &str) -> Checked {
    let known = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let good = match value {
        Value::Array(names) => !names.is_empty() && names.iter().all(known),
        name => known(name),
    };
    of(
        good,
        at,
        &format!("must be one of, or a list of, {}", TYPES.join(", ")),
    )
}

fn draft(value: &Value, at: &str) -> Checked {
    let known = value.as_str().is_some_and(|uri| {
        let path = uri
            .trim_end_matches('#')
            .strip_prefix("https://json-schema.org/")
            .or_else(|| {
                uri.trim_end_matches('#')
                    .strip_prefix("http://json-schema.org/")
            });
        path.is_some_and(|path| DRAFTS.contains(&path))
    });
    of(
        known,
        at,
        "must name draft-06, draft-07, 2019-09 or 2020-12, or be left out",
    )
}
