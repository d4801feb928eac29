//! What differs between two JSON values, as a list of changes a person can read: the diff of dry runs and previews.
//!
//! Objects are compared by key and lists place by place, after what both have in common at their beginning and end. Not a
//! patch to be applied: it is bounded in the number of changes and in the size of the values it shows.

use serde::Serialize;
use serde_json::{Map, Value};

/// Changes of one diff.
const MAX_CHANGES: usize = 200;
/// Longest value that is shown whole, in bytes of JSON.
const MAX_VALUE_BYTES: usize = 2_048;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What happened.
    pub op: ChangeKind,
    /// Where, as a JSON pointer; empty for the whole.
    pub path: String,
    /// What was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// Whether a value was too large to be shown; it is then the beginning of its JSON, as text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Something is there that was not.
    Add,
    /// Something is no longer there.
    Remove,
    /// Something is there instead of something else.
    Replace,
}

/// What differs between `from` and `to`; empty if nothing does.
pub fn diff(from: &Value, to: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(&mut changes, &mut String::new(), from, to);
    changes
}

/// Depth is that of values that were parsed, which is bounded.
fn compare(changes: &mut Vec<Change>, path: &mut String, from: &Value, to: &Value) {
    if from == to || changes.len() >= MAX_CHANGES {
        return;
    }
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => objects(changes, path, from, to),
        (Value::Array(from), Value::Array(to)) => lists(changes, path, from, to),
        _ => change(changes, path, Some(from), Some(to)),
    }
}

fn objects(
    changes: &mut Vec<Change>,
    path: &mut String,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
) {
    for (key, before) in from {
        within(path, key, |path| match to.get(key) {
            Some(after) => compare(changes, path, before, after),
            None => change(changes, path, Some(before), None),
        });
    }
    for (key, after) in to.iter().filter(|(key, _)| !from.contains_key(*key)) {
        within(path, key, |path| change(changes, path, None, Some(after)));
    }
}

fn lists(changes: &mut Vec<Change>, path: &mut String, from: &[Value], to: &[Value]) {
    let same = |(a, b): &(&Value, &Value)| a == b;
    let head = from.iter().zip(to).take_while(same).count();
    let (from, to) = (&from[head..], &to[head..]);
    let tail = from
        .iter()
        .rev()
        .zip(to.iter().rev())
        .take_while(same)
        .count();
    let (from, to) = (&from[..from.len() - tail], &to[..to.len() - tail]);
    for index in 0..from.len().max(to.len()) {
        let place = (head + index).to_string();
        within(path, &place, |path| {
            match (from.get(index), to.get(index)) {
                (Some(before), Some(after)) => compare(changes, path, before, after),
                (before, after) => change(changes, path, before, after),
            }
        });
    }
}

fn within(path: &mut String, part: &str, inner: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    path.push_str(&part.replace('~', "~0").replace('/', "~1"));
    inner(path);
    path.truncate(length);
}

fn change(changes: &mut Vec<Change>, path: &str, from: Option<&Value>, to: Option<&Value>) {
    if changes.len() >= MAX_CHANGES {
        return;
    }
    let op = match (from, to) {
        (None, _) => ChangeKind::Add,
        (_, None) => ChangeKind::Remove,
        _ => ChangeKind::Replace,
    };
    let mut cut = false;
    let mut shown = |value: &Value| {
        let text = value.to_string();
        if text.len() <= MAX_VALUE_BYTES {
            return value.clone();
        }
        cut = true;
        Value::String(text.chars().take(MAX_VALUE_BYTES / 4).collect())
    };
    let (from, to) = (from.map(&mut shown), to.map(&mut shown));
    changes.push(Change {
        op,
        path: path.to_owned(),
        from,
        to,
        cut,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_change_says_what_where_and_from_what() {
        let from = json!({"a": 1, "b/c": {"d~": [1, 2, 3]}, "gone": null, "same": [1]});
        let to = json!({"a": "1", "b/c": {"d~": [1, 9, 3]}, "same": [1], "new": {"x": 1}});
        assert_eq!(
            serde_json::to_value(diff(&from, &to)).unwrap(),
            json!([
                {"op": "replace", "path": "/a", "from": 1, "to": "1"},
                {"op": "replace", "path": "/b~1c/d~0/1", "from": 2, "to": 9},
                {"op": "remove", "path": "/gone", "from": null},
                {"op": "add", "path": "/new", "to": {"x": 1}},
            ])
        );
        assert!(diff(&from, &from).is_empty());
        assert_eq!(diff(&json!(1), &json!(2))[0].path, "");
    }

    #[test]
    fn a_list_shows_what_was_put_in_and_not_what_moved() {
        let ops = |from, to| {
            let changes = diff(&from, &to);
            changes
                .iter()
                .map(|change| (change.op, change.path.clone()))
                .collect::<Vec<_>>()
        };
        let (two, three) = (json!([1, 3]), json!([1, 2, 3]));
        assert_eq!(
            ops(two.clone(), three.clone()),
            [(ChangeKind::Add, "/1".to_owned())]
        );
        assert_eq!(ops(three, two), [(ChangeKind::Remove, "/1".to_owned())]);
        assert_eq!(
            ops(json!([1, 1]), json!([1])),
            [(ChangeKind::Remove, "/1".to_owned())]
        );
    }

    #[test]
    fn it_is_bounded_in_changes_and_in_what_they_show() {
        let from: Value = (0..1_000).map(|n| json!(n)).collect();
        let to: Value = (0..1_000).map(|n| json!(n + 1_000)).collect();
        assert_eq!(diff(&from, &to).len(), MAX_CHANGES);
        let large = json!({"a": "é".repeat(100_000)});
        let changes = diff(&json!({}), &large);
        assert!(changes[0].cut && changes[0].to.as_ref().unwrap().to_string().len() < 2_100);
    }
}
