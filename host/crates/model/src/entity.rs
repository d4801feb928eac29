//! An entity: the JSON object a catalog is made of, with its envelope known to be sound.
//!
//! The body stays an open JSON object, because `metadata` and `spec` are open and come back to the
//! client as they were written. The invariant is the envelope's (see [`crate::envelope`]):
//! `apiVersion`, `kind` and `metadata.name` are non-empty strings, `metadata.namespace` is one or
//! absent, nothing nests deeper than [`crate::MAX_DEPTH`], no string contains NUL. Code
//! that edits members through the `_mut` accessors keeps `name` and `namespace` or re-checks.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use crate::entity_ref::{DEFAULT_NAMESPACE, EntityRef};
use crate::envelope::{self, EnvelopeError};

/// An entity with a checked envelope.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Entity(Map<String, Value>);

impl Entity {
    /// Checks the envelope and takes the object. Numbers become those JavaScript would hold
    /// (`1.0` is `1`, integers beyond 2⁵³ are rounded), so that equal bodies have equal text.
    ///
    /// # Errors
    /// [`EnvelopeError`] naming the first offending path.
    pub fn from_value(value: Value) -> Result<Entity, EnvelopeError> {
        envelope::check(value).map(Entity)
    }

    /// Parses JSON text, bounded in depth, and checks the envelope.
    ///
    /// # Errors
    /// [`EnvelopeError`] for text that is no JSON, and as [`Entity::from_value`].
    pub fn from_json(text: &str) -> Result<Entity, EnvelopeError> {
        envelope::parse(text).and_then(Entity::from_value)
    }

    /// `kind`, in its own casing.
    #[must_use]
    pub fn kind(&self) -> &str {
        text(&self.0, "kind").unwrap_or_default()
    }

    /// `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> &str {
        text(&self.0, "apiVersion").unwrap_or_default()
    }

    /// `metadata.name`, in its own casing.
    #[must_use]
    pub fn name(&self) -> &str {
        text(self.metadata(), "name").unwrap_or_default()
    }

    /// `metadata.namespace`, `default` when absent.
    #[must_use]
    pub fn namespace(&self) -> &str {
        text(self.metadata(), "namespace").unwrap_or(DEFAULT_NAMESPACE)
    }

    /// `metadata`.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        self.0
            .get("metadata")
            .and_then(Value::as_object)
            .expect("the envelope check requires an object and no accessor replaces it")
    }

    /// `spec`, if there is one and it is an object (the policies refuse any other).
    #[must_use]
    pub fn spec(&self) -> Option<&Map<String, Value>> {
        self.0.get("spec").and_then(Value::as_object)
    }

    /// `metadata`, to edit in place.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        self.0
            .get_mut("metadata")
            .and_then(Value::as_object_mut)
            .expect("the envelope check requires an object and no accessor replaces it")
    }

    /// `spec`, to edit in place.
    pub fn spec_mut(&mut self) -> Option<&mut Map<String, Value>> {
        self.0.get_mut("spec").and_then(Value::as_object_mut)
    }

    /// The text of one annotation, if present and a string.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.metadata().get("annotations")?.as_object()?;
        text(annotations, key)
    }

    /// Sets one annotation; `annotations` of another type than object is replaced.
    pub fn set_annotation(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), Value::String(value.into()));
        let slot = self
            .metadata_mut()
            .entry("annotations")
            .or_insert(Value::Null);
        if let Value::Object(annotations) = slot {
            annotations.insert(key, value);
        } else {
            *slot = Value::Object(Map::from_iter([(key, value)]));
        }
    }

    /// The identity of the entity, lower-cased.
    #[must_use]
    pub fn entity_ref(&self) -> EntityRef {
        EntityRef::new(self.kind(), self.namespace(), self.name())
    }

    /// `spec.type`, if a string.
    #[must_use]
    pub fn spec_type(&self) -> Option<&str> {
        text(self.spec()?, "type")
    }

    /// The whole object.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The whole object, given up.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// The object as compact JSON text, keys in their order of writing.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("a JSON object with string keys always serialises")
    }
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str)
}

impl<'de> Deserialize<'de> for Entity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Entity::from_value(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn web() -> Entity {
        Entity::from_value(json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
            "metadata": {"name": "Artist-Web"}, "spec": {"type": "website"}
        }))
        .unwrap()
    }

    #[test]
    fn reads_its_envelope() {
        let entity = web();
        assert_eq!(entity.entity_ref().as_str(), "component:default/artist-web");
        assert_eq!(entity.name(), "Artist-Web");
        assert_eq!(entity.spec_type(), Some("website"));
        assert_eq!(Entity::from_json(&entity.to_json()).unwrap(), entity);
    }

    #[test]
    fn annotations_are_set_over_anything() {
        let mut entity = web();
        entity.set_annotation("a/b", "1");
        assert_eq!(entity.annotation("a/b"), Some("1"));
        entity
            .metadata_mut()
            .insert("annotations".into(), json!([1]));
        assert_eq!(entity.annotation("a/b"), None);
        entity.set_annotation("c", "2");
        assert_eq!(entity.metadata()["annotations"], json!({"c": "2"}));
    }
}
