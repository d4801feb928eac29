//! The entity a call is made with: JSON text, beside the ref that a stage must keep (c15).
//!
//! Whoever makes the text has the entity, and so its ref; that way no call has to look for it in the text again. Only the
//! text is written where a request is kept or sent, and the ref is found in it where it is read back.

use std::fmt;
use std::sync::Arc;

use greenroom_model::{DEFAULT_NAMESPACE, Entity, EntityRef};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// See the module's head. Cheap to clone.
#[derive(Clone, PartialEq)]
pub struct GivenEntity {
    text: Arc<str>,
    entity_ref: Arc<EntityRef>,
}

impl GivenEntity {
    /// The text of an entity.
    #[must_use]
    pub fn new(entity: &Entity) -> GivenEntity {
        GivenEntity::of(entity.to_json(), entity.entity_ref())
    }

    /// A text whose ref its maker knows.
    #[must_use]
    pub fn of(text: impl Into<Arc<str>>, entity_ref: EntityRef) -> GivenEntity {
        GivenEntity {
            text: text.into(),
            entity_ref: entity_ref.into(),
        }
    }

    /// Takes a text as it is. Reads the three fields of the ref and nothing else: texts are the host's own.
    ///
    /// # Errors
    /// As the parser says, for a text that is no JSON or lacks them.
    pub fn parse(text: impl Into<Arc<str>>) -> Result<GivenEntity, serde_json::Error> {
        #[derive(Deserialize)]
        struct Envelope {
            kind: String,
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            name: String,
            #[serde(default)]
            namespace: Option<String>,
        }
        let text = text.into();
        let Envelope { kind, metadata } = serde_json::from_str(&text)?;
        let namespace = metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        Ok(GivenEntity::of(
            text,
            EntityRef::new(&kind, namespace, &metadata.name),
        ))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The ref.
    #[must_use]
    pub fn entity_ref(&self) -> &EntityRef {
        &self.entity_ref
    }
}

impl fmt::Debug for GivenEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl Serialize for GivenEntity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for GivenEntity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<GivenEntity, D::Error> {
        GivenEntity::parse(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_ref_on_its_way() {
        let text = r#"{"apiVersion":"a/v1","kind":"Component","metadata":{"name":"Web"}}"#;
        let given = GivenEntity::parse(text).unwrap();
        assert_eq!(given.entity_ref().as_str(), "component:default/web");
        let written = serde_json::to_string(&given).unwrap();
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        assert_eq!(
            serde_json::from_str::<GivenEntity>(&written).unwrap(),
            given
        );
        let entity = Entity::from_json(text).unwrap();
        assert_eq!(GivenEntity::new(&entity), given);
    }

    #[test]
    fn a_text_without_a_ref_is_none() {
        for text in ["", "[]", "{}", r#"{"kind":"Component","metadata":{}}"#] {
            assert!(GivenEntity::parse(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<GivenEntity>("\"{}\"").is_err());
    }
}
