//! Stages in `greenroom sandbox` children: the adapter of the port `Orchestrate` (DESIGN §1).
//!
//! A worker keeps one child that everything runs in, on threads of its own with a fair queue in front of them, and starts
//! another the moment that one is gone. A turn of a run is one frame there and one back. What a child was in the middle of
//! when it died runs again, alone in a child of its own, because it may have been the reason; two deaths alone are the
//! fault `host-crash`. What only waited is sent to the next child and bears no blame.
//!
//! The worker trusts nothing a child says: see `greenroom-sandbox-child`.

mod children;
mod death;
mod known;
mod mailbox;
mod process;
mod spawn;

pub use children::{Describe, SandboxChildren};

#[cfg(test)]
mod tests;
