//! Reading predicate JSON (ref §7.4) into a filter.
//!
//! Bounds are counted on the filter that results, not on the JSON, so that a filter written back
//! ([`super::json`]) is never refused. Recursion stops at [`MAX_DEPTH`].

use serde_json::{Map, Value};

use super::{EntityFilter, FilterError, MAX_DEPTH, MAX_NODES};
use crate::casing::lower_case;
use crate::terms::number_text;

/// How a stored filter spells a key that starts with `$`, which a GET filter may hold and predicate
/// JSON cannot: `{"$key": ["$ref", <condition>]}`. Clients are refused it.
pub(super) const LITERAL_KEY: &str = "$key";

/// Who wrote the JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Client,
    Stored,
}

pub(super) struct Reader {
    origin: Origin,
    nodes: usize,
}

impl EntityFilter {
    /// Parses the predicate of a request body.
    ///
    /// # Errors
    /// [`FilterError`] naming the operator or key that is wrong, or the bound that is exceeded.
    pub fn from_predicate(predicate: &Value) -> Result<EntityFilter, FilterError> {
        Reader::new(Origin::Client).filter(predicate, 1)
    }
}

impl Reader {
    pub(super) fn new(origin: Origin) -> Reader {
        Reader { origin, nodes: 0 }
    }

    pub(super) fn filter(
        &mut self,
        predicate: &Value,
        depth: usize,
    ) -> Result<EntityFilter, FilterError> {
        let Value::Object(object) = predicate else {
            return Err(FilterError::NotAnObject(kind_of(predicate)));
        };
        if let Some(operator) = object.keys().find(|key| key.starts_with('$')) {
            if object.len() > 1 {
                return Err(FilterError::NotAlone(shown(operator)));
            }
            return self.operator(operator, &object[operator], depth);
        }
        if object.len() == 1
            && let Some((key, condition)) = object.iter().next()
        {
            return self.condition(key, condition, depth);
        }
        self.charge(depth)?;
        let conditions = object
            .iter()
            .map(|(key, condition)| self.condition(key, condition, depth + 1))
            .collect::<Result<_, _>>()?;
        Ok(EntityFilter::All(conditions))
    }

    fn operator(
        &mut self,
        operator: &str,
        operand: &Value,
        depth: usize,
    ) -> Result<EntityFilter, FilterError> {
        match operator {
            "$all" | "$any" => {
                self.charge(depth)?;
                let Value::Array(members) = operand else {
                    return Err(wrong(operator, "an array of predicates"));
                };
                let members = members
                    .iter()
                    .map(|member| self.filter(member, depth + 1))
                    .collect::<Result<_, _>>()?;
                Ok(if operator == "$all" {
                    EntityFilter::All(members)
                } else {
                    EntityFilter::Any(members)
                })
            }
            "$not" => {
                self.charge(depth)?;
                let inner = self.filter(operand, depth + 1)?;
                Ok(EntityFilter::Not(Box::new(inner)))
            }
            LITERAL_KEY if self.origin == Origin::Stored => {
                match operand.as_array().map(Vec::as_slice) {
                    Some([Value::String(key), condition]) => self.condition(key, condition, depth),
                    _ => Err(wrong(operator, "a key and a condition")),
                }
            }
            _ => Err(FilterError::UnknownOperator(shown(operator))),
        }
    }

    /// What is asked of one key.
    fn condition(
        &mut self,
        key: &str,
        condition: &Value,
        depth: usize,
    ) -> Result<EntityFilter, FilterError> {
        self.charge(depth)?;
        let lowered = lower_case(key).into_owned();
        let Value::Object(object) = condition else {
            let value = primitive(key, condition)?;
            self.charge(depth)?;
            return Ok(EntityFilter::In {
                key: lowered,
                values: vec![value],
            });
        };
        let Some((operator, operand)) = operator_that_counts(object) else {
            return Err(wrong(key, "a string, number, boolean or one operator"));
        };
        match operator {
            "$exists" => {
                let exists = EntityFilter::Exists { key: lowered };
                match operand {
                    Value::Bool(true) => Ok(exists),
                    Value::Bool(false) => {
                        self.charge(depth + 1)?;
                        Ok(EntityFilter::Not(Box::new(exists)))
                    }
                    _ => Err(wrong(operator, "true or false")),
                }
            }
            "$in" => Ok(EntityFilter::In {
                key: lowered,
                values: self.values(operator, operand, depth)?,
            }),
            "$hasPrefix" => match operand {
                Value::String(prefix) => Ok(EntityFilter::HasPrefix {
                    key: lowered,
                    prefix: lower_case(prefix).into_owned(),
                }),
                _ => Err(wrong(operator, "a string")),
            },
            "$contains" => match operand {
                Value::Object(relation) if lowered == "relations" => self.relation(relation, depth),
                Value::Object(_) => Err(wrong(
                    operator,
                    "a string, number or boolean (an object only on `relations`)",
                )),
                _ => {
                    self.charge(depth)?;
                    Ok(EntityFilter::In {
                        key: lowered,
                        values: vec![primitive(operator, operand)?],
                    })
                }
            },
            _ => Err(FilterError::UnknownOperator(shown(operator))),
        }
    }

    /// `{"type": "t", "targetRef"?: "r" or {"$in": [..]}}` as a condition on `relations.<type>`.
    fn relation(
        &mut self,
        relation: &Map<String, Value>,
        depth: usize,
    ) -> Result<EntityFilter, FilterError> {
        let expected = "an object with `type` and, optionally, `targetRef`";
        if relation
            .keys()
            .any(|key| key != "type" && key != "targetRef")
        {
            return Err(wrong("$contains", expected));
        }
        let Some(Value::String(kind)) = relation.get("type") else {
            return Err(wrong("$contains", expected));
        };
        let key = lower_case(&format!("relations.{kind}")).into_owned();
        let values = match relation.get("targetRef") {
            None => return Ok(EntityFilter::Exists { key }),
            Some(Value::Object(object)) if object.len() == 1 && object.contains_key("$in") => {
                let values = self.values("$in", &object["$in"], depth)?;
                if values.is_empty() {
                    return Err(wrong("$in", "at least one target ref"));
                }
                values
            }
            Some(Value::String(target)) => {
                self.charge(depth)?;
                vec![lower_case(target).into_owned()]
            }
            Some(_) => return Err(wrong("targetRef", "a string or `$in`")),
        };
        Ok(EntityFilter::In { key, values })
    }

    fn values(
        &mut self,
        operator: &str,
        operand: &Value,
        depth: usize,
    ) -> Result<Vec<String>, FilterError> {
        let Value::Array(values) = operand else {
            return Err(wrong(operator, "an array of strings, numbers or booleans"));
        };
        values
            .iter()
            .map(|value| {
                self.charge(depth)?;
                primitive(operator, value)
            })
            .collect()
    }

    fn charge(&mut self, depth: usize) -> Result<(), FilterError> {
        charge(&mut self.nodes, depth)
    }
}

/// The operator of a condition. Of several, the first of these whose operand has its form; what else is there does not count
/// (the original's schema is a union in this order, and drops the keys that the chosen form does not have).
pub(super) fn operator_that_counts(condition: &Map<String, Value>) -> Option<(&str, &Value)> {
    let has_form = |operator: &str, operand: &Value| match operator {
        "$exists" => operand.is_boolean(),
        "$in" => operand
            .as_array()
            .is_some_and(|values| values.iter().all(is_primitive)),
        "$contains" => operand.is_object() || is_primitive(operand),
        _ => operand.is_string(),
    };
    ["$exists", "$in", "$contains", "$hasPrefix"]
        .into_iter()
        .filter_map(|operator| Some((operator, condition.get(operator)?)))
        .find(|(operator, operand)| has_form(operator, operand))
        .or_else(|| {
            condition
                .iter()
                .next()
                .map(|(operator, operand)| (operator.as_str(), operand))
        })
}

fn is_primitive(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

/// Counts one node at that depth.
pub(super) fn charge(nodes: &mut usize, depth: usize) -> Result<(), FilterError> {
    if depth > MAX_DEPTH {
        return Err(FilterError::TooDeep);
    }
    *nodes += 1;
    if *nodes > MAX_NODES {
        return Err(FilterError::TooManyNodes);
    }
    Ok(())
}

fn primitive(operator: &str, value: &Value) -> Result<String, FilterError> {
    text_of(operator, value).map(|text| lower_case(&text).into_owned())
}

/// A value to compare with, in its own casing.
pub(super) fn text_of(operator: &str, value: &Value) -> Result<String, FilterError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number_text(number)),
        _ => Err(wrong(operator, "a string, number or boolean")),
    }
}

pub(super) fn wrong(operator: &str, expected: &'static str) -> FilterError {
    FilterError::Operand {
        operator: shown(operator),
        expected,
    }
}

/// A culprit short enough for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(predicate: &Value) -> Result<EntityFilter, FilterError> {
        EntityFilter::from_predicate(predicate)
    }

    fn is_in(key: &str, values: &[&str]) -> EntityFilter {
        EntityFilter::In {
            key: key.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        }
    }

    fn exists(key: &str) -> EntityFilter {
        EntityFilter::Exists {
            key: key.to_owned(),
        }
    }

    #[test]
    fn reads_every_form() {
        for (predicate, expected) in [
            (json!({}), EntityFilter::everything()),
            (json!({"$all": []}), EntityFilter::All(vec![])),
            (json!({"$any": []}), EntityFilter::Any(vec![])),
            (json!({"Kind": "Component"}), is_in("kind", &["component"])),
            (json!({"a": 1.0}), is_in("a", &["1"])),
            (json!({"a": true}), is_in("a", &["true"])),
            (
                json!({"a": "x", "b": "y"}),
                EntityFilter::All(vec![is_in("a", &["x"]), is_in("b", &["y"])]),
            ),
            (json!({"a": {"$exists": true}}), exists("a")),
            (
                json!({"a": {"$exists": false}}),
                EntityFilter::Not(Box::new(exists("a"))),
            ),
            (json!({"a": {"$in": []}}), is_in("a", &[])),
            (json!({"a": {"$in": ["X", 2]}}), is_in("a", &["x", "2"])),
            (json!({"a": {"$contains": "X"}}), is_in("a", &["x"])),
            (
                json!({"a": {"$hasPrefix": "X%"}}),
                EntityFilter::HasPrefix {
                    key: "a".into(),
                    prefix: "x%".into(),
                },
            ),
            (
                json!({"relations": {"$contains": {"type": "ownedBy"}}}),
                exists("relations.ownedby"),
            ),
            (
                json!({"relations": {"$contains": {"type": "ownedBy", "targetRef": "Group:default/A"}}}),
                is_in("relations.ownedby", &["group:default/a"]),
            ),
            (
                json!({"relations": {"$contains": {"type": "t", "targetRef": {"$in": ["a:b/c"]}}}}),
                is_in("relations.t", &["a:b/c"]),
            ),
        ] {
            assert_eq!(parse(&predicate), Ok(expected), "{predicate}");
        }
    }

    #[test]
    fn of_several_operators_the_first_that_has_its_form_counts() {
        for (condition, expected) in [
            (json!({"$in": ["x"], "$exists": true}), exists("a")),
            (json!({"$exists": "x", "$in": ["y"]}), is_in("a", &["y"])),
            (json!({"$contains": "x", "$in": ["y"]}), is_in("a", &["y"])),
            (json!({"$in": [[]], "$contains": "x"}), is_in("a", &["x"])),
            (
                json!({"$hasPrefix": "p", "$contains": "x"}),
                is_in("a", &["x"]),
            ),
            (json!({"nested": 1, "$in": ["y"]}), is_in("a", &["y"])),
        ] {
            assert_eq!(parse(&json!({"a": condition})), Ok(expected), "{condition}");
        }
    }

    #[test]
    fn h09_refuses_what_is_malformed() {
        for predicate in [
            json!(null),
            json!("kind"),
            json!([]),
            json!({"$nope": 1}),
            json!({"$key": ["$ref", "x"]}),
            json!({"$not": {}, "a": 1}),
            json!({"$not": {}, "$all": []}),
            json!({"$all": {}}),
            json!({"$all": ["x"]}),
            json!({"$not": []}),
            json!({"a": null}),
            json!({"a": []}),
            json!({"a": {}}),
            json!({"a": {"$exists": 1}}),
            json!({"a": {"$in": "x"}}),
            json!({"a": {"$in": [null]}}),
            json!({"a": {"$hasPrefix": 1}}),
            json!({"a": {"$contains": {"type": "t"}}}),
            json!({"a": {"nested": 1}}),
            json!({"a": {"nested": 1, "$in": "x"}}),
            json!({"relations": {"$contains": {"targetRef": "x"}}}),
            json!({"relations": {"$contains": {"type": "t", "targetRef": {"$in": []}}}}),
            json!({"relations": {"$contains": {"type": "t", "other": 1}}}),
        ] {
            assert!(parse(&predicate).is_err(), "{predicate}");
        }
    }

    #[test]
    fn h09_bounds_depth_and_nodes() {
        let nested =
            |levels: usize| (0..levels).fold(json!({"a": 1}), |inner, _| json!({"$not": inner}));
        assert!(parse(&nested(31)).is_ok());
        assert_eq!(parse(&nested(32)), Err(FilterError::TooDeep));
        assert_eq!(parse(&nested(500)), Err(FilterError::TooDeep));
        let any = json!({"$any": vec![json!({"a": 1}); 1_000_000]});
        assert_eq!(parse(&any), Err(FilterError::TooManyNodes));
        let values = json!({"a": {"$in": vec![1; 1_000_000]}});
        assert_eq!(parse(&values), Err(FilterError::TooManyNodes));
        let values = json!({"a": {"$in": vec![1; 999]}});
        assert!(parse(&values).is_ok());
    }
}
