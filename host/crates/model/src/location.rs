//! Location entities: the generated one, the targets of one, and the annotations that say where an
//! entity came from (ref §2.4, §6.3).
//!
//! Pure: what to read is computed here, reading happens elsewhere. Whether a location type may be
//! used at all is the caller's decision, because it depends on who asks.

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::annotations::{MANAGED_BY_LOCATION, MANAGED_BY_ORIGIN_LOCATION};
use crate::digest::hex;
use crate::entity::Entity;
use crate::entity_ref::EntityRef;
use crate::envelope::EnvelopeError;
use crate::location_ref::{LocationRef, LocationRefError};
use crate::relation::Presence;
use crate::url_arithmetic::{Integrations, resolve_url};

/// The kind that points at files to read; matched in exactly this casing.
pub const LOCATION_KIND: &str = "Location";

/// Why a location could not be made or read out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// An entity without the annotation that says where it came from.
    #[error("Entity '{entity_ref}' does not have the annotation {annotation}")]
    MissingAnnotation {
        /// The entity.
        entity_ref: EntityRef,
        /// The key it lacks.
        annotation: &'static str,
    },
    /// An annotation or location that is no location ref.
    #[error(transparent)]
    Ref(#[from] LocationRefError),
    /// A generated entity that would break the envelope (a NUL in the target).
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

impl LocationError {
    /// Backstage's error name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            LocationError::MissingAnnotation { .. } => "InputError",
            LocationError::Ref(error) => error.name(),
            LocationError::Envelope(error) => error.name(),
        }
    }
}

/// The location that emitted the entity.
///
/// # Errors
/// [`LocationError`] when the annotation is missing or no location ref.
pub fn own_location(entity: &Entity) -> Result<LocationRef, LocationError> {
    annotated(entity, MANAGED_BY_LOCATION)
}

/// The location that started the chain which led to the entity.
///
/// # Errors
/// [`LocationError`] when the annotation is missing or no location ref.
pub fn origin_location(entity: &Entity) -> Result<LocationRef, LocationError> {
    annotated(entity, MANAGED_BY_ORIGIN_LOCATION)
}

fn annotated(entity: &Entity, annotation: &'static str) -> Result<LocationRef, LocationError> {
    let text = entity
        .annotation(annotation)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| LocationError::MissingAnnotation {
            entity_ref: entity.entity_ref(),
            annotation,
        })?;
    Ok(LocationRef::parse(text)?)
}

/// The name of the Location entity generated for a location: `generated-` and the SHA-1 of
/// `<type>:<target>`. Tools compute it themselves, so it may not change.
#[must_use]
pub fn generated_name(location: &LocationRef) -> String {
    let digest = Sha1::digest(location.to_string().as_bytes());
    format!("generated-{}", hex(&digest))
}

/// The ref of the Location entity generated for a location.
#[must_use]
pub fn generated_ref(location: &LocationRef) -> EntityRef {
    EntityRef::new(LOCATION_KIND, "default", &generated_name(location))
}

/// The Location entity for a registered location, or for one that `parent` emitted; the latter
/// copies the parent's two managed-by annotations.
///
/// # Errors
/// [`LocationError`] for a parent without those annotations, a script target, or a NUL.
pub fn generated(
    location: &LocationRef,
    presence: Option<Presence>,
    parent: Option<&Entity>,
) -> Result<Entity, LocationError> {
    let itself = LocationRef::parse(&location.to_string())?;
    let (own, origin) = match parent {
        Some(parent) => (own_location(parent)?, origin_location(parent)?),
        None => (itself.clone(), itself),
    };
    let mut spec = json!({"type": location.r#type, "target": location.target});
    if let Some(presence) = presence {
        spec["presence"] = Value::from(presence.as_str());
    }
    let entity = json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": LOCATION_KIND,
        "metadata": {
            "name": generated_name(location),
            "annotations": {
                MANAGED_BY_LOCATION: own.to_string(),
                MANAGED_BY_ORIGIN_LOCATION: origin.to_string(),
            },
        },
        "spec": spec,
    });
    Ok(Entity::from_value(entity)?)
}

/// The Location entity of a registered location under the ref it has had since it was registered: changing the target
/// of a location keeps its entity (ref §6.3).
///
/// # Errors
/// As [`generated`].
pub fn registered(location: &LocationRef, entity_ref: &EntityRef) -> Result<Entity, LocationError> {
    let mut entity = generated(location, None, None)?;
    let name = Value::from(entity_ref.name());
    entity.metadata_mut().insert("name".to_owned(), name);
    Ok(entity)
}

/// What a Location entity asks to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// `spec.type`, else the type of the entity's own location.
    pub r#type: String,
    /// `spec.presence`, else required. Any other word counts as required, as in Backstage.
    pub presence: Presence,
    /// `spec.target`, then `spec.targets`, as written.
    pub targets: Vec<String>,
}

impl Targets {
    /// Reads the targets of a Location entity that came from `own`.
    #[must_use]
    pub fn of(entity: &Entity, own: &LocationRef) -> Targets {
        let spec = entity.spec();
        let text = |key: &str| spec?.get(key)?.as_str().filter(|text| !text.is_empty());
        let listed = spec
            .and_then(|spec| spec.get("targets"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        Targets {
            r#type: text("type").unwrap_or(&own.r#type).to_owned(),
            presence: match text("presence") {
                Some("optional") => Presence::Optional,
                _ => Presence::Required,
            },
            targets: text("target")
                .into_iter()
                .chain(listed)
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The locations to read, relative targets resolved against `own`.
    #[must_use]
    pub fn locations(&self, own: &LocationRef, integrations: &Integrations) -> Vec<LocationRef> {
        self.targets
            .iter()
            .map(|target| {
                let target = resolve_target(own, &self.r#type, target, integrations);
                LocationRef::new(self.r#type.clone(), target)
            })
            .collect()
    }
}

/// One target made absolute against `base`, as far as the types agree: a relative `file` path is
/// joined to the directory of the base (no leading `.` needed, DESIGN §3.4), a `url` is resolved
/// as its host's integration does. What cannot be resolved stays as written and fails when read.
#[must_use]
pub fn resolve_target(
    base: &LocationRef,
    r#type: &str,
    target: &str,
    integrations: &Integrations,
) -> String {
    if base.r#type != r#type {
        return target.to_owned();
    }
    match r#type {
        "file" if !target.starts_with('/') => join_file(&base.target, target),
        "url" => {
            resolve_url(target, &base.target, integrations).unwrap_or_else(|_| target.to_owned())
        }
        _ => target.to_owned(),
    }
}

/// `target` below the directory of the file `base`, dots folded as `path.join` does. Going above
/// the root of an absolute path stays at the root; the reader's listed roots are the boundary.
fn join_file(base: &str, target: &str) -> String {
    let absolute = base.starts_with('/');
    let directory = base.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let end = if target.ends_with('/') { "/" } else { "" };
    let start = if absolute { "/" } else { "" };
    format!("{start}{}{end}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_entity_is_backstages() {
        let location = LocationRef::new("url", "http://h/c.yaml");
        let entity = generated(&location, None, None).unwrap();
        assert_eq!(
            entity.name(),
            "generated-e7145c4b5858fcfc0f408d253ce1e906da60bba5"
        );
        assert_eq!(entity.entity_ref(), generated_ref(&location));
        assert_eq!(own_location(&entity), Ok(location.clone()));
        assert_eq!(origin_location(&entity), Ok(location));
        assert!(!entity.spec().unwrap().contains_key("presence"));

        let child = LocationRef::new("url", "http://h/d.yaml");
        let emitted = generated(&child, Some(Presence::Optional), Some(&entity)).unwrap();
        assert_eq!(own_location(&emitted), own_location(&entity));
        assert_eq!(emitted.spec().unwrap()["presence"], "optional");
    }

    #[test]
    fn a_registered_location_keeps_its_ref_when_its_target_changes() {
        let first = LocationRef::new("url", "http://h/c.yaml");
        let second = LocationRef::new("url", "http://h/d.yaml");
        let entity = registered(&second, &generated_ref(&first)).unwrap();
        assert_eq!(entity.entity_ref(), generated_ref(&first));
        assert_eq!(own_location(&entity), Ok(second.clone()));
        assert_eq!(origin_location(&entity), Ok(second.clone()));
        assert_eq!(entity.spec().unwrap()["target"], "http://h/d.yaml");
        assert_eq!(
            registered(&second, &generated_ref(&second)),
            generated(&second, None, None)
        );
    }

    #[test]
    fn y13_no_entity_for_a_script_target() {
        let location = LocationRef::new("url", "javascript:x");
        assert!(generated(&location, None, None).is_err());
    }

    #[test]
    fn targets_are_read_and_resolved() {
        let own = LocationRef::new("url", "https://h/a/b.yaml");
        let mut entity = generated(&own, None, None).unwrap();
        let spec = entity.spec_mut().unwrap();
        spec.clear();
        spec.insert("target".into(), json!("./c.yaml"));
        spec.insert("targets".into(), json!(["../d.yaml", 1, "https://x/e"]));
        let targets = Targets::of(&entity, &own);
        assert_eq!(
            (targets.r#type.as_str(), targets.presence),
            ("url", Presence::Required)
        );
        let resolved: Vec<_> = targets
            .locations(&own, &Integrations::default())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            resolved,
            [
                "url:https://h/a/c.yaml",
                "url:https://h/d.yaml",
                "url:https://x/e"
            ]
        );
    }

    #[test]
    fn file_targets_join_the_directory() {
        let base = LocationRef::new("file", "/srv/catalog/all.yaml");
        let resolve = |target| resolve_target(&base, "file", target, &Integrations::default());
        assert_eq!(resolve("./a/../b.yaml"), "/srv/catalog/b.yaml");
        assert_eq!(resolve("b/*.yaml"), "/srv/catalog/b/*.yaml");
        assert_eq!(resolve("../../../../etc/passwd"), "/etc/passwd");
        assert_eq!(resolve("/abs.yaml"), "/abs.yaml");
        let relative = LocationRef::new("file", "a/all.yaml");
        assert_eq!(join_file(&relative.target, "../../x"), "../x");
    }
}
