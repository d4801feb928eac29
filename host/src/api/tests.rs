//! The edge through its router, over a real SQLite catalog.

mod access;
mod admin;
mod bundled;
mod catalog;
mod changes;
mod documented;
mod faults;
mod host;
mod hostile;
mod http;
mod isolation;
mod locations;
mod openapi;
mod processing;
mod processors;
mod quotas;
mod revision_runs;
mod revisions;
mod settings;
mod traps;
mod validation;
