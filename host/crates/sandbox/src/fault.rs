//! What can go wrong inside a guest, as data (DESIGN §3.2). A fault is never a host error: it is
//! recorded with the entity and shown to the processor's author. Ours are `SandboxError`.

use serde::{Deserialize, Serialize};

/// Why a call gave no answer. One variant per fault of DESIGN §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Died after being refused memory or table space.
    MemoryLimit,
    /// Used up its fuel.
    OutOfFuel,
    /// Used up its CPU time, or the wall clock behind it.
    Deadline,
    /// Recursed past the wasm stack.
    StackOverflow,
    /// Returned, or made the host allocate, more than a limit; also input refused before the call.
    OutputTooLarge,
    /// Panicked, aborted, left without a result, or broke a rule of the machine.
    Trap,
    /// Gave up with a `processing-error`.
    Rejected,
    /// Returned something that is not what the contract says: broken JSON, another entity's ref.
    InvalidOutput,
    /// Gave up because a read was refused.
    Denied,
    /// Wanted too many reads or bytes, or wanted nothing new. Raised by the orchestrator.
    ReadLimit,
    /// Took down the process it ran in, twice alone. Raised by the worker.
    HostCrash,
}

impl FaultKind {
    /// Every kind, in the order of DESIGN §3.2.
    pub const ALL: [FaultKind; 11] = [
        FaultKind::MemoryLimit,
        FaultKind::OutOfFuel,
        FaultKind::Deadline,
        FaultKind::StackOverflow,
        FaultKind::OutputTooLarge,
        FaultKind::Trap,
        FaultKind::Rejected,
        FaultKind::InvalidOutput,
        FaultKind::Denied,
        FaultKind::ReadLimit,
        FaultKind::HostCrash,
    ];

    /// The name used in the API, in storage and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FaultKind::MemoryLimit => "memory-limit",
            FaultKind::OutOfFuel => "out-of-fuel",
            FaultKind::Deadline => "deadline",
            FaultKind::StackOverflow => "stack-overflow",
            FaultKind::OutputTooLarge => "output-too-large",
            FaultKind::Trap => "trap",
            FaultKind::Rejected => "rejected",
            FaultKind::InvalidOutput => "invalid-output",
            FaultKind::Denied => "denied",
            FaultKind::ReadLimit => "read-limit",
            FaultKind::HostCrash => "host-crash",
        }
    }

    /// Whether the same request gives the same fault everywhere, so that trying again is pointless
    /// until an input, a limit or the engine changes.
    #[must_use]
    pub fn is_deterministic(self) -> bool {
        match self {
            FaultKind::Deadline | FaultKind::StackOverflow | FaultKind::HostCrash => false,
            FaultKind::MemoryLimit
            | FaultKind::OutOfFuel
            | FaultKind::OutputTooLarge
            | FaultKind::Trap
            | FaultKind::Rejected
            | FaultKind::InvalidOutput
            | FaultKind::Denied
            | FaultKind::ReadLimit => true,
        }
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The case of the guest's own `processing-error`, beside the kinds `rejected` and `denied`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessingError {
    /// The entity, or what it points at, is wrong.
    Invalid,
    /// Something it must have does not exist.
    NotFound,
    /// Gave up because a read was refused.
    Refused,
    /// Contradicts something else.
    Conflict,
    /// Anything else.
    Other,
}

impl ProcessingError {
    /// The error name Backstage gives such an error in `status.items` (ref §3).
    #[must_use]
    pub fn error_name(self) -> &'static str {
        match self {
            ProcessingError::Invalid => "InputError",
            ProcessingError::NotFound => "NotFoundError",
            ProcessingError::Refused => "NotAllowedError",
            ProcessingError::Conflict => "ConflictError",
            ProcessingError::Other => "Error",
        }
    }
}

/// One frame of a wasm backtrace, innermost first. Texts are escaped and at most 256 characters
/// (a18): they come out of the component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Demangled function name, or `wasm-function[n]` without a name section.
    pub function: String,
    /// Source file, as its compiler was given it, where the component has debug sections.
    pub file: Option<String>,
    /// Line in it, from 1.
    pub line: Option<u32>,
    /// Offset in the component that was uploaded, as `wasm-tools addr2line` takes it.
    pub offset: Option<u64>,
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFault {
    /// What kind of failure.
    pub kind: FaultKind,
    /// One sentence for the processor's author, at most 4 KiB; for `rejected` and `denied` the
    /// guest's own words, for the entity's owner.
    pub message: String,
    /// The case of the guest's error, for `rejected` and `denied` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ProcessingError>,
    /// Where it happened, for faults of the machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<Frame>,
}

impl GuestFault {
    /// A fault without a backtrace.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<String>) -> GuestFault {
        GuestFault {
            kind,
            message: message.into(),
            error: None,
            backtrace: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_serde_agree() {
        for kind in FaultKind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
        }
    }
}
