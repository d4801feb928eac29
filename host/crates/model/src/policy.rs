//! The entity policies: what must hold of an entity after pre-processing (ref §1.1, §1.2).
//!
//! In Backstage's order: the entity schema, the default namespace, no foreign root fields, the
//! field formats. The first violation ends it, in Backstage's words, because people search for
//! those words. `relations` and `status` pass the schema and are then foreign: only stitching
//! writes them.

mod format;
mod schema;

pub use format::{
    is_annotation_key, is_api_version, is_dns_label, is_dns_subdomain, is_kind, is_label_value,
    is_object_name, is_tag,
};
pub use schema::{SchemaViolation, check_schema};

use serde_json::Value;

use crate::diagnostic::{Diagnostic, ErrorCause, Stage};
use crate::entity::Entity;
use crate::entity_ref::{DEFAULT_NAMESPACE, EntityRef};

/// A violated policy, as Backstage reports it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Policy check failed for {entity_ref}; caused by Error: {violation}")]
pub struct PolicyError {
    /// The entity that violates it.
    pub entity_ref: EntityRef,
    /// What is violated.
    #[source]
    pub violation: PolicyViolation,
}

/// Which policy is violated, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyViolation {
    /// The entity schema.
    #[error("Malformed envelope, {} {}", .0.path, .0.problem)]
    Schema(SchemaViolation),
    /// A root field that is not `apiVersion`, `kind`, `metadata` or `spec`.
    #[error("Unknown field {0}")]
    ForeignRootField(String),
    /// A field breaks its format.
    #[error(
        "\"{field}\" is not valid; expected {expected} but found \"{found}\". To learn more about catalog file format, visit: https://github.com/backstage/backstage/blob/master/docs/architecture-decisions/adr002-default-catalog-file-format.md"
    )]
    Format {
        /// Dotted path, such as `metadata.name` or `labels.<key>`.
        field: String,
        /// The rule in words.
        expected: &'static str,
        /// The offending text, cut at 200 characters.
        found: String,
    },
}

impl PolicyError {
    /// Backstage's error name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        "InputError"
    }

    /// The violation as served in `error.cause`.
    #[must_use]
    pub fn cause(&self) -> ErrorCause {
        ErrorCause::new("Error", self.violation.to_string())
    }

    /// The error as a diagnostic of the policy stage.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        Diagnostic::error(self.name(), self.to_string())
            .at_stage(Stage::Policy)
            .caused_by(self.cause())
    }
}

/// Applies all policies; the entity comes back with its namespace filled in.
///
/// # Errors
/// [`PolicyError`] for the first violation.
pub fn apply(mut entity: Entity) -> Result<Entity, PolicyError> {
    match check(&mut entity) {
        Ok(()) => Ok(entity),
        Err(violation) => Err(PolicyError {
            entity_ref: entity.entity_ref(),
            violation,
        }),
    }
}

fn check(entity: &mut Entity) -> Result<(), PolicyViolation> {
    check_schema(entity).map_err(PolicyViolation::Schema)?;
    entity
        .metadata_mut()
        .entry("namespace")
        .or_insert_with(|| Value::String(DEFAULT_NAMESPACE.to_owned()));
    let foreign = entity
        .as_map()
        .keys()
        .find(|key| !["apiVersion", "kind", "metadata", "spec"].contains(&key.as_str()));
    if let Some(field) = foreign {
        return Err(PolicyViolation::ForeignRootField(field.clone()));
    }
    format::check_fields(entity)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(metadata: &Value) -> Entity {
        Entity::from_value(json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": {}
        }))
        .unwrap()
    }

    fn refusal(entity: Entity) -> String {
        let error = apply(entity).unwrap_err();
        assert_eq!(error.diagnostic().name, "InputError");
        error.cause().message
    }

    #[test]
    fn fills_the_namespace() {
        let entity = apply(with(&json!({"name": "n"}))).unwrap();
        assert_eq!(entity.metadata()["namespace"], json!("default"));
    }

    #[test]
    fn says_what_backstage_says() {
        let error = apply(with(&json!({"name": "invalid component"}))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Policy check failed for component:default/invalid component; caused by Error: \"metadata.name\" is not valid; expected a string that is sequences of [a-zA-Z0-9] separated by any of [-_.], at most 63 characters in total but found \"invalid component\". To learn more about catalog file format, visit: https://github.com/backstage/backstage/blob/master/docs/architecture-decisions/adr002-default-catalog-file-format.md"
        );
        for (metadata, expected) in [
            (
                json!({"name": "${{ values.name }}", "tags": "${{ values.tags }}"}),
                "Malformed envelope, /metadata/tags must be array",
            ),
            (
                json!({"name": "n", "annotations": {"a/b": 1}}),
                "Malformed envelope, /metadata/annotations/a~1b must be string",
            ),
            (
                json!({"name": "n", "links": [{"title": "x"}]}),
                "Malformed envelope, /metadata/links/0 must have required property 'url'",
            ),
            (
                json!({"name": "n", "tags": [""]}),
                "Malformed envelope, /metadata/tags/0 must NOT have fewer than 1 characters",
            ),
        ] {
            assert_eq!(refusal(with(&metadata)), expected);
        }
    }

    #[test]
    fn refuses_root_fields_only_stitching_writes() {
        let rooted = |key: &str, value: Value| {
            let mut entity = with(&json!({"name": "n"})).into_value();
            entity[key] = value;
            refusal(Entity::from_value(entity).unwrap())
        };
        assert_eq!(rooted("relations", json!([])), "Unknown field relations");
        assert_eq!(rooted("status", json!({})), "Unknown field status");
        assert_eq!(
            rooted("extra", json!(1)),
            "Malformed envelope, <root> must NOT have additional properties"
        );
        assert_eq!(
            rooted("spec", json!(null)),
            "Malformed envelope, /spec must be object"
        );
    }
}
