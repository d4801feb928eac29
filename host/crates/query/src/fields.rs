//! The `fields` parameter: keeping only some subtrees of a body (ref §7.5).
//!
//! A path is cut at its dots and re-joined greedily until a key matches, shortest first, so that
//! `metadata.annotations.backstage.io/view-url` finds its annotation. Keys are plain data: nothing
//! is inherited, `__proto__` is a key like any other (hostile row y08).

use serde_json::{Map, Value};

use crate::QueryError;

/// Most paths of one request.
pub const MAX_FIELDS: usize = 500;
/// Most bytes of all paths of one request together.
pub const MAX_FIELDS_BYTES: usize = 16 * 1024;

/// Above this many dots in a path, the keys of an object are tried instead of the path's parts:
/// hashing every prefix of a path of a thousand dots for every entity is what an attacker wants.
const MANY_DOTS: usize = 32;

/// Which subtrees of a body to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    paths: Vec<String>,
}

impl Fields {
    /// Reads the `fields` parameter, comma separated. `None` if it names nothing: bodies stay whole.
    ///
    /// # Errors
    /// [`QueryError::ArrayField`] for a `[`, [`QueryError::TooMany`] above the bounds.
    pub fn parse(text: &str) -> Result<Option<Fields>, QueryError> {
        Fields::from_list(&[text])
    }

    /// Reads the `fields` of a POST body (or a repeated parameter); each may hold commas too.
    ///
    /// # Errors
    /// As [`Fields::parse`].
    pub fn from_list<S: AsRef<str>>(list: &[S]) -> Result<Option<Fields>, QueryError> {
        let mut paths = Vec::new();
        let mut bytes = 0;
        let parts = list.iter().flat_map(|text| text.as_ref().split(','));
        for path in parts
            .map(greenroom_model::trim)
            .filter(|path| !path.is_empty())
        {
            if path.contains('[') {
                return Err(QueryError::ArrayField);
            }
            bytes += path.len();
            if paths.len() == MAX_FIELDS {
                return Err(too_many("fields", MAX_FIELDS));
            }
            if bytes > MAX_FIELDS_BYTES {
                return Err(too_many("bytes of fields", MAX_FIELDS_BYTES));
            }
            paths.push(path.to_owned());
        }
        Ok((!paths.is_empty()).then_some(Fields { paths }))
    }

    /// The body with only these subtrees; an object even if none is there. What is no object has
    /// no subtrees.
    #[must_use]
    pub fn project(&self, body: &Value) -> Value {
        let mut kept = Map::new();
        for path in &self.paths {
            let mut keys = Vec::new();
            if let Some(value) = find(body, path, &mut keys) {
                insert(&mut kept, &keys, value);
            }
        }
        Value::Object(kept)
    }
}

fn too_many(what: &'static str, limit: usize) -> QueryError {
    QueryError::TooMany { what, limit }
}

/// The value at a path, and the keys that lead to it. Each step consumes at least one byte or one
/// level of the body, and a step that matched is not taken back.
fn find<'a>(body: &'a Value, path: &'a str, keys: &mut Vec<&'a str>) -> Option<&'a Value> {
    let mut value = body;
    let mut rest = path;
    loop {
        let object = value.as_object()?;
        let (key, inner) = shortest_key(object, rest)?;
        keys.push(key);
        value = inner;
        if key.len() == rest.len() {
            return Some(value);
        }
        rest = &rest[key.len() + 1..];
    }
}

/// The shortest key of the object that is a prefix of the path and ends where a part ends.
fn shortest_key<'a>(object: &'a Map<String, Value>, path: &'a str) -> Option<(&'a str, &'a Value)> {
    let dots = path.bytes().filter(|byte| *byte == b'.').count();
    if dots <= MANY_DOTS {
        let ends = path.match_indices('.').map(|(at, _)| at);
        return ends
            .chain([path.len()])
            .find_map(|end| Some((&path[..end], object.get(&path[..end])?)));
    }
    object
        .iter()
        .filter(|(key, _)| {
            path.strip_prefix(key.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
        .min_by_key(|(key, _)| key.len())
        .map(|(key, value)| (key.as_str(), value))
}

/// Puts a copy of the value below these keys, into what earlier paths left there.
fn insert(kept: &mut Map<String, Value>, keys: &[&str], value: &Value) {
    let Some((last, parents)) = keys.split_last() else {
        return;
    };
    let mut object = kept;
    for key in parents {
        let slot = object
            .entry((*key).to_owned())
            .or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = slot else {
            // Only objects are walked through, in the body and so in what was kept of it.
            return;
        };
        object = inner;
    }
    object.insert((*last).to_owned(), value.clone());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn project(fields: &str, body: &Value) -> Value {
        Fields::parse(fields).unwrap().unwrap().project(body)
    }

    #[test]
    fn keeps_the_named_subtrees() {
        let body = json!({
            "kind": "Component",
            "metadata": {"name": "a", "tags": ["x"], "annotations": {"backstage.io/view-url": "u", "b": "c"}},
            "spec": {"owner": "t", "n": null},
        });
        for (fields, expected) in [
            ("kind", json!({"kind": "Component"})),
            ("missing", json!({})),
            (
                "metadata.name,\u{feff} spec.n",
                json!({"metadata": {"name": "a"}, "spec": {"n": null}}),
            ),
            (
                "metadata.annotations.backstage.io/view-url",
                json!({"metadata": {"annotations": {"backstage.io/view-url": "u"}}}),
            ),
            ("metadata.tags.0", json!({})),
            ("metadata.tags.x", json!({})),
            (
                "metadata.name,metadata.tags",
                json!({"metadata": {"name": "a", "tags": ["x"]}}),
            ),
            (
                "spec,spec.owner",
                json!({"spec": {"owner": "t", "n": null}}),
            ),
            (
                "spec.owner,spec",
                json!({"spec": {"owner": "t", "n": null}}),
            ),
            ("kind.deeper", json!({})),
        ] {
            assert_eq!(project(fields, &body), expected, "{fields}");
        }
    }

    #[test]
    fn the_shortest_key_wins_and_is_not_taken_back() {
        let body = json!({"a": {"x": 1}, "a.b": 2});
        assert_eq!(project("a.b", &body), json!({}));
        assert_eq!(project("a.x", &body), json!({"a": {"x": 1}}));
        assert_eq!(project("a.b", &json!({"a.b": 2})), json!({"a.b": 2}));
    }

    #[test]
    fn y08_odd_keys_are_plain_data() {
        let long = "k".repeat(10_000);
        let body = json!({"__proto__": 1, "constructor": 2, "$ref": 3, "a.b": 4, "": {"": 5}, long.clone(): 6});
        for key in ["__proto__", "constructor", "$ref", "a.b", long.as_str()] {
            assert_eq!(project(key, &body), json!({key: body[key]}), "{key}");
        }
        assert_eq!(project("hasOwnProperty", &body), json!({}));
        assert_eq!(project(".", &body), json!({"": {"": 5}}));
    }

    #[test]
    fn h08_odd_and_endless_fields() {
        assert_eq!(Fields::parse(",, ,"), Ok(None));
        assert_eq!(Fields::from_list::<&str>(&[]), Ok(None));
        assert_eq!(Fields::parse("a[0]"), Err(QueryError::ArrayField));
        assert!(Fields::parse(&"a,".repeat(10_000)).is_err());
        assert!(Fields::parse(&"a".repeat(1_000_000)).is_err());
        let dots = ".".repeat(10_000);
        let body = json!({"": {"": 1}, "a": {}});
        assert_eq!(project(&dots, &body), json!({}));
        let deep = vec!["a"; 40].join(".");
        let body = json!({"a": {"a.a": 1}, "a.a": 2, deep.clone(): 3});
        assert_eq!(project(&deep, &body), json!({}));
        assert_eq!(
            project(&deep, &json!({"b": 1, deep.clone(): 3})),
            json!({deep: 3})
        );
    }
}
