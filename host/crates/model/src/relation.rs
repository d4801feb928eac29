//! Relations and presence: small records that processors emit and storage keeps.

use serde::{Deserialize, Serialize};

use crate::entity_ref::EntityRef;

/// A directed, typed edge between two entities; neither end need exist (ref §1.5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Relation {
    /// The entity the relation is served on.
    pub source: EntityRef,
    /// The type, such as `ownedBy`; `^\w+$` when served.
    pub r#type: String,
    /// The entity it points at.
    pub target: EntityRef,
}

/// Whether a location's target must exist.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// A missing target is an error.
    #[default]
    Required,
    /// A missing target yields nothing.
    Optional,
}

impl Presence {
    /// The word used in `spec.presence`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Presence::Required => "required",
            Presence::Optional => "optional",
        }
    }
}
