//! What the integration tests and the demo share: a host under test, requests to it, bounded waiting, and the comparison of
//! a catalog with expected verdicts. Test code; nothing of the product depends on it.

mod backend;
mod client;
mod command;
mod host;
mod process;
mod sandbox;
mod verdicts;
mod waiting;

pub use backend::Backend;
pub use client::{Client, Reply};
pub use command::{Done, command};
pub use host::{TestHost, TestHostBuilder, binary};
pub use process::{
    children_of, forget_peak, is_alive, kill_group, kill_hard, memory_of, raise_descriptor_limit,
    stop_softly,
};
pub use sandbox::{Blow, SandboxChild};
pub use verdicts::{CatalogUnderTest, Difference, LocationTarget, Verdict, assert_known};
pub use waiting::{quiet, wait_until};

pub use reqwest::Method;
