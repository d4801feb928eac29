//! The SQLite backend: every trait of `greenroom-storage` on one file, shared by the API and worker processes.
//!
//! Not a second set of rules: what a method means is said at its trait, and the conformance suite of that crate is run
//! here. This crate has the SQL, the migrations and the threads: **one writer per process** with a bounded queue, every
//! write in `BEGIN IMMEDIATE` (see `writer`), and a few readers whose transactions are short (see `readers`). Statements
//! are prepared and run row by row, because bulk statements over `json_each` were 5 000 times slower (DESIGN §7).

mod backup;
mod busy;
mod clock;
mod connection;
mod damage;
mod filesystem;
mod log;
mod migrations;
mod readers;
mod sqlite_storage;
mod statement;
mod writer;

mod activations;
mod audit;
mod blobs;
mod bundled_settings;
mod changes;
mod faults;
mod figures;
mod inspections;
mod maintenance;
mod processors;
mod quotas;
mod reads;
mod retention;
mod revisions;
mod runs;
mod tasks;
mod tenant_deletion;
mod tenants;
mod tokens;

mod children;
mod entities;
mod healing;
mod left;
mod locations;
mod moving;
mod mutations;
mod orphans;
mod processing_state;
mod record;
mod stitching;
mod work;
mod workers;

pub use backup::{back_up, restore};
pub use migrations::{plan, plan_of_nothing};
pub use sqlite_storage::SqliteStorage;
