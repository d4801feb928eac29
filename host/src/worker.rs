//! The queue process: claims, runs, records, stitches, looks at reads again. It decides *when* to run; what processing
//! means is `greenroom-processing`.
//!
//! One [`Worker`] is one lease. Each of its loops is a tracked task that turns at least every 100 ms and ends when the
//! process stops; guests run on threads of their own, so that none of them can hold a loop.

mod artifacts;
mod claims;
mod compile_child;
mod compile_death;
mod compile_queue;
mod guest_threads;
mod inspection;
mod loops;
mod read_source;
mod recorder;
mod revalidation;
mod runs;
mod thread_queue;
mod worker_process;

pub use artifacts::Artifacts;
pub use compile_child::{COMPILE_INPUT_MAX, CompileChild};
pub use guest_threads::GuestThreads;
pub use read_source::StoredReads;
pub use worker_process::{Worker, WorkerParts};
