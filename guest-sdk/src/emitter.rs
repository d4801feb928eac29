//! What a stage produces besides the entity.
//!
//! Everything is kept until the call returns and dropped when the call is answered "pending", so
//! emitting before a read costs nothing but the work.

use greenroom_model::{Entity, EntityRef, Level, LocationRef, Presence};

use crate::bindings::greenroom::processor::types as wit;
use crate::error::clip;
use crate::yaml::Position;

/// Who owns an emitted entity: two emitters with different keys conflict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocationKey {
    /// The location it is emitted with. What an emitter normally wants.
    #[default]
    FromLocation,
    /// No key: any emitter that has one takes the entity over.
    None,
    /// This key.
    Key(String),
}

/// Collects what a stage produces.
#[derive(Debug, Default)]
pub struct Emitter {
    pub(crate) emissions: Vec<wit::Emission>,
    pub(crate) diagnostics: Vec<wit::Diagnostic>,
    pub(crate) cache: Option<String>,
    pub(crate) carry: Option<String>,
    pub(crate) next: Vec<wit::Want>,
}

impl Emitter {
    /// Emits a child entity, read where the target (or the emitting entity) was.
    pub fn entity(&mut self, entity: Entity) {
        self.push_entity(entity, None, LocationKey::FromLocation, None);
    }

    /// Emits a child entity read at `location`, standing at `position` in it.
    pub fn entity_at(&mut self, location: &LocationRef, position: Position, entity: Entity) {
        self.push_entity(
            entity,
            Some(location),
            LocationKey::FromLocation,
            Some(position),
        );
    }

    /// Emits a child entity owned by `key`.
    pub fn entity_with_key(&mut self, key: LocationKey, entity: Entity) {
        self.push_entity(entity, None, key, None);
    }

    /// Emits a location to read, as a Location entity that the host makes.
    pub fn location(&mut self, location: &LocationRef, presence: Presence) {
        self.emissions
            .push(wit::Emission::Location(wit::EmittedLocation {
                location: from_location(location),
                presence: match presence {
                    Presence::Required => wit::Presence::Required,
                    Presence::Optional => wit::Presence::Optional,
                },
            }));
    }

    /// Emits a relation. Either end may be missing from the catalog.
    pub fn relation(&mut self, source: &EntityRef, r#type: impl Into<String>, target: &EntityRef) {
        self.emissions.push(wit::Emission::Relation(wit::Relation {
            source: source.to_string(),
            type_: r#type.into(),
            target: target.to_string(),
        }));
    }

    /// Emits a relation and the one back: `self -forward-> other`, `other -reverse-> self`.
    pub fn relation_pair(
        &mut self,
        this: &EntityRef,
        forward: &str,
        reverse: &str,
        other: &EntityRef,
    ) {
        self.relation(this, forward, other);
        self.relation(other, reverse, this);
    }

    /// Emits a refresh key: the entity is processed again when that key is refreshed.
    pub fn refresh_key(&mut self, key: impl Into<String>) {
        self.emissions.push(wit::Emission::RefreshKey(key.into()));
    }

    /// Tells the owner of the entity something. [`Level::Error`] rejects the run (in
    /// read-location: fails the target, its good entities are still applied).
    pub fn diagnostic(&mut self, level: Level, message: impl Into<String>) {
        self.push_diagnostic(level, message.into(), None, None);
    }

    /// The same, about a place in a document of `location`.
    pub fn diagnostic_at(
        &mut self,
        level: Level,
        message: impl Into<String>,
        location: &LocationRef,
        position: Option<Position>,
    ) {
        self.push_diagnostic(level, message.into(), Some(location), position);
    }

    /// Keeps a text, at most 64 KiB, for the next run of this entity: [`crate::Context::cache`].
    pub fn set_cache(&mut self, text: impl Into<String>) {
        self.cache = Some(text.into());
    }

    /// In read-location: ends this step. The host keeps the emissions made so far, and the next
    /// call, with fresh budgets, gets this text (at most 256 KiB) as [`crate::Context::carry`].
    /// Diagnostics and cache of a step that carries on are dropped: put them into the text.
    pub fn carry(&mut self, text: impl Into<String>) {
        self.carry = Some(text.into());
    }

    /// With [`Emitter::carry`]: a document the next step needs, to save it a round.
    pub fn next_read(&mut self, url: impl Into<String>) {
        self.next.push(wit::Want::Get(url.into()));
    }

    /// With [`Emitter::carry`]: a listing the next step needs, to save it a round.
    pub fn next_list(&mut self, pattern: impl Into<String>) {
        self.next.push(wit::Want::List(pattern.into()));
    }

    fn push_entity(
        &mut self,
        entity: Entity,
        location: Option<&LocationRef>,
        key: LocationKey,
        position: Option<Position>,
    ) {
        self.emissions
            .push(wit::Emission::Entity(wit::EmittedEntity {
                entity: entity.into_value().to_string(),
                location: location.map(from_location),
                location_key: match key {
                    LocationKey::FromLocation => wit::LocationKey::FromLocation,
                    LocationKey::None => wit::LocationKey::None,
                    LocationKey::Key(key) => wit::LocationKey::Key(key),
                },
                position: position.map(from_position),
            }));
    }

    fn push_diagnostic(
        &mut self,
        level: Level,
        message: String,
        location: Option<&LocationRef>,
        position: Option<Position>,
    ) {
        self.diagnostics.push(wit::Diagnostic {
            level: from_level(level),
            message: clip(message),
            location: location.map(from_location),
            position: position.map(from_position),
        });
    }
}

pub(crate) fn from_level(level: Level) -> wit::Level {
    match level {
        Level::Info => wit::Level::Info,
        Level::Warning => wit::Level::Warning,
        Level::Error => wit::Level::Error,
    }
}

pub(crate) fn from_location(location: &LocationRef) -> wit::Location {
    wit::Location {
        type_: location.r#type.clone(),
        target: location.target.clone(),
    }
}

fn from_position(position: Position) -> wit::Position {
    wit::Position {
        document: position.document,
        line: position.line,
        column: position.column,
    }
}
