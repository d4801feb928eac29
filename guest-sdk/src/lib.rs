//! Write catalog processors for Greenroom.
//!
//! A processor is a type with [`Processor`] and one line, [`export!`]; it depends on this crate
//! alone (and `serde` for its configuration). Built for `wasm32-wasip2` it is the component to
//! upload; built natively it is a plain library whose tests use [`testing`].
//!
//! ```
//! use greenroom_sdk::{Context, Descriptor, Emitter, Entity, Processor, Result, Stage};
//!
//! #[derive(Default)]
//! struct Team;
//!
//! impl Processor for Team {
//!     fn describe(&self) -> Descriptor {
//!         Descriptor::new().stages([Stage::PreProcess]).kinds(["Component"])
//!     }
//!
//!     fn pre_process(&self, mut entity: Entity, _: &Context, _: &mut Emitter) -> Result<Entity> {
//!         entity.set_annotation("example.com/team", "core");
//!         Ok(entity)
//!     }
//! }
//!
//! greenroom_sdk::export!(Team);
//! # let web = greenroom_sdk::entity!({
//! #     "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "web"}
//! # });
//! # let done = greenroom_sdk::testing::run(Team, web);
//! # assert_eq!(done.entity.annotation("example.com/team"), Some("core"));
//! ```
//!
//! **Every call is a pure function of its request in a fresh instance.** Nothing kept in a `static`
//! is there the next time, and there is no network: [`Context::read`] returns a document if the
//! host has read it already, else [`ReadError::Pending`]; pass that on with `?` and the host reads
//! and calls again. A call that asked for a read is answered "pending" whatever it returned.

extern crate self as greenroom_sdk;

#[doc(hidden)]
pub mod bindings;
pub mod catalog_files;
mod context;
mod descriptor;
mod document;
mod emitter;
mod entity_macro;
mod error;
mod export;
mod glue;
mod logging;
mod outcome;
mod processor;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod url_arithmetic;
pub mod yaml;

pub use context::Context;
pub use descriptor::{Descriptor, Matcher, TimeGrain};
pub use document::{Document, ReadError};
pub use emitter::{Emitter, LocationKey};
pub use error::ProcessorError;
pub use greenroom_model::{
    Entity, EntityRef, Level, LocationRef, Presence, RefError, Relation, Timestamp, annotations,
};
pub use outcome::{Handled, Target, Verdict};
pub use processor::{Processor, Stage};
pub use serde_json::{Map, Value, json};
pub use yaml::Position;

/// What a stage returns.
pub type Result<T, E = ProcessorError> = std::result::Result<T, E>;

/// What the macros expand to; not for use by name.
#[doc(hidden)]
pub mod hidden {
    #[cfg(not(target_arch = "wasm32"))]
    pub use crate::export::check;
    #[cfg(target_arch = "wasm32")]
    pub use crate::export::install_panic_hook;
    pub use crate::glue::{describe, post_process, pre_process, read_location, validate_kind};
    pub use wit_bindgen;
}
