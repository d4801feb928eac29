//! Greenroom: a multi-tenant catalog backend that runs every catalog processor in a fresh Wasm instance per call.
//!
//! This crate is the edges and the wiring: [`api`] speaks HTTP and runs no tenant code, [`worker`] decides when to run,
//! [`commands`] are the composition roots, where alone a backend is chosen. What processing means is in the crates below
//! (`greenroom-processing`, `-orchestrator`, `-sandbox`); `api` and `worker` never import each other.

pub mod api;
pub mod commands;
pub mod config;
pub mod config_schema;
pub mod lifecycle;
pub mod metrics;
pub mod supervisor;
pub mod telemetry;
pub mod worker;
