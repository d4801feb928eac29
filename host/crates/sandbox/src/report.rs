//! What a call cost and what it said, reported for answers and faults alike.
//!
//! Fuel and peak memory are the same for the same request; the times are not. The log is data for
//! faults and dry runs: nothing may depend on a line having arrived.

use serde::{Deserialize, Serialize};

use crate::GuestFault;

/// What one call cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallReport {
    /// Fuel used.
    pub fuel: u64,
    /// Most linear memory held at once, in bytes, summed over memories.
    pub peak_memory_bytes: u64,
    /// CPU time of the thread in microseconds, instantiation and conversion included.
    pub cpu_us: u64,
    /// Wall clock in microseconds.
    pub wall_us: u64,
    /// What the guest logged, and what it wrote to standard output and error.
    pub log: CallLog,
}

/// The log of one call, at most `log_bytes` of text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLog {
    /// The lines in order.
    pub lines: Vec<LogLine>,
    /// Whether more was said than was kept.
    pub truncated: bool,
    /// Bytes of text kept, to be taken off the budget of the stage's next round.
    pub bytes: u64,
}

/// One line of a call's log. Control characters are escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How serious the guest called it; what came by standard error is `warning`, by output `info`.
    pub level: LogLevel,
    /// The text.
    pub message: String,
    /// Further facts, in the guest's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
}

/// Seriousness of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Detail for the processor's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Something looks wrong.
    Warning,
    /// Something is wrong.
    Error,
}

/// How a call ended, for the guest. A fault is data, never a host error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CallOutcome<T> {
    /// It answered.
    Answered(T),
    /// It failed.
    Faulted(GuestFault),
}

/// A call that took place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Called<T> {
    /// How it ended.
    pub outcome: CallOutcome<T>,
    /// What it cost.
    pub report: CallReport,
}

impl<T> CallOutcome<T> {
    /// The same outcome with another answer.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> CallOutcome<U> {
        match self {
            CallOutcome::Answered(answer) => CallOutcome::Answered(change(answer)),
            CallOutcome::Faulted(fault) => CallOutcome::Faulted(fault),
        }
    }

    /// The fault, if the call failed.
    #[must_use]
    pub fn fault(&self) -> Option<&GuestFault> {
        match self {
            CallOutcome::Answered(_) => None,
            CallOutcome::Faulted(fault) => Some(fault),
        }
    }
}
