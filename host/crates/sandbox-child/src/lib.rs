//! The process that runs guests, and what it says to its worker (DESIGN §1).
//!
//! A child holds a socket to its worker, a page of notes it shares with it, and nothing else: no database, credential,
//! network, file or environment. It locks itself down before it reads a byte. Whatever escapes Wasm meets an empty
//! process; whatever crashes it is a process that is replaced in milliseconds, because everything it did was a pure
//! function and can be done again.
//!
//! ```text
//! worker ── Load, Pipeline, Start, Resume, Describe, Ping ──▶ child
//!        ◀── Hello, Step, Described, Announce, Missing, Failed, Refused, Pong ──
//! ```
//!
//! Both ends are this crate's frames in the same binary: a child is started from the worker's own executable, so there
//! is no version to negotiate; the greeting says the protocol's number and the engine's version all the same. The worker
//! trusts nothing a child says: a frame is bounded in size and depth, and one that does not read back ends the child.
//!
//! [`run`] is the child; the rest is shared by both ends. The crate imports no storage, no reader and no runtime, which is
//! what makes "owns nothing" a fact about the dependency graph and not about care.

mod child;
mod frame;
mod guests;
mod inbox;
mod message;
mod note;
mod outbox;
mod thread_queue;

pub use child::{ChildError, run};
pub use frame::{FRAME_MAX_BYTES, Frame, FrameError, FrameReader, HEADER_BYTES, Header, Kind};
pub use message::{
    Announced, DescribeRevision, Hello, Load, Refused, ResumeRun, StartRun, TellPipeline, decode,
    encode, encoded,
};
pub use note::{NOTE_BYTES, Note, now_ms, page_bytes, read_notes};
