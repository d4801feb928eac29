//! What a processor is: the builder behind [`crate::Processor::describe`].
//!
//! A stage that is not named is never called. Fields of one matcher must all match; several
//! matchers are alternatives; without one the processor is called for every entity.

use serde_json::Value;

use crate::bindings::greenroom::processor::types as wit;
use crate::processor::Stage;

/// How much of the time a processor may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeGrain {
    /// Cut to the hour (UTC); the entity is due again at the next one.
    Hour,
    /// Cut to the day (UTC).
    Day,
}

/// Which entities a processor is called for. Empty fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    kinds: Vec<String>,
    types: Vec<String>,
    annotations: Vec<String>,
    keys_starting_with: Vec<String>,
}

impl Matcher {
    /// Matches every entity.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these kinds, letter case ignored.
    #[must_use]
    pub fn kinds<T: Into<String>>(mut self, kinds: impl IntoIterator<Item = T>) -> Self {
        self.kinds.extend(kinds.into_iter().map(Into::into));
        self
    }

    /// Only these values of `spec.type`, letter case ignored.
    #[must_use]
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types.extend(types.into_iter().map(Into::into));
        self
    }

    /// Only entities with one of these annotations.
    #[must_use]
    pub fn annotations<T: Into<String>>(mut self, keys: impl IntoIterator<Item = T>) -> Self {
        self.annotations.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Only entities with an object key that starts so, anywhere.
    #[must_use]
    pub fn keys_starting_with<T: Into<String>>(
        mut self,
        prefixes: impl IntoIterator<Item = T>,
    ) -> Self {
        self.keys_starting_with
            .extend(prefixes.into_iter().map(Into::into));
        self
    }
}

/// What a processor is.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    stages: Vec<Stage>,
    matchers: Vec<Matcher>,
    location_types: Vec<String>,
    priority: i32,
    config_schema: Option<Value>,
    time: Option<TimeGrain>,
    summary: Option<String>,
}

impl Default for Descriptor {
    fn default() -> Self {
        Descriptor {
            stages: Vec::new(),
            matchers: Vec::new(),
            location_types: Vec::new(),
            priority: 20,
            config_schema: None,
            time: None,
            summary: None,
        }
    }
}

impl Descriptor {
    /// A processor without stages, for all entities, of priority 20.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The stages it has; the host calls no other.
    #[must_use]
    pub fn stages(mut self, stages: impl IntoIterator<Item = Stage>) -> Self {
        for stage in stages {
            if !self.stages.contains(&stage) {
                self.stages.push(stage);
            }
        }
        self
    }

    /// Called only for these kinds: short for one [`Matcher`].
    #[must_use]
    pub fn kinds<T: Into<String>>(self, kinds: impl IntoIterator<Item = T>) -> Self {
        self.matching(Matcher::new().kinds(kinds))
    }

    /// Called only for entities this, or another matcher given so, matches.
    #[must_use]
    pub fn matching(mut self, matcher: Matcher) -> Self {
        self.matchers.push(matcher);
        self
    }

    /// The location types its read-location reads.
    #[must_use]
    pub fn location_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.location_types
            .extend(types.into_iter().map(Into::into));
        self
    }

    /// Its place among the processors of a tenant who set none; lower runs earlier.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// JSON Schema (2020-12) of its configuration, at most 64 KiB.
    #[must_use]
    pub fn config_schema(mut self, schema: Value) -> Self {
        self.config_schema = Some(schema);
        self
    }

    /// Asks for the time, at that grain: [`crate::Context::now`].
    #[must_use]
    pub fn time(mut self, grain: TimeGrain) -> Self {
        self.time = Some(grain);
        self
    }

    /// One line about it, at most 200 characters; the rest is cut.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = Some(summary.into().chars().take(200).collect());
        self
    }

    /// Whether the stage was named.
    #[must_use]
    pub fn has(&self, stage: Stage) -> bool {
        self.stages.contains(&stage)
    }
}

impl From<Descriptor> for wit::Descriptor {
    fn from(descriptor: Descriptor) -> Self {
        wit::Descriptor {
            stages: descriptor.stages.into_iter().map(Into::into).collect(),
            subscription: descriptor.matchers.into_iter().map(Into::into).collect(),
            location_types: descriptor.location_types,
            priority: descriptor.priority,
            config_schema: descriptor.config_schema.map(|schema| schema.to_string()),
            time: descriptor.time.map(|grain| match grain {
                TimeGrain::Hour => wit::TimeGrain::Hour,
                TimeGrain::Day => wit::TimeGrain::Day,
            }),
            summary: descriptor.summary,
            extensions: Vec::new(),
        }
    }
}

impl From<Stage> for wit::Stage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::PreProcess => wit::Stage::PreProcess,
            Stage::ValidateKind => wit::Stage::ValidateKind,
            Stage::ReadLocation => wit::Stage::ReadLocation,
            Stage::PostProcess => wit::Stage::PostProcess,
        }
    }
}

impl From<Matcher> for wit::Matcher {
    fn from(matcher: Matcher) -> Self {
        wit::Matcher {
            kinds: matcher.kinds,
            types: matcher.types,
            annotations: matcher.annotations,
            keys_starting_with: matcher.keys_starting_with,
        }
    }
}
