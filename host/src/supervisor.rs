//! Worker processes as children of `serve`: started, watched, replaced (DESIGN §1).
//!
//! `serve` and a worker are joined by the worker's standard input and output: lines of [`Message`] in both directions.
//! End of file tells the worker to exit, so a killed `serve` leaves no orphan; silence of 10 s or death tells `serve` to
//! replace it, after 0.1 s doubling to 30 s. Nothing else crosses: the work itself is coordinated through storage.

mod child;
mod message;
mod pipe;
mod pulse;
mod sandbox_ends;

pub use child::{Supervisor, WorkerEnd, WorkerStatus};
pub use message::{Message, read_message, write_message};
pub use pipe::{ParentPipe, Wakes};
pub use pulse::Pulse;
pub use sandbox_ends::SandboxEnd;
