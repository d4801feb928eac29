//! The output collector: turns a stage's emissions into children, relations and refresh keys (ref §2.3).
//!
//! An emitted entity's managed-by annotations are forced and catalog rules judge its true origin (c17); what is wrong
//! with one emission is a diagnostic about that emission and never hides the others.

use greenroom_model::location::generated;
use greenroom_model::{
    Diagnostic, Entity, EntityRef, LocationRef, Position, Relation, annotations,
};
use greenroom_sandbox::{Emission, LocationKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

use crate::outcome::EmittedChild;
use crate::pipeline::Pipeline;

/// Bytes of a refresh key; keys are looked up, in an index of every storage backend.
const MAX_REFRESH_KEY_BYTES: usize = 2_048;
/// Bytes of a relation's type, likewise.
const MAX_RELATION_TYPE_BYTES: usize = 255;

/// What a run has emitted so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Collected {
    pub(crate) children: Vec<EmittedChild>,
    pub(crate) relations: BTreeSet<Relation>,
    pub(crate) refresh_keys: BTreeSet<String>,
    /// (ref, location key) of `children`.
    seen: BTreeSet<(EntityRef, Option<String>)>,
}

/// Who emits, and where it stands.
pub(crate) struct Emitter<'a> {
    pub(crate) pipeline: &'a Pipeline,
    /// The entity being processed, as it is now.
    pub(crate) parent: &'a Entity,
    /// Its ref.
    pub(crate) entity_ref: &'a EntityRef,
    /// Its own location.
    pub(crate) own_location: &'a LocationRef,
    /// Its origin, which its children inherit.
    pub(crate) origin: &'a LocationRef,
    /// Where emitted entities are from unless the emission says otherwise.
    pub(crate) location: &'a LocationRef,
}

impl Collected {
    /// Adds a stage's emissions; answers what is wrong with some of them.
    pub(crate) fn add(
        &mut self,
        emissions: Vec<Emission>,
        emitter: &Emitter<'_>,
    ) -> Vec<Diagnostic> {
        emissions
            .into_iter()
            .filter_map(|emission| self.add_one(emission, emitter).err())
            .collect()
    }

    fn add_one(&mut self, emission: Emission, emitter: &Emitter<'_>) -> Result<(), Diagnostic> {
        match emission {
            Emission::Entity {
                value,
                location,
                location_key,
                position,
            } => {
                let location = location.unwrap_or_else(|| emitter.location.clone());
                allowed_type(&location, emitter)?;
                let key = match location_key {
                    LocationKey::FromLocation => Some(location.to_string()),
                    LocationKey::None => None,
                    LocationKey::Key(key) => Some(key),
                };
                let child = child(value, &location, key, position, emitter);
                let added = child.and_then(|child| self.keep(child, emitter, &location));
                added.map_err(|wrong| match position {
                    Some(position) => wrong.at(position),
                    None => wrong,
                })
            }
            Emission::Location { location, presence } => {
                allowed_type(&location, emitter)?;
                let entity = generated(&location, Some(presence), Some(emitter.parent)).map_err(
                    |error| {
                        Diagnostic::error(error.name(), error.to_string())
                            .about(location.to_string())
                    },
                )?;
                let child = EmittedChild {
                    entity_ref: entity.entity_ref(),
                    entity,
                    location_key: Some(emitter.own_location.to_string()),
                    position: None,
                };
                self.keep(child, emitter, emitter.own_location)
            }
            Emission::Relation {
                source,
                r#type,
                target,
            } => {
                self.relations.insert(relation(&source, r#type, &target)?);
                Ok(())
            }
            Emission::RefreshKey(key) if key.len() > MAX_REFRESH_KEY_BYTES => {
                Err(Diagnostic::error(
                    "InputError",
                    format!("an emitted refresh key has more than {MAX_REFRESH_KEY_BYTES} bytes"),
                ))
            }
            Emission::RefreshKey(key) => {
                self.refresh_keys.insert(key);
                Ok(())
            }
        }
    }

    fn keep(
        &mut self,
        child: EmittedChild,
        emitter: &Emitter<'_>,
        location: &LocationRef,
    ) -> Result<(), Diagnostic> {
        let entity_ref = &child.entity_ref;
        if entity_ref == emitter.entity_ref {
            return Err(Diagnostic::warning(
                "InputError",
                format!("`{entity_ref}` was emitted by itself and ignored"),
            )
            .about(location.to_string()));
        }
        if !emitter.pipeline.rules.allows(&child.entity, emitter.origin) {
            return Err(not_allowed(entity_ref, location, emitter));
        }
        let key = (entity_ref.clone(), child.location_key.clone());
        if !self.seen.insert(key) {
            return Err(Diagnostic::warning(
                "ConflictError",
                format!("`{entity_ref}` is emitted twice from {location}: the first one is kept"),
            )
            .about(location.to_string()));
        }
        self.children.push(child);
        Ok(())
    }
}

/// Of a kind that no rule allows from there (y18).
fn not_allowed(
    entity_ref: &EntityRef,
    location: &LocationRef,
    emitter: &Emitter<'_>,
) -> Diagnostic {
    let rules = &emitter.pipeline.rules;
    let allowed = rules.allowed_from(emitter.origin).map(ToString::to_string);
    let allowed = match allowed.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "nothing".to_owned(),
        some => some,
    };
    Diagnostic::error(
        "NotAllowedError",
        format!(
            "Entity {entity_ref} at {location}, originated at {}, is not of an allowed kind for that location: its rules \
             allow {allowed}; add the kind to the catalog rules",
            emitter.origin
        ),
    )
    .about(location.to_string())
}

/// An emitted entity with its managed-by annotations forced.
fn child(
    value: Map<String, Value>,
    location: &LocationRef,
    location_key: Option<String>,
    position: Option<Position>,
    emitter: &Emitter<'_>,
) -> Result<EmittedChild, Diagnostic> {
    let mut entity = Entity::from_value(Value::Object(value)).map_err(|error| {
        Diagnostic::error(error.name(), error.to_string()).about(location.to_string())
    })?;
    entity.set_annotation(annotations::MANAGED_BY_LOCATION, location.to_string());
    entity.set_annotation(
        annotations::MANAGED_BY_ORIGIN_LOCATION,
        emitter.origin.to_string(),
    );
    Ok(EmittedChild {
        entity_ref: entity.entity_ref(),
        entity,
        location_key,
        position,
    })
}

/// `file` locations come only from the operator's configuration or from a `file` Location (DESIGN §3.4).
fn allowed_type(location: &LocationRef, emitter: &Emitter<'_>) -> Result<(), Diagnostic> {
    let own = emitter.own_location.r#type == location.r#type;
    if own || emitter.pipeline.location_types.contains(&location.r#type) {
        return Ok(());
    }
    Err(Diagnostic::error(
        "InputError",
        format!(
            "location type `{}` is not allowed here: use one of {}",
            location.r#type,
            emitter.pipeline.location_types.join(", ")
        ),
    )
    .about(location.to_string()))
}

fn relation(source: &str, r#type: String, target: &str) -> Result<Relation, Diagnostic> {
    let end = |text: &str| {
        EntityRef::parse(text).map_err(|error| {
            Diagnostic::error(
                "InputError",
                format!("an emitted relation has a bad end: {error}"),
            )
        })
    };
    if r#type.is_empty()
        || r#type.len() > MAX_RELATION_TYPE_BYTES
        || !r#type
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return Err(Diagnostic::error(
            "InputError",
            format!(
                "relation type `{:.80}` must be letters, digits and `_`, at most {MAX_RELATION_TYPE_BYTES} of them",
                r#type
            ),
        ));
    }
    Ok(Relation {
        source: end(source)?,
        target: end(target)?,
        r#type,
    })
}
