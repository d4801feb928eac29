//! `[quotas]`: what one tenant may have of what costs the host most. Figures hold for every tenant alike.

use greenroom_model::{CallLimits, ENGINE_CEILING};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Quotas of a tenant. Zero means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Revisions kept of one processor; 20. An upload beyond it drops the oldest that is neither current nor what a
    /// roll-back or a quarantine would return to.
    pub revisions_per_processor: u32,
    /// Uploads in a minute; 60. More than an author makes by hand, less than makes the store grow.
    pub uploads_per_minute: u32,
    /// Activations in a minute; 60. Each makes every worker read the pipeline anew.
    pub activations_per_minute: u32,
    /// Uploads that may wait to be compiled; 16. One is compiled at a time.
    pub waiting_uploads: u32,
    /// CPU time of compiling in an hour, in seconds; 900. A compile bomb costs at most `compile_cpu_seconds`.
    pub compile_seconds_per_hour: u32,
    /// CPU time of compiling one upload, in seconds; 60 (DESIGN §3.2).
    pub compile_cpu_seconds: u32,
    /// The most that the limits of a processor may be set to, by the names they have there; the engine's ceiling where it
    /// is not said. Lowered below what a processor has, it holds from its next call.
    #[serde(deserialize_with = "call_limits")]
    pub call_limits: CallLimits,
}

fn call_limits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CallLimits, D::Error> {
    let set = Map::<String, Value>::deserialize(deserializer)?;
    ENGINE_CEILING.lowered(&set).map_err(D::Error::custom)
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            revisions_per_processor: 20,
            uploads_per_minute: 60,
            activations_per_minute: 60,
            waiting_uploads: 16,
            compile_seconds_per_hour: 900,
            compile_cpu_seconds: 60,
            call_limits: ENGINE_CEILING,
        }
    }
}
