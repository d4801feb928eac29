//! What a tested processor did, in the SDK's own types.

use greenroom_model::{Entity, EntityRef, Level, LocationRef, Presence, Relation};
use serde_json::Value;

use crate::bindings::greenroom::processor::types as wit;
use crate::context::location;
use crate::error::ProcessorError;
use crate::logging::LogLine;
use crate::processor::Stage;
use crate::yaml::Position;

/// An emitted entity. Its envelope is not checked: the host does that.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    /// The entity.
    pub entity: Value,
    /// Where it was read, if said.
    pub location: Option<LocationRef>,
    /// Where it stands in its source, if said.
    pub position: Option<Position>,
}

/// Something told to the owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Seriousness.
    pub level: Level,
    /// The text.
    pub message: String,
    /// The location it concerns, if said.
    pub location: Option<LocationRef>,
    /// The place in it, if said.
    pub position: Option<Position>,
}

/// Everything that came of a test run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The entity after the last stage that was good.
    pub entity: Entity,
    /// Whether validate-kind recognised it.
    pub recognised: bool,
    /// Whether read-location handled the target.
    pub handled: bool,
    /// Child entities.
    pub entities: Vec<Emitted>,
    /// Child locations.
    pub locations: Vec<(LocationRef, Presence)>,
    /// Relations.
    pub relations: Vec<Relation>,
    /// Refresh keys.
    pub refresh_keys: Vec<String>,
    /// Diagnostics.
    pub diagnostics: Vec<Diagnostic>,
    /// The stage that gave up, and why.
    pub error: Option<(Stage, ProcessorError)>,
    /// What the last stage that set one left as cache.
    pub cache: Option<String>,
    /// Calls made, not counting the repetitions that are compared.
    pub rounds: u32,
    /// Steps of read-location.
    pub steps: u32,
    /// The log.
    pub log: Vec<LogLine>,
}

impl Outcome {
    pub(super) fn of(entity: Entity) -> Outcome {
        Outcome {
            entity,
            recognised: false,
            handled: false,
            entities: Vec::new(),
            locations: Vec::new(),
            relations: Vec::new(),
            refresh_keys: Vec::new(),
            diagnostics: Vec::new(),
            error: None,
            cache: None,
            rounds: 0,
            steps: 0,
            log: Vec::new(),
        }
    }

    /// The text of the error, or nothing.
    #[must_use]
    pub fn error_message(&self) -> String {
        self.error
            .as_ref()
            .map(|(_, error)| error.to_string())
            .unwrap_or_default()
    }

    pub(super) fn fail(&mut self, stage: Stage, error: wit::ProcessingError) {
        let error = match error {
            wit::ProcessingError::Invalid(text) => ProcessorError::Invalid(text),
            wit::ProcessingError::NotFound(text) => ProcessorError::NotFound(text),
            wit::ProcessingError::Refused(text) => ProcessorError::Refused(text),
            wit::ProcessingError::Conflict(text) => ProcessorError::Conflict(text),
            wit::ProcessingError::Other(text) => ProcessorError::Other(text),
        };
        self.error = Some((stage, error));
    }

    pub(super) fn add_emissions(&mut self, emissions: Vec<wit::Emission>) {
        for emission in emissions {
            match emission {
                wit::Emission::Entity(emitted) => self.entities.push(Emitted {
                    entity: serde_json::from_str(&emitted.entity)
                        .expect("an emitted entity is serialised by the emitter"),
                    location: emitted.location.map(location),
                    position: emitted.position.map(position),
                }),
                wit::Emission::Location(emitted) => self.locations.push((
                    location(emitted.location),
                    match emitted.presence {
                        wit::Presence::Required => Presence::Required,
                        wit::Presence::Optional => Presence::Optional,
                    },
                )),
                wit::Emission::Relation(relation) => self.relations.push(Relation {
                    source: reference(&relation.source),
                    r#type: relation.type_,
                    target: reference(&relation.target),
                }),
                wit::Emission::RefreshKey(key) => self.refresh_keys.push(key),
            }
        }
    }

    pub(super) fn add_diagnostics(&mut self, diagnostics: Vec<wit::Diagnostic>) {
        for diagnostic in diagnostics {
            self.diagnostics.push(Diagnostic {
                level: match diagnostic.level {
                    wit::Level::Debug | wit::Level::Info => Level::Info,
                    wit::Level::Warning => Level::Warning,
                    wit::Level::Error => Level::Error,
                },
                message: diagnostic.message,
                location: diagnostic.location.map(location),
                position: diagnostic.position.map(position),
            });
        }
    }
}

fn reference(text: &str) -> EntityRef {
    EntityRef::parse(text).expect("a relation is emitted with complete refs")
}

fn position(position: wit::Position) -> Position {
    Position {
        document: position.document,
        line: position.line,
        column: position.column,
    }
}
