//! What a call answers: the guest's result, checked as far as one call can be.
//!
//! JSON in it has been parsed by the host, so what goes on is the host's own serialisation and never
//! the guest's bytes (c14). Not checked here: whether an emitted object is an entity, relation refs
//! and types, catalog rules; those concern one emission each and belong to the orchestrator.

use greenroom_model::{Entity, Level, LocationRef, Position, Presence};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Want;

/// The answer of one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StageAnswer {
    /// Of pre-process and post-process.
    Processed(Processed),
    /// Of validate-kind.
    Validated {
        /// Whether the kind is the processor's and the entity valid.
        recognised: bool,
        /// What to tell the owner.
        diagnostics: Vec<GuestDiagnostic>,
    },
    /// Of read-location.
    LocationRead {
        /// Whether the target's type is the processor's.
        handled: bool,
        /// What was found.
        emissions: Vec<Emission>,
        /// The cache for the next run.
        cache: Option<String>,
        /// What to tell the owner of the Location.
        diagnostics: Vec<GuestDiagnostic>,
    },
    /// Of any stage: more reads are needed.
    Pending {
        /// What to read; may be empty only with a carry.
        wants: Vec<Want>,
        /// Of read-location only: begins a new step with this text.
        carry: Option<String>,
        /// With a carry: to be kept. Without: empty.
        emissions: Vec<Emission>,
    },
}

/// The result of pre-process and post-process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Processed {
    /// The entity, or none for unchanged. Its ref is the request's, letter case aside (c15).
    pub entity: Option<Entity>,
    /// What else came of it.
    pub emissions: Vec<Emission>,
    /// The cache for the next run.
    pub cache: Option<String>,
    /// What to tell the owner.
    pub diagnostics: Vec<GuestDiagnostic>,
}

/// One thing a stage produces besides the entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Emission {
    /// A child entity.
    Entity {
        /// A JSON object; whether it is an entity is not yet known.
        value: Map<String, Value>,
        /// Where it was read; none means the target being read, or the emitter's own location.
        location: Option<LocationRef>,
        /// Who owns it.
        location_key: LocationKey,
        /// Where it stands in its source.
        position: Option<Position>,
    },
    /// A location to read.
    Location {
        /// Where.
        location: LocationRef,
        /// Whether it must exist.
        presence: Presence,
    },
    /// An edge; refs and type as the guest wrote them.
    Relation {
        /// From.
        source: String,
        /// What kind of edge.
        r#type: String,
        /// To.
        target: String,
    },
    /// A refresh key.
    RefreshKey(String),
}

/// Who owns an emitted entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LocationKey {
    /// The location it is emitted with, as `type:target`.
    FromLocation,
    /// Nobody: any emitter with a key can take it over.
    None,
    /// This key.
    Key(String),
}

/// What a guest tells the owner of an entity. At most 4 KiB of message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestDiagnostic {
    /// Seriousness; the guest's `debug` is `Info` here.
    pub level: Level,
    /// One sentence.
    pub message: String,
    /// The location it concerns, when not the entity's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationRef>,
    /// The place within that location's document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}
