//! The torture test of "nothing lost": processes are killed, databases restarted, connections stalled and cut, disks filled and
//! clocks set while tenants push, change, delete, upload, activate and read; at the end every invariant holds.
//!
//! Its parts: a [`World`] of hosts that are started again whenever they end, each on a [`Machine`] that can lie about its
//! disk and its clock and, on Postgres, behind a [`Proxy`] of its own; faults, one file for each kind; tenants, who repeat a write
//! until it is acknowledged and remember what they were promised; and invariants, one function each, that ask the database with
//! SQL of their own and every API process what became of it.
//!
//! A write is *acknowledged* when its 2xx was received. One whose answer was lost is uncertain and either state is right, until
//! it is repeated: every write here can be, and is.

mod database;
mod faults;
mod files;
mod invariants;
mod machine;
mod offences;
mod process;
mod proxy;
mod settle;
mod tenants;
mod torture;
mod world;

pub use machine::Machine;
pub use proxy::Proxy;
pub use torture::{Plan, Report, torture};
pub use world::{Node, World};
