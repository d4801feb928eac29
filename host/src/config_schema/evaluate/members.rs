//! The keywords about what is in an object or a list.

use serde_json::{Map, Value};

use super::super::equality::equal;
use super::super::{ConfigMismatch, pointer_part};
use super::{Evaluation, Matched, above, below, list, named, size};

impl<'s> Evaluation<'s> {
    pub(super) fn object(
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

    pub(super) fn matches(&mut self, pattern: &str, text: &str) -> Result<bool, ConfigMismatch> {
        // Without backtracking a search takes time in proportion to the text, times the pattern.
        let lengths = text.len().saturating_mul(pattern.len().min(100)) / 256;
        self.spend(1 + lengths as u64)?;
        Ok(self
            .patterns
            .get(pattern)
            .is_none_or(|pattern| pattern.is_match(text)))
    }

    pub(super) fn array(
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
}
