//! The HTTP edge: Backstage's catalog API and our own routes over storage and the read index (DESIGN §5).
//!
//! It runs no tenant code and opens no outgoing connection: what needs either is a row in `runs` that a worker answers.
//! A handler is extract, one call into the core, shape the response; who may do what is in the type of its `Access`
//! argument, and errors are rendered in one place (`error`). By-name, by-uid, by-refs, ancestry and locations come from
//! storage and are always current; lists, facets and counts come from the index of the tenant and follow within 100 ms.

mod activations;
mod admin;
mod audit;
mod auth;
mod body;
mod bundled;
mod catalog;
mod changes;
mod component_check;
mod compression;
mod database_figures;
mod error;
mod etag;
mod extract;
mod faults;
mod guesses;
mod head_guard;
mod index;
mod leftover;
mod metrics;
mod mutation_lines;
mod mutation_staging;
mod mutation_turns;
mod mutations;
mod openapi;
mod operation_doc;
mod operations;
mod pagination;
mod probes;
mod processing;
mod processors;
mod progress;
mod provider_refresh;
mod rate;
mod revision_runs;
mod revisions;
mod router;
mod routes;
mod runs;
mod server;
mod settings;
mod socket;
mod state;
mod tenant_routes;
#[cfg(test)]
mod tests;
mod token;
mod upload;
mod usage;
mod validation;
mod validators;

pub use bundled::BundledListing;
pub use mutation_lines::read_mutation;
pub use operations::{Operations, OperationsParts, Role};
pub use router::Edge;
pub use server::serve;
pub use state::ApiParts;
