//! Runs one processor call in one fresh Wasm instance, under limits (DESIGN §3).
//!
//! A call is a pure function: a request and limits go in, an answer or a fault and a report come
//! out, and the store is dropped. Nothing a guest does outlives its call, and nothing it does is an
//! error of ours. This crate is the only one that knows wasmtime; it holds no database, no network
//! and no file, and reads no clock but the CPU time of its own thread.

mod answer;
mod descriptor;
mod error;
mod fault;
mod limits;
mod port;
mod report;
mod request;

pub use answer::{Emission, GuestDiagnostic, LocationKey, Position, Processed, StageAnswer};
pub use descriptor::{Descriptor, Matcher, TimeGrain};
pub use error::SandboxError;
pub use fault::{FaultKind, Frame, GuestFault, ProcessingError};
pub use limits::{CallLimits, ENGINE_CEILING, LimitError, WASM_STACK_BYTES};
pub use port::CallProcessor;
pub use report::{CallLog, CallOutcome, CallReport, Called, LogLevel, LogLine};
pub use request::{Integration, LocationRequest, Read, ReadOutcome, Request, StageCall, Want};
