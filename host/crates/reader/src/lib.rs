//! Outgoing reads: the only crate that opens a connection, or a file that a catalog names.
//!
//! Everything is closed by default (DESIGN §3.4). A read passes four gates, in this order and again
//! for each redirect: the tenant's configuration names the host ([`ReadPolicy`]), the processor may
//! see the URL ([`Grant`]), the address is public or listed by the operator ([`address`]), and the
//! answer fits ([`ReaderConfig`]). What a gate stops ends as [`ReadOutcome::Refused`] before a packet
//! leaves; what the network spoils ends as [`ReadOutcome::Unavailable`], never as a short document.
//!
//! It is not a cache and not a schedule: documents, their conditional state and their next time are
//! rows of the storage, keyed by tenant, credential and URL ([`ReadPolicy::credential_key`]). It
//! parses no catalog file; that happens in the sandbox. No text it returns quotes a body, a
//! credential or an address.

pub mod address;

mod allow;
mod classify;
mod conditional;
mod files;
mod glob;
mod grant;
mod integration;
mod listing;
mod mapping;
mod outcome;
mod path;
mod policy;
mod reader;
mod repository;
mod resolver;
mod retry_after;
mod transport;

pub use address::{Network, NetworkError};
pub use allow::ReadingAllow;
pub use conditional::Conditional;
pub use files::{FileReader, FileReaderError, FileRoot};
pub use grant::{Grant, GrantError};
pub use integration::{IntegrationConfig, Token};
pub use outcome::{ReadOutcome, Want};
pub use policy::{PolicyError, ReadPolicy};
pub use reader::Reader;
pub use resolver::{NameLookup, SystemNames};
pub use transport::{ReaderConfig, ReaderError};
