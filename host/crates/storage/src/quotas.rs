//! What a tenant may have, and what it has (DESIGN §4).
//!
//! A backend is opened with the quotas of the configuration. What an operator sets for one tenant is stored and holds in place
//! of them, figure by figure, in every process from its next transaction on. What storage counts it refuses in the transaction
//! that would exceed it, so that of two that race for the last unit one is refused; where a quota is lowered below what is
//! there, nothing is deleted and what would be new is refused. Zero means none, and the largest number that no bound is kept.

use std::fmt;

use crate::StorageError;
use async_trait::async_trait;
use greenroom_model::{
    CallLimits, Diagnostic, ENGINE_CEILING, EntityRef, PartialLimitError, TenantId, Timestamp,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

const MINUTE_MS: u64 = 60_000;
/// How long a parent waits, whose children found no room, before it runs again without a reason of its own.
pub const NO_ROOM_RETRY_MS: i64 = 3_600_000;

/// Quotas of a tenant. Zero means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Entities, whatever came of them: those of providers and locations, and those that processors emit; 1 000 000.
    pub entities: u64,
    /// Processors of the tenant's own; 100.
    pub processors: u64,
    /// Bytes of the components that its revisions name, each once; 2 GiB.
    pub component_bytes: u64,
    /// Revisions kept of one processor; 20. An upload beyond it drops the oldest that is neither current nor what a
    /// roll-back or a quarantine would return to.
    pub revisions_per_processor: u64,
    /// Uploads in a minute; 60. More than an author makes by hand, less than makes the store grow.
    pub uploads_per_minute: u64,
    /// Activations in a minute; 60. Each makes every worker read the pipeline anew.
    pub activations_per_minute: u64,
    /// Uploads that may wait to be compiled; 16. One is compiled at a time.
    pub waiting_uploads: u64,
    /// CPU time of compiling in an hour, in seconds; 900. A compile bomb costs at most `compile_cpu_seconds`.
    pub compile_seconds_per_hour: u64,
    /// CPU time of compiling one upload, in seconds; 60 (DESIGN §3.2). The same for all tenants.
    pub compile_cpu_seconds: u32,
    /// Share of the guest threads that its entities may hold, in percent; 100. Beside it, a tenant holds at most half while
    /// another waits.
    pub thread_share: u64,
    /// CPU time of processing its entities in a minute, in seconds; 600. Above it nothing is claimed until the minute has room.
    pub cpu_seconds_per_minute: u64,
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
            entities: 1_000_000,
            processors: 100,
            component_bytes: 2 << 30,
            revisions_per_processor: 20,
            uploads_per_minute: 60,
            activations_per_minute: 60,
            waiting_uploads: 16,
            compile_seconds_per_hour: 900,
            compile_cpu_seconds: 60,
            thread_share: 100,
            cpu_seconds_per_minute: 600,
            call_limits: ENGINE_CEILING,
        }
    }
}

impl Quotas {
    /// These with what is set for one tenant in their place.
    #[must_use]
    pub fn with(mut self, set: &QuotaOverrides) -> Quotas {
        let replace = |quota: &mut u64, set: Option<u64>| *quota = set.unwrap_or(*quota);
        replace(&mut self.entities, set.entities);
        replace(&mut self.processors, set.processors);
        replace(&mut self.component_bytes, set.component_bytes);
        replace(
            &mut self.revisions_per_processor,
            set.revisions_per_processor,
        );
        replace(&mut self.uploads_per_minute, set.uploads_per_minute);
        replace(&mut self.activations_per_minute, set.activations_per_minute);
        replace(&mut self.waiting_uploads, set.waiting_uploads);
        replace(
            &mut self.compile_seconds_per_hour,
            set.compile_seconds_per_hour,
        );
        replace(&mut self.thread_share, set.thread_share);
        replace(&mut self.cpu_seconds_per_minute, set.cpu_seconds_per_minute);
        // What cannot be read was stored by a host with other limits; the configuration's hold then.
        if let Some(Ok(limits)) = set.call_limits.as_ref().map(ceiling) {
            self.call_limits = limits;
        }
        self
    }

    /// CPU time of a minute in microseconds.
    #[must_use]
    pub fn cpu_us_per_minute(&self) -> u64 {
        self.cpu_seconds_per_minute.saturating_mul(1_000_000)
    }

    /// CPU time of compiling in an hour in milliseconds.
    #[must_use]
    pub fn compile_ms_per_hour(&self) -> u64 {
        self.compile_seconds_per_hour.saturating_mul(1_000)
    }

    /// How many items a tenant may hold of so many threads; none where it has no CPU time at all.
    #[must_use]
    pub fn share_of(&self, threads: u64) -> u64 {
        match self.cpu_seconds_per_minute {
            0 => 0,
            _ => threads
                .saturating_mul(self.thread_share.min(100))
                .div_ceil(100),
        }
    }
}

fn ceiling(set: &Map<String, Value>) -> Result<CallLimits, PartialLimitError> {
    ENGINE_CEILING.lowered(set)
}

/// What an operator has set for one tenant. What is not said is the configuration's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct QuotaOverrides {
    /// See [`Quotas::entities`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entities: Option<u64>,
    /// See [`Quotas::processors`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processors: Option<u64>,
    /// See [`Quotas::component_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component_bytes: Option<u64>,
    /// See [`Quotas::revisions_per_processor`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revisions_per_processor: Option<u64>,
    /// See [`Quotas::uploads_per_minute`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploads_per_minute: Option<u64>,
    /// See [`Quotas::activations_per_minute`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activations_per_minute: Option<u64>,
    /// See [`Quotas::waiting_uploads`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_uploads: Option<u64>,
    /// See [`Quotas::compile_seconds_per_hour`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compile_seconds_per_hour: Option<u64>,
    /// See [`Quotas::thread_share`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_share: Option<u64>,
    /// See [`Quotas::cpu_seconds_per_minute`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds_per_minute: Option<u64>,
    /// See [`Quotas::call_limits`]; those that are set, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_limits: Option<Map<String, Value>>,
}

impl QuotaOverrides {
    /// Checks what its types do not: the names and figures of the limits of a call.
    ///
    /// # Errors
    /// Names the limit and what it may be.
    pub fn check(&self) -> Result<(), PartialLimitError> {
        self.call_limits.as_ref().map_or(Ok(()), |set| {
            ceiling(set)?;
            Ok(())
        })
    }
}

/// What is counted, and refused where there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// See [`Quotas::entities`].
    Entities,
    /// See [`Quotas::processors`].
    Processors,
    /// See [`Quotas::component_bytes`].
    ComponentBytes,
}

impl Counted {
    fn noun(self) -> &'static str {
        match self {
            Self::Entities => "entities",
            Self::Processors => "processors",
            Self::ComponentBytes => "bytes of components",
        }
    }
}

/// Something found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverQuota {
    /// Of what.
    pub what: Counted,
    /// What the tenant has.
    pub used: u64,
    /// What it may have.
    pub limit: u64,
    /// What would have come to it.
    pub wanted: u64,
}

impl OverQuota {
    /// Whether so much more has room; why not.
    ///
    /// # Errors
    /// The figures, where it has none.
    pub fn check(what: Counted, used: u64, limit: u64, wanted: u64) -> Result<(), OverQuota> {
        if wanted == 0 || used.saturating_add(wanted) <= limit && used < limit {
            return Ok(());
        }
        Err(OverQuota {
            what,
            used,
            limit,
            wanted,
        })
    }
}

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, limit, wanted) = (self.used, self.limit, self.wanted);
        let noun = self.what.noun();
        write!(
            f,
            "this tenant has {used} of at most {limit} {noun} and {wanted} more have no room; \
             remove what is not needed, or ask the operator for a larger quota"
        )
    }
}

/// What a parent is told of those it emitted and that found no room: `first`, and `others` more.
#[must_use]
pub fn no_room_for(first: &EntityRef, others: usize, over: &OverQuota) -> Diagnostic {
    let what = match others {
        0 => format!("`{first}` is"),
        others => format!("`{first}` and {others} more are"),
    };
    let (used, limit) = (over.used, over.limit);
    Diagnostic::error(
        "QuotaExceededError",
        format!(
            "{what} not added: the tenant has {used} of at most {limit} entities; remove what is not needed, or ask the \
             operator for a larger quota"
        ),
    )
    .about(first.to_string())
}

/// CPU time of the last minute: what was charged, drained evenly at the rate of the quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuWindow {
    /// What was left when it was last charged, in microseconds.
    pub used_us: u64,
    /// When that was.
    pub at: Timestamp,
}

impl CpuWindow {
    /// What is in it now, at a quota of so many microseconds a minute. A time that is far ahead is of a clock that was set back.
    #[must_use]
    pub fn used(&self, now: Timestamp, per_minute_us: u64) -> u64 {
        let elapsed = now.0.saturating_sub(self.at.0);
        let Ok(elapsed) = u64::try_from(elapsed) else {
            let ahead = elapsed.unsigned_abs() > MINUTE_MS;
            return if ahead { 0 } else { self.used_us };
        };
        let drained = u128::from(per_minute_us) * u128::from(elapsed) / u128::from(MINUTE_MS);
        let drained = u64::try_from(drained).unwrap_or(u64::MAX);
        self.used_us.saturating_sub(drained)
    }

    /// The same with so much more.
    #[must_use]
    pub fn charged(&self, now: Timestamp, us: u64, per_minute_us: u64) -> CpuWindow {
        CpuWindow {
            used_us: self.used(now, per_minute_us).saturating_add(us),
            at: now,
        }
    }

    /// When it has room again; `None` if it has now.
    #[must_use]
    pub fn room_at(&self, now: Timestamp, per_minute_us: u64) -> Option<Timestamp> {
        let beyond =
            (self.used(now, per_minute_us).saturating_add(1)).checked_sub(per_minute_us)?;
        if beyond == 0 {
            return None;
        }
        let wait = u128::from(beyond) * u128::from(MINUTE_MS) / u128::from(per_minute_us.max(1));
        let wait = i64::try_from(wait + 1).unwrap_or(i64::MAX);
        Some(Timestamp(now.0.saturating_add(wait)))
    }
}

/// What a tenant has of what its quotas are about, as far as storage knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TenantUsage {
    /// Entities.
    pub entities: u64,
    /// Processors.
    pub processors: u64,
    /// Bytes of its components.
    pub component_bytes: u64,
    /// Revisions of the processor that has the most.
    pub most_revisions: u64,
    /// Uploads that wait or are compiled.
    pub waiting_uploads: u64,
    /// CPU time of compiling in the last hour, in milliseconds.
    pub compile_ms: u64,
    /// CPU time of processing in the last minute, in microseconds.
    pub cpu_us: u64,
    /// Items it holds of all lanes.
    pub held: u64,
    /// Items that all tenants hold.
    pub held_by_all: u64,
}

/// Quotas of tenants, and what they have.
#[async_trait]
pub trait QuotaRepository {
    /// What the tenant may have.
    async fn quotas(&self, tenant: TenantId) -> Result<Quotas, StorageError>;
    /// What an operator has set for it.
    async fn quota_overrides(&self, tenant: TenantId) -> Result<QuotaOverrides, StorageError>;
    /// Replaces what is set for it. Work that waited for CPU time is looked at again. Where more entities have room now, the tenant is queued in lane
    /// *bulk*, and so is it where its calls have other limits.
    async fn put_quota_overrides(
        &self,
        tenant: TenantId,
        set: QuotaOverrides,
    ) -> Result<(), StorageError>;
    /// What it has.
    async fn usage(&self, tenant: TenantId) -> Result<TenantUsage, StorageError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q05_room_is_what_is_left_and_never_overflows() {
        let check =
            |used, limit, wanted| OverQuota::check(Counted::Entities, used, limit, wanted).is_ok();
        assert!(check(4, 5, 1) && !check(5, 5, 1) && !check(4, 5, 2));
        assert!(!check(0, 0, 1), "0 means none");
        assert!(!check(9, 5, 1) && check(9, 5, 0), "lowered below use");
        assert!(check(u64::MAX - 1, u64::MAX, 1) && !check(u64::MAX, u64::MAX, 1));
        assert!(check(1, u64::MAX, u64::MAX), "no bound is kept");
        let all = Quotas {
            thread_share: u64::MAX,
            cpu_seconds_per_minute: u64::MAX,
            compile_seconds_per_hour: u64::MAX,
            ..Quotas::default()
        };
        assert_eq!(
            (all.share_of(7), all.share_of(u64::MAX)),
            (7, u64::MAX / 100 + 1)
        );
        assert_eq!(all.cpu_us_per_minute(), u64::MAX);
        assert_eq!(all.compile_ms_per_hour(), u64::MAX);
    }

    #[test]
    fn a_share_of_threads_is_at_least_one_unless_there_is_none() {
        let share = |thread_share, cpu_seconds_per_minute, threads| {
            let quotas = Quotas {
                thread_share,
                cpu_seconds_per_minute,
                ..Quotas::default()
            };
            quotas.share_of(threads)
        };
        assert_eq!(share(50, 1, 4), 2);
        assert_eq!(share(50, 1, 3), 2);
        assert_eq!(share(1, 1, 4), 1);
        assert_eq!((share(0, 1, 4), share(100, 0, 4)), (0, 0));
    }

    #[test]
    fn cpu_time_drains_evenly_and_a_large_bill_is_waited_for() {
        let at = |seconds: i64| Timestamp(1_000_000 + seconds * 1_000);
        // 6 seconds a minute: a tenth of a second each second.
        let quota = 6_000_000;
        let window = CpuWindow::default().charged(at(0), 5_999_999, quota);
        assert_eq!(window.room_at(at(0), quota), None);
        let full = window.charged(at(0), 1, quota);
        assert_eq!(full.room_at(at(0), quota), Some(Timestamp(at(0).0 + 1)));
        assert_eq!(full.room_at(at(1), quota), None);
        assert_eq!(full.used(at(30), quota), 3_000_000);
        assert_eq!(full.used(at(61), quota), 0);
        let bill = full.charged(at(0), 6_000_000, quota);
        assert_eq!(bill.room_at(at(0), quota), Some(Timestamp(at(60).0 + 1)));
    }

    #[test]
    fn s09_a_clock_that_was_set_back_blocks_nobody_for_long() {
        let window = CpuWindow::default().charged(Timestamp(10_000_000), 9, 8);
        assert_eq!(window.used(Timestamp(9_990_000), 8), 9);
        assert_eq!(window.used(Timestamp(6_400_000), 8), 0);
    }

    #[test]
    fn q05_a_window_takes_the_largest_numbers() {
        let window = CpuWindow::default().charged(Timestamp(0), u64::MAX, u64::MAX);
        let more = window.charged(Timestamp(0), u64::MAX, 0);
        assert_eq!(more.used(Timestamp(i64::MAX), 0), u64::MAX);
        assert_eq!(more.room_at(Timestamp(0), 0), Some(Timestamp(i64::MAX)));
        assert!(more.room_at(Timestamp(1), u64::MAX).is_none());
    }

    #[test]
    fn what_is_set_replaces_figure_by_figure() {
        let set = r#"{"entities": 5, "callLimits": {"fuel": 7}}"#;
        let set: QuotaOverrides = serde_json::from_str(set).expect("it reads");
        let quotas = Quotas::default().with(&set);
        assert_eq!((quotas.entities, quotas.call_limits.fuel), (5, 7));
        assert_eq!(quotas.processors, Quotas::default().processors);
        assert!(set.check().is_ok());
        let wrong: QuotaOverrides =
            serde_json::from_str(r#"{"callLimits": {"fuel": 0}}"#).expect("it reads");
        assert!(wrong.check().is_err());
        assert_eq!(Quotas::default().with(&wrong), Quotas::default());
    }

    #[test]
    fn messages_say_what_is_used_what_is_allowed_and_what_to_do() {
        let over = OverQuota {
            what: Counted::Processors,
            used: 3,
            limit: 3,
            wanted: 1,
        };
        assert!(
            over.to_string()
                .starts_with("this tenant has 3 of at most 3 processors")
        );
        let first = EntityRef::parse("component:default/x").expect("a ref");
        let told = |others| no_room_for(&first, others, &over).message;
        assert!(
            told(0)
                .starts_with("`component:default/x` is not added: the tenant has 3 of at most 3")
        );
        assert!(told(2).starts_with("`component:default/x` and 2 more are not added"));
    }
}
