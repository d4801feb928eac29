//! `CallLimits`: everything one call may use, in one value (DESIGN §3.2).
//!
//! Plain data: the sandbox enforces it, the orchestrator divides it among the rounds of a stage, and the API checks what
//! a tenant sets, without knowing a sandbox.
//!
//! A call gets exactly what is in this value. Budgets that a stage shares over its rounds (fuel, CPU
//! time, log, emissions) are reduced by the caller before the next round; the sandbox itself keeps no
//! state between calls. The wasm stack is not in here: it belongs to the engine, see
//! [`WASM_STACK_BYTES`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Wasm stack of every call, in bytes; deeper recursion is the fault `stack-overflow`. One number
/// for the whole engine, because compiled code and the threads that run it are sized by it.
pub const WASM_STACK_BYTES: usize = 512 * 1024;

/// What one call may use. Set per processor, up to the tenant's quota, that up to
/// [`ENGINE_CEILING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CallLimits {
    /// Linear memory in bytes, **summed** over the call's memories; 64 MiB. Two hundred times what a
    /// processor in Rust uses, and room for an interpreter. Exceeded: growth fails, and a death
    /// after that is `memory-limit`.
    pub memory_bytes: u64,
    /// Table elements, summed; 100 000. Go and JavaScript guests need 50 000 to 100 000. Exceeded:
    /// as `memory_bytes`.
    pub table_elements: u64,
    /// Fuel, about one per Wasm operator, host imports by the byte; 10⁹, near a second of work.
    /// This is the limit that decides: it is the same on every machine. Exceeded: `out-of-fuel`.
    pub fuel: u64,
    /// CPU time of the calling thread in milliseconds; 5 000, five times what the fuel should take.
    /// Exceeded: `deadline`.
    pub cpu_ms: u64,
    /// Wall clock in milliseconds; 30 000. A backstop for a thread that waits, which no guest can
    /// bring about. Exceeded: `deadline`.
    pub wall_ms: u64,
    /// One entity as JSON text in bytes, in and out; 4 MiB, above what stores and browsers bear.
    /// Exceeded: `output-too-large`.
    pub entity_bytes: u64,
    /// The configuration as JSON text in bytes; 64 KiB. It is copied into every call.
    pub config_bytes: u64,
    /// The cache, in and out, in bytes; 64 KiB. It is stored once per entity and processor.
    /// Exceeded: `output-too-large`.
    pub cache_bytes: u64,
    /// All texts of the result in bytes; 8 MiB: an entity and as much again in emissions. Exceeded:
    /// `output-too-large`.
    pub result_bytes: u64,
    /// Emissions, and likewise diagnostics and wants; 10 000. Exceeded: `output-too-large`.
    pub emissions: u64,
    /// Log text in bytes; 64 KiB, then the log is cut with a mark, which is no fault.
    pub log_bytes: u64,
    /// Bytes a guest can make the host allocate in one crossing; 16 MiB, twice the result.
    /// Exceeded: `output-too-large`.
    pub host_bytes: u64,
    /// The carry of read-location in bytes; 256 KiB: a position in a long listing, not its content.
    /// Exceeded: `output-too-large`.
    pub carry_bytes: u64,
}

/// The most that any tenant may be given; the pool is laid out for it.
pub const ENGINE_CEILING: CallLimits = CallLimits {
    memory_bytes: 256 * MIB,
    fuel: 10_000_000_000,
    cpu_ms: 20_000,
    ..DEFAULT
};

const DEFAULT: CallLimits = CallLimits {
    memory_bytes: 64 * MIB,
    table_elements: 100_000,
    fuel: 1_000_000_000,
    cpu_ms: 5_000,
    wall_ms: 30_000,
    entity_bytes: 4 * MIB,
    config_bytes: 64 * KIB,
    cache_bytes: 64 * KIB,
    result_bytes: 8 * MIB,
    emissions: 10_000,
    log_bytes: 64 * KIB,
    host_bytes: 16 * MIB,
    carry_bytes: 256 * KIB,
};

impl Default for CallLimits {
    fn default() -> CallLimits {
        DEFAULT
    }
}

/// A limit outside the range that may be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {given}; set it between {least} and {most}")]
pub struct LimitError {
    /// The field as it is written in configuration.
    pub field: &'static str,
    /// What was asked for.
    pub given: u64,
    /// The least that may be set.
    pub least: u64,
    /// The most that may be set.
    pub most: u64,
}

/// A partial set of limits that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartialLimitError {
    /// A name that is no limit.
    #[error("`{field}` is no limit; use one of {known}")]
    Unknown {
        /// The name, shortened.
        field: String,
        /// All names.
        known: String,
    },
    /// Not a whole number, or out of range.
    #[error("`{field}` is {given}; set it to a whole number between {least} and {most}")]
    OutOfRange {
        /// The field as it is written in configuration.
        field: &'static str,
        /// What was asked for, shortened.
        given: String,
        /// The least that may be set.
        least: u64,
        /// The most that may be set.
        most: u64,
    },
}

impl CallLimits {
    /// The default limits, where the ceiling allows them, with those replaced that `set` names, each checked to be a whole
    /// number from 1 to that of `ceiling` (c28).
    ///
    /// # Errors
    /// [`PartialLimitError`] for the first field that is not.
    pub fn from_partial(
        set: &Map<String, Value>,
        ceiling: &CallLimits,
    ) -> Result<CallLimits, PartialLimitError> {
        CallLimits::default()
            .at_most(ceiling)
            .replaced(set, ceiling)
    }

    /// These limits as a ceiling, lowered where `set` says so; the quota of a tenant below [`ENGINE_CEILING`].
    ///
    /// # Errors
    /// As [`CallLimits::from_partial`].
    pub fn lowered(&self, set: &Map<String, Value>) -> Result<CallLimits, PartialLimitError> {
        self.replaced(set, self)
    }

    /// The lower of each limit.
    #[must_use]
    pub fn at_most(&self, ceiling: &CallLimits) -> CallLimits {
        let mut limits = *self;
        for ((field, given), (_, most)) in self.named().into_iter().zip(ceiling.named()) {
            limits.set(field, given.min(most));
        }
        limits
    }

    fn replaced(
        mut self,
        set: &Map<String, Value>,
        ceiling: &CallLimits,
    ) -> Result<CallLimits, PartialLimitError> {
        let ceiling = ceiling.named();
        for (name, value) in set {
            let Some((field, most)) = ceiling.iter().find(|(field, _)| field == name) else {
                return Err(PartialLimitError::Unknown {
                    field: name.chars().take(80).collect(),
                    known: ceiling.map(|(field, _)| field).join(", "),
                });
            };
            match value.as_u64() {
                Some(given) if (1..=*most).contains(&given) => self.set(field, given),
                _ => {
                    return Err(PartialLimitError::OutOfRange {
                        field,
                        given: value.to_string().chars().take(40).collect(),
                        least: 1,
                        most: *most,
                    });
                }
            }
        }
        Ok(self)
    }

    /// The limits of the bundled processors that parse documents (location readers, placeholder
    /// and openapi): 8·10⁹ fuel, 20 s of CPU, 256 MiB. They read files of up to 16 MiB, and the
    /// operator ships them.
    #[must_use]
    pub fn location_reader() -> CallLimits {
        CallLimits {
            fuel: 8_000_000_000,
            cpu_ms: 20_000,
            memory_bytes: 256 * MIB,
            ..DEFAULT
        }
    }

    /// Checks that every limit is at least 1 and at most that of `ceiling`.
    ///
    /// # Errors
    /// [`LimitError`] for the first field that is not, with the range it must be in.
    pub fn within(&self, ceiling: &CallLimits) -> Result<(), LimitError> {
        for ((field, given), (_, most)) in self.named().into_iter().zip(ceiling.named()) {
            if given < 1 || given > most {
                return Err(LimitError {
                    field,
                    given,
                    least: 1,
                    most,
                });
            }
        }
        Ok(())
    }

    /// The limits of a later round of the same stage: what `used` already took of the budgets that
    /// all rounds share is gone. Never below zero.
    #[must_use]
    pub fn less(&self, fuel: u64, cpu_ms: u64, log_bytes: u64, emissions: u64) -> CallLimits {
        CallLimits {
            fuel: self.fuel.saturating_sub(fuel),
            cpu_ms: self.cpu_ms.saturating_sub(cpu_ms),
            log_bytes: self.log_bytes.saturating_sub(log_bytes),
            emissions: self.emissions.saturating_sub(emissions),
            ..*self
        }
    }

    fn set(&mut self, field: &str, value: u64) {
        let place = match field {
            "memoryBytes" => &mut self.memory_bytes,
            "tableElements" => &mut self.table_elements,
            "fuel" => &mut self.fuel,
            "cpuMs" => &mut self.cpu_ms,
            "wallMs" => &mut self.wall_ms,
            "entityBytes" => &mut self.entity_bytes,
            "configBytes" => &mut self.config_bytes,
            "cacheBytes" => &mut self.cache_bytes,
            "resultBytes" => &mut self.result_bytes,
            "emissions" => &mut self.emissions,
            "logBytes" => &mut self.log_bytes,
            "hostBytes" => &mut self.host_bytes,
            "carryBytes" => &mut self.carry_bytes,
            _ => return,
        };
        *place = value;
    }

    fn named(&self) -> [(&'static str, u64); 13] {
        [
            ("memoryBytes", self.memory_bytes),
            ("tableElements", self.table_elements),
            ("fuel", self.fuel),
            ("cpuMs", self.cpu_ms),
            ("wallMs", self.wall_ms),
            ("entityBytes", self.entity_bytes),
            ("configBytes", self.config_bytes),
            ("cacheBytes", self.cache_bytes),
            ("resultBytes", self.result_bytes),
            ("emissions", self.emissions),
            ("logBytes", self.log_bytes),
            ("hostBytes", self.host_bytes),
            ("carryBytes", self.carry_bytes),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_readers_are_within_the_ceiling() {
        assert_eq!(CallLimits::default().within(&ENGINE_CEILING), Ok(()));
        assert_eq!(
            CallLimits::location_reader().within(&ENGINE_CEILING),
            Ok(())
        );
    }

    #[test]
    fn c28_limits_out_of_range_name_the_field_and_the_range() {
        for (fuel, memory_bytes) in [(0, 1), (u64::MAX, 1), (1 << 63, 1), (1, 257 * MIB)] {
            let limits = CallLimits {
                fuel,
                memory_bytes,
                ..CallLimits::default()
            };
            let error = limits.within(&ENGINE_CEILING).unwrap_err();
            assert!(["fuel", "memoryBytes"].contains(&error.field));
            assert_eq!(error.least, 1);
        }
        for bad in ["-1", "1.5", "\"1GB\"", "null", "18446744073709551616"] {
            let text = format!("{{\"fuel\":{bad}}}");
            assert!(serde_json::from_str::<CallLimits>(&text).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<CallLimits>("{\"feul\":1}").is_err());
    }

    #[test]
    fn a_quota_lowers_the_ceiling_and_with_it_the_defaults() {
        let set = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let quota = ENGINE_CEILING
            .lowered(&set("{\"fuel\":1000,\"cpuMs\":20000}"))
            .unwrap();
        assert_eq!((quota.fuel, quota.cpu_ms), (1_000, 20_000));
        assert_eq!(quota.memory_bytes, ENGINE_CEILING.memory_bytes);
        let limits = CallLimits::from_partial(&set("{\"memoryBytes\":7}"), &quota).unwrap();
        assert_eq!((limits.fuel, limits.memory_bytes), (1_000, 7));
        assert_eq!(limits.within(&quota), Ok(()));
        let over = CallLimits::from_partial(&set("{\"fuel\":1001}"), &quota).unwrap_err();
        assert!(over.to_string().ends_with("between 1 and 1000"), "{over}");
        assert!(ENGINE_CEILING.lowered(&set("{\"cpuMs\":20001}")).is_err());
        assert!(ENGINE_CEILING.lowered(&set("{\"cpuMs\":0}")).is_err());
        assert_eq!(ENGINE_CEILING.at_most(&quota), quota);
    }

    #[test]
    fn c28_a_partial_set_is_checked_field_by_field() {
        let read = |text: &str| {
            let set: Map<String, Value> = serde_json::from_str(text).unwrap();
            CallLimits::from_partial(&set, &ENGINE_CEILING)
        };
        assert_eq!(read("{}"), Ok(CallLimits::default()));
        for (field, most) in ENGINE_CEILING.named() {
            // The most that may be set is taken, by the field of that name and by no other.
            let set = read(&format!("{{\"{field}\":{most}}}")).unwrap();
            let other = read(&format!("{{\"{field}\":1}}")).unwrap();
            for ((name, at_most), (_, at_least)) in set.named().into_iter().zip(other.named()) {
                let expected = if name == field {
                    (most, 1)
                } else {
                    (at_most, at_most)
                };
                assert_eq!((at_most, at_least), expected, "{name} after {field}");
            }
            let over = most + 1;
            for bad in [
                "0",
                "-1",
                "1.5",
                "1.0",
                "\"1GB\"",
                "null",
                "true",
                "[1]",
                "{}",
                "1e3",
                "9223372036854775808",
                "18446744073709551615",
                "18446744073709551616",
                &over.to_string(),
            ] {
                let said = read(&format!("{{\"{field}\":{bad}}}"))
                    .unwrap_err()
                    .to_string();
                let range = format!("`{field}` is ");
                assert!(said.starts_with(&range), "{said}");
                assert!(said.ends_with(&format!("between 1 and {most}")), "{said}");
            }
        }
        let said = read("{\"feul\":1}").unwrap_err().to_string();
        assert!(
            said.starts_with("`feul` is no limit; use one of memoryBytes, "),
            "{said}"
        );
    }

    #[test]
    fn c28_reducing_saturates() {
        let rest = CallLimits::default().less(u64::MAX, 1, u64::MAX, 10);
        assert_eq!((rest.fuel, rest.cpu_ms), (0, 4_999));
        assert_eq!((rest.log_bytes, rest.emissions), (0, 9_990));
    }
}
