//! The search terms of a final entity: what filters, order, facets and full text can see (ref §5.7).
//!
//! A term is one row of Backstage's `search` table: a lower-cased dotted path, the lower-cased value
//! and the value as it was written. This module turns one entity into its terms and knows nothing of
//! indexes. Deciding here, once, what is searchable keeps the index, the stitcher (which refuses an
//! entity whose keys collide) and `by-refs` filters from disagreeing.
//!
//! Bounded on hostile input: nesting, number of terms and text of keys each have a limit, because an
//! array below a long path multiplies that path by its items (4 MiB of entity could ask for
//! terabytes of keys).

mod number;
mod walk;

use serde_json::{Map, Value};

pub use number::number_text;

/// Deepest nesting that is walked; the envelope has the same bound (hostile row y05).
pub const MAX_DEPTH: usize = 128;
/// Most terms one entity may have. A group of 10 000 members has some 30 000.
pub const MAX_TERMS: usize = 200_000;
/// Longest key and longest value that are kept, in UTF-16 code units (ref §5.7).
pub const MAX_TEXT_UNITS: usize = 200;
/// Most bytes of key text one entity may spread over its terms, dropped keys included.
pub const MAX_KEY_BYTES: usize = 64 * 1024 * 1024;

/// One searchable (key, value) of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    /// Lower-cased dotted path, at most 200 UTF-16 units.
    pub key: String,
    /// Lower-cased value; `None` for JSON null and for values over 200 UTF-16 units, which can only
    /// be asked for by existence.
    pub value: Option<String>,
    /// The value as written; `None` exactly when `value` is.
    pub original: Option<String>,
}

/// An entity that cannot be turned into terms; its author must change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    /// Two paths are equal but for case, so one lower-cased key would mean both.
    #[error(
        "entity has keys that vary only in casing, {}; rename all but one of each",
        quoted(.0)
    )]
    CaseCollision(Vec<String>),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("entity is nested deeper than {MAX_DEPTH} levels; flatten it")]
    TooDeep,
    /// More than [`MAX_TERMS`] terms or [`MAX_KEY_BYTES`] of keys.
    #[error("entity has more searchable fields than {MAX_TERMS}; shorten its lists and keys")]
    TooMany,
}

/// The terms of a final entity, unique by (key, value), the first spelling kept.
///
/// Implements ref §5.7: depth-first over everything but the excluded subtrees, then
/// `metadata.name`, `metadata.namespace` (`default` if missing), `metadata.uid` and one
/// `relations.<type>` per relation. Malformed relations are skipped.
///
/// # Errors
/// [`TermError`] when keys collide by case, and when the entity exceeds a bound.
pub fn terms(entity: &Map<String, Value>) -> Result<Vec<Term>, TermError> {
    let mut walk = walk::Walk::new();
    walk.object(entity, 0)?;
    let metadata = entity.get("metadata").and_then(Value::as_object);
    let field = |name: &str| metadata.and_then(|metadata| metadata.get(name));
    let namespace =
        field("namespace").filter(|value| value.as_str() != Some("") && !value.is_null());
    walk.scalar("metadata.name", field("name"))?;
    match namespace {
        Some(namespace) => walk.scalar("metadata.namespace", Some(namespace))?,
        None => walk.text("metadata.namespace", "default")?,
    }
    walk.scalar("metadata.uid", field("uid"))?;
    let relations = entity.get("relations").and_then(Value::as_array);
    for relation in relations.into_iter().flatten() {
        if let Some(kind) = relation.get("type").and_then(Value::as_str) {
            walk.scalar(&format!("relations.{kind}"), relation.get("targetRef"))?;
        }
    }
    walk.finish()
}

fn quoted(keys: &[String]) -> String {
    let shown: Vec<String> = keys.iter().take(5).map(|key| format!("`{key}`")).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(entity: &Value) -> Vec<(String, Option<String>, Option<String>)> {
        terms(entity.as_object().unwrap())
            .unwrap()
            .into_iter()
            .map(|term| (term.key, term.value, term.original))
            .collect()
    }

    fn has(entity: &Value, key: &str, value: Option<&str>) -> bool {
        rows(entity)
            .iter()
            .any(|row| row.0 == key && row.1.as_deref() == value)
    }

    #[test]
    fn follows_the_example_of_the_reference() {
        let entity = json!({"spec": {"nested": {"a": [1, "two", {"b": 3}], "n": null, "t": true, "Upper": "MiXed"}}});
        let found = rows(&entity);
        for (key, value, original) in [
            ("spec.nested.a", Some("1"), Some("1")),
            ("spec.nested.a", Some("two"), Some("two")),
            ("spec.nested.a.two", Some("true"), Some("true")),
            ("spec.nested.a.b", Some("3"), Some("3")),
            ("spec.nested.n", None, None),
            ("spec.nested.t", Some("true"), Some("true")),
            ("spec.nested.upper", Some("mixed"), Some("MiXed")),
        ] {
            let row = (
                key.to_owned(),
                value.map(str::to_owned),
                original.map(str::to_owned),
            );
            assert!(found.contains(&row), "{row:?} in {found:?}");
        }
    }

    #[test]
    fn leaves_out_the_excluded_subtrees_and_adds_the_special_keys() {
        let entity = json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
            "metadata": {"name": "Web", "uid": "u-1", "etag": "e", "annotations": {"backstage.io/view-url": "http://h/C"}},
            "relations": [{"type": "ownedBy", "targetRef": "group:default/a"}, {"no": "type"}],
            "status": {"items": [1]}, "attachments": {"x": 1},
        });
        let found = rows(&entity);
        let keys: Vec<&str> = found.iter().map(|row| row.0.as_str()).collect();
        assert_eq!(
            keys,
            [
                "apiversion",
                "kind",
                "metadata.annotations.backstage.io/view-url",
                "metadata.name",
                "metadata.namespace",
                "metadata.uid",
                "relations.ownedby",
            ]
        );
        assert!(has(&entity, "metadata.namespace", Some("default")));
        assert!(has(&entity, "relations.ownedby", Some("group:default/a")));
    }

    #[test]
    fn long_values_exist_only_and_long_keys_are_dropped() {
        let key = "k".repeat(200 - "spec.".len());
        let entity = json!({"spec": {
            "exact": "é".repeat(200), "long": "é".repeat(201), "astral": "😀".repeat(101),
            key.clone(): 1, format!("{key}k"): 1,
        }});
        assert!(has(&entity, "spec.exact", Some(&"é".repeat(200))));
        assert!(has(&entity, "spec.long", None));
        assert!(has(&entity, "spec.astral", None));
        assert!(has(&entity, &format!("spec.{key}"), Some("1")));
        assert!(!rows(&entity).iter().any(|row| row.0.len() > 200));
    }

    #[test]
    fn y09_keys_that_differ_by_case_are_an_error_and_dots_are_not() {
        let clash = json!({"spec": {"Foo": 1, "foo": 2}});
        assert_eq!(
            terms(clash.as_object().unwrap()),
            Err(TermError::CaseCollision(vec!["spec.foo".to_owned()]))
        );
        let same = json!({"spec": {"a.b": 1, "a": {"b": 2}}});
        assert!(has(&same, "spec.a.b", Some("1")) && has(&same, "spec.a.b", Some("2")));
        // Items of one list are de-duplicated, a list item against a field is a collision.
        let tags = json!({"metadata": {"tags": ["Java", "java"]}});
        let found = rows(&tags);
        assert_eq!(
            found.iter().filter(|row| row.0 == "metadata.tags").count(),
            1
        );
        assert_eq!(found[0].2.as_deref(), Some("Java"));
        let mixed = json!({"spec": {"a": ["B"], "a.b": 1}});
        assert!(terms(mixed.as_object().unwrap()).is_err());
    }

    #[test]
    fn y08_odd_keys_are_plain_data() {
        let entity =
            json!({"": {"": 1}, "__proto__": {"constructor": "x"}, "$ref": "y", "spec": {"": "z"}});
        assert!(has(&entity, "", Some("1")));
        assert!(has(&entity, "__proto__.constructor", Some("x")));
        assert!(has(&entity, "$ref", Some("y")));
        assert!(has(&entity, "spec.", Some("z")));
    }

    #[test]
    fn y08_a_long_key_over_many_items_is_bounded() {
        let items: Vec<Value> = (0..200).map(|item| json!(format!("item-{item}"))).collect();
        let entity = json!({"spec": {"k".repeat(1024 * 1024): items}});
        assert_eq!(terms(entity.as_object().unwrap()), Err(TermError::TooMany));
    }

    #[test]
    fn y05_nesting_is_bounded() {
        let mut value = json!(1);
        for _ in 0..1000 {
            value = json!({"a": value});
        }
        assert_eq!(terms(value.as_object().unwrap()), Err(TermError::TooDeep));
        let mut value = json!([1]);
        for _ in 0..1000 {
            value = json!([value]);
        }
        let entity = json!({"spec": value});
        assert_eq!(terms(entity.as_object().unwrap()), Err(TermError::TooDeep));
    }
}
