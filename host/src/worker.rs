//! The queue process: claims, runs, records, stitches, looks at reads again. It decides *when* to run; what processing
//! means is `greenroom-processing`.
//!
//! One [`Worker`] is one lease. Each of its loops is a tracked task that turns at least every 100 ms and ends when the
//! process stops; guests run in processes of their own, so that none of them can hold a loop or reach what a worker holds.

mod artifacts;
mod audit;
mod claims;
mod compile_child;
mod compile_death;
mod compile_queue;
mod inspection;
mod loops;
mod read_source;
mod recorder;
mod revalidation;
mod revision_runs;
mod run_count;
mod runs;
mod sandbox_children;
mod scheduler;
mod sealed_set;
mod source_shares;
#[cfg(test)]
mod tests;
mod validation;
mod worker_process;

pub use artifacts::{Artifacts, BundledCode};
pub use compile_child::{COMPILE_INPUT_MAX, CompileChild};
pub use read_source::StoredReads;
pub use sandbox_children::{Describe, SandboxChildren};
pub use worker_process::{Worker, WorkerParts};
