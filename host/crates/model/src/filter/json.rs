//! Writing a filter as predicate JSON, and serde for cursors.
//!
//! The client decodes cursors and looks for a `query` key (ref §7.7), so the stored form is the
//! predicate language itself, with one addition for keys that start with `$`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value, json};

use super::EntityFilter;
use super::predicate::{LITERAL_KEY, Origin, Reader};

impl EntityFilter {
    /// The filter as predicate JSON; reads back as an equal filter.
    #[must_use]
    pub fn to_predicate(&self) -> Value {
        match self {
            EntityFilter::All(inner) if inner.is_empty() => json!({}),
            EntityFilter::All(inner) => json!({ "$all": predicates(inner) }),
            EntityFilter::Any(inner) => json!({ "$any": predicates(inner) }),
            EntityFilter::Not(inner) => json!({ "$not": inner.to_predicate() }),
            EntityFilter::Exists { key } => on_key(key, json!({ "$exists": true })),
            EntityFilter::In { key, values } => match values.as_slice() {
                [value] => on_key(key, json!(value)),
                values => on_key(key, json!({ "$in": values })),
            },
            EntityFilter::HasPrefix { key, prefix } => on_key(key, json!({ "$hasPrefix": prefix })),
        }
    }
}

fn predicates(filters: &[EntityFilter]) -> Vec<Value> {
    filters.iter().map(EntityFilter::to_predicate).collect()
}

fn on_key(key: &str, condition: Value) -> Value {
    if key.starts_with('$') {
        return json!({ LITERAL_KEY: [key, condition] });
    }
    Value::Object(Map::from_iter([(key.to_owned(), condition)]))
}

impl Serialize for EntityFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_predicate().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EntityFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EntityFilter, D::Error> {
        let predicate = Value::deserialize(deserializer)?;
        Reader::new(Origin::Stored)
            .filter(&predicate, 1)
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(filter: &EntityFilter) {
        let text = serde_json::to_string(filter).unwrap();
        let back: EntityFilter = serde_json::from_str(&text).unwrap();
        assert_eq!(back, *filter, "{text}");
    }

    #[test]
    fn h10_predicates_read_back_equal() {
        for predicate in [
            json!({}),
            json!({"$any": []}),
            json!({"$all": [{"a": 1}, {"b": {"$in": []}}]}),
            json!({"$not": {"a": {"$exists": false}}}),
            json!({"a": {"$in": ["x", "y"]}, "b": {"$hasPrefix": "p"}}),
            json!({"relations": {"$contains": {"type": "ownedBy", "targetRef": "a:b/c"}}}),
        ] {
            round_trip(&EntityFilter::from_predicate(&predicate).unwrap());
        }
    }

    #[test]
    fn y08_get_filters_with_odd_keys_read_back_equal() {
        for param in [
            "$ref=x",
            "$all",
            "__proto__=1,constructor",
            "kind=a,kind=b,$in=c",
        ] {
            round_trip(&EntityFilter::parse_params(&[param]).unwrap().unwrap());
        }
        let full: Vec<String> = (0..333).map(|n| format!("k{n}=v")).collect();
        round_trip(
            &EntityFilter::parse_params(&[full.join(",")])
                .unwrap()
                .unwrap(),
        );
    }
}
