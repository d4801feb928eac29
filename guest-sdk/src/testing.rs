//! Tests of a processor without a Wasm toolchain.
//!
//! [`run`] takes one entity through the stages the processor declares, as the host would: reads come
//! from fixtures, a pending call is repeated with what it wanted, and **every call is made twice and
//! compared**, so that state kept in a `static` fails here and not in production. A stage that does
//! something without being declared fails too, because the host would never call it.
//!
//! ```
//! # use greenroom_sdk::{testing::Test, *};
//! # #[derive(Default)]
//! # struct Readme;
//! # impl Processor for Readme {
//! #     fn describe(&self) -> Descriptor { Descriptor::new().stages([Stage::PreProcess]) }
//! #     fn pre_process(&self, mut entity: Entity, cx: &Context, _: &mut Emitter) -> Result<Entity, ProcessorError> {
//! #         let readme = cx.read("https://example.com/README")?.text()?.to_owned();
//! #         entity.set_annotation("example.com/readme", readme);
//! #         Ok(entity)
//! #     }
//! # }
//! # let web = entity!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "web"}});
//! let done = Test::new()
//!     .document("https://example.com/README", "Read me")
//!     .run(Readme, web);
//! assert_eq!(done.entity.annotation("example.com/readme"), Some("Read me"));
//! assert_eq!(done.rounds, 2);
//! ```

mod fixtures;
mod outcome;
mod stages;

use greenroom_model::{Entity, LocationRef, Presence, Timestamp};
use serde_json::Value;

pub use crate::logging::LogLine;
pub use outcome::{Diagnostic, Emitted, Outcome};

use crate::processor::Processor;
use crate::url_arithmetic::Integration;
use fixtures::Fixture;

/// Takes one entity through the stages, without documents or configuration.
///
/// # Panics
/// As [`Test::run`].
pub fn run<P: Processor>(processor: P, entity: Entity) -> Outcome {
    Test::new().run(processor, entity)
}

/// What the host would know beside the entity.
#[derive(Clone, Debug)]
pub struct Test {
    location: LocationRef,
    origin_location: LocationRef,
    config: Value,
    cache: Option<String>,
    integrations: Vec<Integration>,
    now: Option<Timestamp>,
    fixtures: Vec<(String, Fixture)>,
}

impl Default for Test {
    fn default() -> Self {
        let location = LocationRef::new("url", "https://example.com/catalog-info.yaml");
        Test {
            origin_location: location.clone(),
            location,
            config: Value::Object(serde_json::Map::new()),
            cache: None,
            integrations: Vec::new(),
            now: None,
            fixtures: Vec::new(),
        }
    }
}

impl Test {
    /// An entity read from `url:https://example.com/catalog-info.yaml`, nothing configured.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the entity was read; also its origin.
    #[must_use]
    pub fn location(mut self, r#type: &str, target: &str) -> Self {
        self.location = LocationRef::new(r#type, target);
        self.origin_location = self.location.clone();
        self
    }

    /// The processor's configuration.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// What the last good run left as cache.
    #[must_use]
    pub fn cache(mut self, cache: impl Into<String>) -> Self {
        self.cache = Some(cache.into());
        self
    }

    /// A source-code host of the tenant; the public ones are always there.
    #[must_use]
    pub fn integration(mut self, integration: Integration) -> Self {
        self.integrations.push(integration);
        self
    }

    /// The time, already cut to the declared grain.
    #[must_use]
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// A document that can be read.
    #[must_use]
    pub fn document(self, url: &str, body: impl Into<Vec<u8>>) -> Self {
        self.fixture(url, Fixture::Document(body.into()))
    }

    /// What listing a pattern gives.
    #[must_use]
    pub fn listing(self, pattern: &str, urls: &[&str]) -> Self {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        self.fixture(pattern, Fixture::Listing(urls))
    }

    /// A URL or pattern at which there is nothing.
    #[must_use]
    pub fn missing(self, url: &str) -> Self {
        self.fixture(url, Fixture::Missing)
    }

    /// A URL or pattern that may not be read, and why.
    #[must_use]
    pub fn refused(self, url: &str, reason: &str) -> Self {
        self.fixture(url, Fixture::Refused(reason.to_owned()))
    }

    /// Takes an entity through pre-process, validate-kind and post-process. An error ends the run
    /// and is in the outcome; policies are the host's and not applied.
    ///
    /// # Panics
    /// If two runs of a stage differ, a stage acts without being declared, a read has no fixture,
    /// or a round asks for nothing new.
    pub fn run<P: Processor>(&self, _processor: P, entity: Entity) -> Outcome {
        stages::run::<P>(self, entity)
    }

    /// Has the processor read one location, all steps of it.
    ///
    /// # Panics
    /// As [`Test::run`].
    pub fn read_location<P: Processor>(
        &self,
        _processor: P,
        location: &LocationRef,
        presence: Presence,
    ) -> Outcome {
        stages::read_location::<P>(self, location, presence)
    }

    fn fixture(mut self, key: &str, fixture: Fixture) -> Self {
        self.fixtures.push((key.to_owned(), fixture));
        self
    }
}

#[cfg(test)]
mod tests;
