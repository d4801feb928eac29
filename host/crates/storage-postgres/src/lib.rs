//! The Postgres backend: every trait of `greenroom-storage` on one database, shared by any number of API and worker
//! processes.
//!
//! Not a second set of rules: what a method means is said at its trait, and the conformance suite of that crate is run
//! here. This crate has the SQL, the migrations and the connections. What holds everywhere:
//!
//! - **One statement per table per batch**: rows go in and out as arrays (`unnest`), so a batch of one and of two hundred
//!   make the same number of round trips (DESIGN §7). No statement is run once per row.
//! - **A tenant's graph has one writer at a time** (see `graph`): what adds, changes or removes entities, edges, relations,
//!   conflicts or changes of a tenant takes that tenant's lock first. What was read under the lock is still true when it is
//!   written, whatever other processes do; tenants never wait for each other.
//! - Locks are taken in one order: the graph of the tenant, rows of its data, `tenant_lanes` by (tenant, lane), and
//!   `tenant_seq` last.
//! - Time is the database's: a transaction asks for it when it begins (see `transaction`), so clocks of machines need not agree.
//! - Texts may hold a NUL, which Postgres does not store: they go through `text::Text`.

mod activations;
mod audit;
mod blobs;
mod bundled_settings;
mod changes;
mod children;
mod connection;
mod damage;
mod entities;
mod faults;
mod figures;
mod graph;
mod healing;
mod hints;
mod left;
mod locations;
mod log;
mod maintenance;
mod migrations;
mod moving;
mod mutations;
mod orphans;
#[cfg(test)]
mod plans;
mod postgres_storage;
mod processing_state;
mod processors;
mod quotas;
mod reads;
mod record;
mod retention;
mod revisions;
mod runs;
mod statement;
mod statistics;
mod stitching;
mod tasks;
mod tenant_deletion;
mod tenants;
#[cfg(test)]
mod testing;
mod text;
mod tokens;
mod transaction;
#[cfg(test)]
mod upgrade;
mod work;
mod workers;

pub use connection::{DatabaseUrl, DatabaseUrlError};
pub use migrations::plan;
pub use postgres_storage::PostgresStorage;
