//! What a processor says it is. Read once, at upload; a revision has one descriptor for ever.

use greenroom_model::{Matcher, Stage};
use serde::{Deserialize, Serialize};

/// A processor's description of itself, within the bounds of a16.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The track of the contract it was asked in, which is the one its calls are made in.
    #[serde(default)]
    pub track: Track,
    /// The stages it has, at least one, without repeats, in the order stages run.
    pub stages: Vec<Stage>,
    /// The entities it is called for: those that one of these matches; all, if empty.
    pub subscription: Vec<Matcher>,
    /// The location types its read-location reads.
    pub location_types: Vec<String>,
    /// Its place among the tenant's processors unless the tenant sets one; lower runs earlier.
    pub priority: i32,
    /// JSON Schema of its configuration as JSON text; none takes any object.
    pub config_schema: Option<String>,
    /// The grain of time it wants; none means no notion of now.
    pub time: Option<TimeGrain>,
    /// One line about it, at most 200 characters.
    pub summary: Option<String>,
}

/// A track of the contract (`wit/v0.1/` and so on) that this host speaks; the newest is the greatest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Track {
    /// `greenroom:processor@0.1`. Also that of a descriptor from before tracks were recorded.
    #[default]
    #[serde(rename = "0.1")]
    V0_1,
}

/// How much of the time a processor may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeGrain {
    /// Cut to the hour, UTC.
    Hour,
    /// Cut to the day, UTC.
    Day,
}

impl TimeGrain {
    /// The grain in milliseconds.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        match self {
            TimeGrain::Hour => 3_600_000,
            TimeGrain::Day => 86_400_000,
        }
    }
}
