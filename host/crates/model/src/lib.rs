//! The vocabulary all crates share: entities, refs, locations, envelope and policy rules, filters
//! and URL arithmetic.
//!
//! Plain data and pure functions: no I/O, no clock, no environment. The crate compiles for the host
//! and, inside the guest SDK, for `wasm32-wasip2`, so that refs, envelope and URL arithmetic exist
//! once for both; its dependencies stay few and small for the same reason. Behaviour follows
//! Backstage 4.0 where Backstage has one; each module names the section it follows.

pub mod annotations;
mod casing;
mod clock;
mod diagnostic;
mod digest;
mod entity;
mod entity_ref;
mod envelope;
pub mod filter;
mod given_files;
mod ids;
mod limits;
pub mod location;
mod location_ref;
mod matcher;
pub mod policy;
mod position;
mod relation;
pub mod rules;
pub mod terms;
mod trimming;
pub mod url_arithmetic;

pub use casing::lower_case;
pub use clock::{Clock, Timestamp, TimestampError, Uptime};
pub use diagnostic::{Diagnostic, ErrorCause, Level, Stage, StageError};
pub use digest::{Digest, DigestError};
pub use entity::Entity;
pub use entity_ref::{DEFAULT_NAMESPACE, EntityRef, MAX_REF_BYTES, RefError};
pub use envelope::{EnvelopeError, MAX_DEPTH};
pub use given_files::{GivenFile, GivenFiles, NOWHERE, PathError};
pub use ids::{EntityUid, MAX_NAME_CHARS, NameError, ProcessorName, TenantId, TenantName};
pub use limits::{CallLimits, ENGINE_CEILING, LimitError, PartialLimitError, WASM_STACK_BYTES};
pub use location_ref::{LocationRef, LocationRefError, is_script_url};
pub use matcher::{
    MAX_MATCHER_VALUE_BYTES, MAX_MATCHER_VALUES, Matcher, SubscriptionError, check_matcher_values,
    check_subscription,
};
pub use position::Position;
pub use relation::{Presence, Relation};
pub use trimming::trim;
