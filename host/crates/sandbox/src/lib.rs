//! Runs one processor call in one fresh Wasm instance, under limits (DESIGN §3).
//!
//! A call is a pure function: a request and limits go in, an answer or a fault and a report come
//! out, and the store is dropped. Nothing a guest does outlives its call, and nothing it does is an
//! error of ours. This crate is the only one that knows wasmtime; it holds no database, no network
//! and no file, and reads no clock but the CPU time of its own thread.
//!
//! ```text
//! component bytes ── Compiler ──▶ Artifact ── Sandbox::load ──▶ LoadedProcessor
//! StageCall, CallLimits, seed ── Sandbox::call ──▶ Called { outcome, report }
//! ```

mod answer;
mod artifact;
mod bindings;
mod checked_json;
mod classify;
mod compile;
mod contract;
mod convert_answer;
mod convert_descriptor;
mod convert_request;
mod debug_sections;
mod descriptor;
mod deserialize;
mod dwarf_lines;
mod engine;
mod error;
mod fault;
mod given_entity;
mod guest_state;
mod imports;
mod inspect;
mod limiter;
mod line_table;
mod loaded;
mod log;
mod packed_code;
mod pool_use;
mod port;
mod printable;
mod randomness;
mod recorded_call;
mod rejection;
mod report;
mod request;
mod run;
mod sandbox;
mod sealed;
mod slots;
mod stopwatch;
mod ticker;

pub use answer::{Emission, GuestDiagnostic, LocationKey, Processed, StageAnswer};
pub use artifact::{Artifact, ArtifactError, ArtifactKey};
pub use compile::{CompileError, CompileLimits, Compiler, compile};
pub use debug_sections::without_debug_sections;
pub use descriptor::{Descriptor, TimeGrain, Track};
pub use engine::{CONFIG_REVISION, EngineUse, WASMTIME_VERSION, new_engine};
pub use error::SandboxError;
pub use fault::{FaultKind, Frame, GuestFault, ProcessingError};
pub use given_entity::GivenEntity;
pub use inspect::check_start;
// Plain data that the API checks settings with or shows, so it lives where everybody can see it.
pub use greenroom_model::{
    CallLimits, ENGINE_CEILING, LimitError, Matcher, Position, WASM_STACK_BYTES,
};
pub use loaded::{LoadedProcessor, Scope};
pub use pool_use::PoolUse;
pub use port::CallProcessor;
pub use recorded_call::{
    KeptDocuments, RECORDED_CALL_BYTES, RECORDED_CALL_FORMAT, RecordedCall, RecordedCallError,
    engine_name,
};
pub use rejection::Rejection;
pub use report::{CallLog, CallOutcome, CallReport, Called, LogLevel, LogLine};
pub use request::{Integration, LocationRequest, Read, ReadOutcome, Request, StageCall, Want};
pub use sandbox::{Sandbox, SandboxOptions, ScopedSandbox};
pub use sealed::SealedCode;
