//! Subscriptions: whether a processor is called for an entity at all.

use greenroom_model::Entity;
use greenroom_sandbox::Matcher;
use serde_json::{Map, Value};

/// Whether one of the matchers is satisfied; no matcher matches everything.
pub(crate) fn matches(subscription: &[Matcher], entity: &Entity) -> bool {
    subscription.is_empty()
        || subscription
            .iter()
            .any(|matcher| satisfies(matcher, entity))
}

fn satisfies(matcher: &Matcher, entity: &Entity) -> bool {
    let any_case =
        |wanted: &[String], have: &str| wanted.iter().any(|one| one.eq_ignore_ascii_case(have));
    (matcher.kinds.is_empty() || any_case(&matcher.kinds, entity.kind()))
        && (matcher.types.is_empty()
            || entity
                .spec_type()
                .is_some_and(|have| any_case(&matcher.types, have)))
        && (matcher.annotations.is_empty()
            || matcher
                .annotations
                .iter()
                .any(|key| entity.annotation(key).is_some()))
        && (matcher.keys_starting_with.is_empty()
            || has_key_with_prefix(entity.as_map(), &matcher.keys_starting_with))
}

/// Looks at every object key of the entity. Iterative: an entity's depth is bounded but not small.
fn has_key_with_prefix(root: &Map<String, Value>, prefixes: &[String]) -> bool {
    let mut objects: Vec<&Map<String, Value>> = vec![root];
    let mut arrays: Vec<&Vec<Value>> = Vec::new();
    loop {
        let values: Box<dyn Iterator<Item = &Value>> = if let Some(object) = objects.pop() {
            if object.keys().any(|key| {
                prefixes
                    .iter()
                    .any(|prefix| key.starts_with(prefix.as_str()))
            }) {
                return true;
            }
            Box::new(object.values())
        } else if let Some(array) = arrays.pop() {
            Box::new(array.iter())
        } else {
            return false;
        };
        for value in values {
            match value {
                Value::Object(object) => objects.push(object),
                Value::Array(array) => arrays.push(array),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entity() -> Entity {
        Entity::from_value(json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
            "metadata": {"name": "a", "annotations": {"x/y": "1"}},
            "spec": {"type": "Service", "list": [{"$text": "./a"}]},
        }))
        .unwrap()
    }

    #[test]
    fn no_matcher_matches_everything() {
        assert!(matches(&[], &entity()));
    }

    #[test]
    fn fields_are_anded_and_their_values_ored() {
        let kind = |kinds: &[&str], types: &[&str]| Matcher {
            kinds: kinds.iter().map(ToString::to_string).collect(),
            types: types.iter().map(ToString::to_string).collect(),
            ..Matcher::default()
        };
        assert!(matches(
            &[kind(&["api", "component"], &["service"])],
            &entity()
        ));
        assert!(!matches(&[kind(&["component"], &["website"])], &entity()));
        assert!(matches(
            &[kind(&["api"], &[]), kind(&["component"], &[])],
            &entity()
        ));
    }

    #[test]
    fn annotations_and_key_prefixes_are_looked_up_everywhere() {
        let prefix = |text: &str| Matcher {
            keys_starting_with: vec![text.into()],
            ..Matcher::default()
        };
        assert!(matches(&[prefix("$")], &entity()));
        assert!(!matches(&[prefix("%")], &entity()));
        let annotated = Matcher {
            annotations: vec!["x/y".into()],
            ..Matcher::default()
        };
        assert!(matches(&[annotated], &entity()));
    }
}
