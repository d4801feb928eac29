//! The predicates of `POST /locations/by-query` (ref §7.4): the language of [`EntityFilter`](super::EntityFilter) over
//! four fields, with oddities of its own.
//!
//! `$all` and `$any` without members both match nothing, where `{}` matches everything. Case matters nowhere but in an
//! `$in` of ids. `$contains` is taken and matches nothing, since no field is a list.

use serde_json::Value;

use super::FilterError;
use super::predicate::{charge, kind_of, operator_that_counts, shown, text_of, wrong};
use crate::casing::lower_case;

/// A condition on one registered location, within the bounds of every filter (hostile row h09).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocationFilter {
    /// Every one holds; without any, everything matches.
    All(Vec<LocationFilter>),
    /// At least one holds; without any, nothing matches.
    Any(Vec<LocationFilter>),
    /// The inner one does not hold.
    Not(Box<LocationFilter>),
    /// The field has one of these lower-cased texts; without any, nothing matches.
    In(LocationField, Vec<String>),
    /// The id is one of these, in this casing.
    Id(Vec<String>),
    /// The field begins with this lower-cased text.
    HasPrefix(LocationField, String),
}

/// What can be asked of a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocationField {
    /// `id`.
    Id,
    /// `type`.
    Type,
    /// `target`.
    Target,
    /// `entityRef`.
    EntityRef,
}

/// One location, as the filter sees it.
#[derive(Clone, Copy, Debug)]
pub struct LocationFields<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its type.
    pub r#type: &'a str,
    /// Its target.
    pub target: &'a str,
    /// The ref of its generated entity.
    pub entity_ref: &'a str,
}

impl LocationFields<'_> {
    fn get(&self, field: LocationField) -> &str {
        match field {
            LocationField::Id => self.id,
            LocationField::Type => self.r#type,
            LocationField::Target => self.target,
            LocationField::EntityRef => self.entity_ref,
        }
    }
}

impl LocationFilter {
    /// The filter that every location matches.
    #[must_use]
    pub fn everything() -> LocationFilter {
        LocationFilter::All(Vec::new())
    }

    /// Parses the `query` of a request body or a cursor.
    ///
    /// # Errors
    /// [`FilterError`] naming the operator or key that is wrong, or the bound that is exceeded.
    pub fn from_predicate(predicate: &Value) -> Result<LocationFilter, FilterError> {
        filter(predicate, &mut 0, 1)
    }

    /// Whether the location matches.
    #[must_use]
    pub fn matches(&self, location: &LocationFields<'_>) -> bool {
        match self {
            LocationFilter::All(inner) => inner.iter().all(|one| one.matches(location)),
            LocationFilter::Any(inner) => inner.iter().any(|one| one.matches(location)),
            LocationFilter::Not(inner) => !inner.matches(location),
            LocationFilter::In(field, values) => {
                let value = lower_case(location.get(*field));
                values.iter().any(|wanted| *wanted == value)
            }
            LocationFilter::Id(ids) => ids.iter().any(|id| id == location.id),
            LocationFilter::HasPrefix(field, prefix) => {
                lower_case(location.get(*field)).starts_with(prefix.as_str())
            }
        }
    }
}

/// What matches nothing.
fn nothing() -> LocationFilter {
    LocationFilter::Any(Vec::new())
}

fn filter(
    predicate: &Value,
    nodes: &mut usize,
    depth: usize,
) -> Result<LocationFilter, FilterError> {
    charge(nodes, depth)?;
    let Value::Object(object) = predicate else {
        return Err(FilterError::NotAnObject(kind_of(predicate)));
    };
    if let Some(operator) = object.keys().find(|key| key.starts_with('$')) {
        if object.len() > 1 {
            return Err(FilterError::NotAlone(shown(operator)));
        }
        return logic(operator, &object[operator], nodes, depth);
    }
    let conditions = object
        .iter()
        .map(|(key, asked)| condition(key, asked, nodes, depth + 1))
        .collect::<Result<_, _>>()?;
    Ok(LocationFilter::All(conditions))
}

fn logic(
    operator: &str,
    operand: &Value,
    nodes: &mut usize,
    depth: usize,
) -> Result<LocationFilter, FilterError> {
    if operator == "$not" {
        let inner = filter(operand, nodes, depth + 1)?;
        return Ok(LocationFilter::Not(Box::new(inner)));
    }
    if operator != "$all" && operator != "$any" {
        return Err(FilterError::UnknownOperator(shown(operator)));
    }
    let members = operand
        .as_array()
        .ok_or_else(|| wrong(operator, "an array of predicates"))?;
    let members: Vec<LocationFilter> = members
        .iter()
        .map(|member| filter(member, nodes, depth + 1))
        .collect::<Result<_, _>>()?;
    if operator == "$any" || members.is_empty() {
        return Ok(LocationFilter::Any(members));
    }
    Ok(LocationFilter::All(members))
}

/// What is asked of one field.
fn condition(
    key: &str,
    asked: &Value,
    nodes: &mut usize,
    depth: usize,
) -> Result<LocationFilter, FilterError> {
    charge(nodes, depth)?;
    let field = match &*lower_case(key) {
        "id" => LocationField::Id,
        "type" => LocationField::Type,
        "target" => LocationField::Target,
        "entityref" => LocationField::EntityRef,
        _ => return Err(FilterError::UnknownLocationKey(shown(key))),
    };
    let Value::Object(object) = asked else {
        let text = text_of(key, asked)?;
        let value = lower_case(&text).into_owned();
        return Ok(LocationFilter::In(field, vec![value]));
    };
    let Some((operator, operand)) = operator_that_counts(object) else {
        return Err(wrong(key, "a string, number, boolean or one operator"));
    };
    match (operator, operand) {
        ("$exists", Value::Bool(true)) => Ok(LocationFilter::everything()),
        ("$exists", Value::Bool(false)) | ("$contains", _) => Ok(nothing()),
        ("$exists", _) => Err(wrong(operator, "true or false")),
        ("$in", Value::Array(values)) => {
            let mut texts = Vec::with_capacity(values.len());
            for value in values {
                charge(nodes, depth)?;
                texts.push(text_of(operator, value)?);
            }
            if field == LocationField::Id {
                return Ok(LocationFilter::Id(texts));
            }
            let texts = texts.iter().map(|text| lower_case(text).into_owned());
            Ok(LocationFilter::In(field, texts.collect()))
        }
        ("$in", _) => Err(wrong(operator, "an array of strings, numbers or booleans")),
        ("$hasPrefix", Value::String(prefix)) => {
            let prefix = lower_case(prefix).into_owned();
            Ok(LocationFilter::HasPrefix(field, prefix))
        }
        ("$hasPrefix", _) => Err(wrong(operator, "a string")),
        _ => Err(FilterError::UnknownOperator(shown(operator))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{MAX_DEPTH, MAX_NODES};
    use super::*;

    const LOCATION: LocationFields<'_> = LocationFields {
        id: "0a-Id",
        r#type: "url",
        target: "https://Example.com/100%_a.yaml",
        entity_ref: "location:default/generated-0",
    };

    fn matches(predicate: &Value) -> bool {
        LocationFilter::from_predicate(predicate)
            .unwrap()
            .matches(&LOCATION)
    }

    #[test]
    fn fields_are_compared_without_case_but_for_lists_of_ids() {
        for yes in [
            json!({}),
            json!({"TYPE": "Url"}),
            json!({"id": "0A-ID"}),
            json!({"id": {"$in": ["x", "0a-Id"]}}),
            json!({"type": {"$in": ["file", "URL"]}}),
            json!({"target": {"$hasPrefix": "HTTPS://example.com/100%_"}}),
            json!({"entityRef": "Location:default/Generated-0", "type": "url"}),
            json!({"entityref": {"$exists": true}}),
            json!({"$not": {"target": {"$exists": false}}}),
            json!({"$any": [{"id": "x"}, {"type": "url"}]}),
            json!({"$all": [{"type": "url"}, {"$not": {"id": 1}}]}),
        ] {
            assert!(matches(&yes), "{yes}");
        }
        for no in [
            json!({"id": {"$in": ["0A-ID"]}}),
            json!({"id": {"$in": []}}),
            json!({"type": "url", "target": "other"}),
            json!({"target": {"$hasPrefix": "https://example.com/%"}}),
            json!({"target": {"$contains": "https"}}),
            json!({"$all": []}),
            json!({"$any": []}),
        ] {
            assert!(!matches(&no), "{no}");
        }
    }

    #[test]
    fn h09_what_is_no_predicate_is_refused_by_name() {
        let refused = |predicate: &Value| LocationFilter::from_predicate(predicate).unwrap_err();
        for (predicate, part) in [
            (json!("x"), "a string"),
            (json!({"owner": "x"}), "got 'owner'"),
            (json!({"$foo": 1}), "`$foo`"),
            (json!({"$not": {}, "id": 1}), "`$not`"),
            (json!({"$all": {}}), "`$all`"),
            (json!({"id": null}), "`id`"),
            (json!({"id": {}}), "`id`"),
            (json!({"id": {"$gt": 1}}), "`$gt`"),
            (json!({"id": {"$in": "x"}}), "`$in`"),
            (json!({"id": {"$in": [{}]}}), "`$in`"),
            (json!({"id": {"$exists": 1}}), "`$exists`"),
            (json!({"id": {"$hasPrefix": 1}}), "`$hasPrefix`"),
        ] {
            let message = refused(&predicate).to_string();
            assert!(message.contains(part), "{predicate}: {message}");
        }
        let wide = json!({"type": {"$in": vec!["x"; MAX_NODES]}});
        assert_eq!(refused(&wide), FilterError::TooManyNodes);
        let mut deep = json!({});
        for _ in 0..MAX_DEPTH {
            deep = json!({"$not": deep});
        }
        assert_eq!(refused(&deep), FilterError::TooDeep);
    }
}
