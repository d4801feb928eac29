//! What a run changed, as operations in the spirit of JSON Patch with the old value beside the new one. For showing and
//! comparing; not meant to be applied: items of lists are compared by their place.

use serde_json::{Value, json};

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    /// JSON Pointer.
    pub(super) path: String,
    /// What was there.
    pub(super) from: Option<Value>,
    /// What is there.
    pub(super) to: Option<Value>,
}

impl Change {
    /// `add`, `remove` or `replace`.
    pub(super) fn op(&self) -> &'static str {
        match (&self.from, &self.to) {
            (None, _) => "add",
            (Some(_), None) => "remove",
            (Some(_), Some(_)) => "replace",
        }
    }

    /// As the API shows it.
    pub(super) fn to_json(&self) -> Value {
        let mut shown = json!({"op": self.op(), "path": self.path});
        if let Some(from) = &self.from {
            shown["from"] = from.clone();
        }
        if let Some(to) = &self.to {
            shown["to"] = to.clone();
        }
        shown
    }
}

/// The differences, in the order of `before`, then what was added.
pub(super) fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(before, after, &mut String::new(), &mut changes);
    changes
}

/// Recursive: the depth of an entity, and of any JSON that was parsed, is bounded.
fn compare(before: &Value, after: &Value, path: &mut String, changes: &mut Vec<Change>) {
    let mut at = |path: &mut String, key: &str, from: Option<&Value>, to: Option<&Value>| {
        let length = path.len();
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        match (from, to) {
            (Some(from), Some(to)) => compare(from, to, path, changes),
            (from, to) => changes.push(Change {
                path: path.clone(),
                from: from.cloned(),
                to: to.cloned(),
            }),
        }
        path.truncate(length);
    };
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, from) in before {
                at(path, key, Some(from), after.get(key));
            }
            for (key, to) in after {
                if !before.contains_key(key) {
                    at(path, key, None, Some(to));
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for index in 0..before.len().max(after.len()) {
                at(
                    path,
                    &index.to_string(),
                    before.get(index),
                    after.get(index),
                );
            }
        }
        (before, after) if before == after => {}
        (before, after) => changes.push(Change {
            path: path.clone(),
            from: Some(before.clone()),
            to: Some(after.clone()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_added_removed_and_replaced() {
        let before = json!({"a": 1, "b": {"x/y": [1, 2], "gone": true}, "same": [{}]});
        let after = json!({"a": "1", "b": {"x/y": [1, 3, 4], "new~": null}, "same": [{}]});
        let changes: Vec<Value> = diff(&before, &after).iter().map(Change::to_json).collect();
        assert_eq!(
            changes,
            [
                json!({"op": "replace", "path": "/a", "from": 1, "to": "1"}),
                json!({"op": "replace", "path": "/b/x~1y/1", "from": 2, "to": 3}),
                json!({"op": "add", "path": "/b/x~1y/2", "to": 4}),
                json!({"op": "remove", "path": "/b/gone", "from": true}),
                json!({"op": "add", "path": "/b/new~0", "to": null}),
            ]
        );
        assert!(diff(&after, &after).is_empty());
    }
}
