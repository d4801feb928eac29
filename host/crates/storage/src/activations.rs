//! Activations of revisions: canary, regressions, quarantine (DESIGN §3.3).
//!
//! An activation is a row. Its revision is current for every new run at once; the requeue of the rest waits for a
//! *canary* of a few entities that had a good result. A **regression** is a fault other than `rejected` and `denied` on
//! bytes that had a good result before, so nobody but the author of the revision can cause one. What is counted is counted
//! by [`WorkQueue::record`](crate::WorkQueue::record) in the transaction of the run, so it is exact whatever dies. A
//! quarantine is decided there too, and is one transaction with the return to the last revision that passed.
use crate::StorageError;
use async_trait::async_trait;
use greenroom_model::{Digest, EntityRef, EntityUid, ProcessorName, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Entities of a canary (DESIGN §3.3).
pub const CANARY_ENTITIES: u32 = 50;
/// How long a canary lasts at most, and the window of what is counted after it: 10 minutes, in milliseconds.
pub const CANARY_MS: i64 = 600_000;
/// Regressions that end a canary of at least twice as many entities; half of a smaller one do.
pub const CANARY_REGRESSIONS: u32 = 10;
/// Regressed entities within [`CANARY_MS`] that quarantine a revision outside its canary, where half of its calls faulted.
pub const LATER_REGRESSIONS: u32 = 20;
/// Activations of a processor that are kept; the oldest go first.
pub const ACTIVATIONS_KEPT: u32 = 100;
/// Regressions of an activation that are kept; the newest stay.
pub const REGRESSIONS_KEPT: u32 = 1_000;

/// What happens when a revision regresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuarantineMode {
    /// It is quarantined: the last revision that passed becomes current, once.
    #[default]
    Automatic,
    /// The alarm is shown and audited; people decide.
    Manual,
}

/// Regressions that decide a canary of that size.
#[must_use]
pub const fn regressions_that_decide(matching: u32) -> u32 {
    if matching < 2 * CANARY_REGRESSIONS {
        matching.div_ceil(2)
    } else {
        CANARY_REGRESSIONS
    }
}

/// How far an activation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivationState {
    /// A few entities are tried; the requeue of the rest waits.
    Canary,
    /// The canary ended well, or the revision had passed before.
    Passed,
    /// It regressed, and the processor's quarantine is manual: it goes on, and is not remembered as passed.
    Alarmed,
    /// It regressed and is not called any more.
    Quarantined,
    /// Another activation came before its canary had ended.
    Superseded,
}

/// An entity whose bytes had a good result, and then a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Regression {
    /// Which.
    pub entity_ref: EntityRef,
    /// The fault's name.
    pub fault: String,
    /// What happened.
    pub message: String,
    /// When it last did.
    pub at: Timestamp,
}

/// Why an activation regressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// When.
    pub at: Timestamp,
    /// In figures.
    pub reason: String,
}

/// One activation.
#[derive(Debug, Clone)]
pub struct Activation {
    /// Counts from 1 within the processor.
    pub number: u32,
    /// The revision's number.
    pub revision: u32,
    /// The revision's digest.
    pub digest: Digest,
    /// How far it is.
    pub state: ActivationState,
    /// Whether a quarantine made it, and nobody else.
    pub automatic: bool,
    /// When it became current.
    pub started_at: Timestamp,
    /// When its canary ends at the latest, or ended; `None` if it had none.
    pub ends_at: Option<Timestamp>,
    /// Entities of its canary.
    pub matching: u32,
    /// Those of them that ran under it.
    pub processed: u32,
    /// Its newest regressions, at most 100.
    pub regressions: Vec<Regression>,
    /// Why it was quarantined or, where that is manual, would have been.
    pub alarm: Option<Alarm>,
    /// The revision that its quarantine returned to.
    pub returned_to: Option<u32>,
}

/// A canary that waits for its entities to be picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpickedCanary {
    /// Whose.
    pub tenant: TenantId,
    /// Of which processor.
    pub processor: ProcessorName,
    /// The activation's number.
    pub activation: u32,
    /// The digest of its revision.
    pub digest: Digest,
}

/// An entity that may be in a canary: one that had a good result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryCandidate {
    /// Which.
    pub uid: EntityUid,
    /// Its unprocessed body.
    pub unprocessed: String,
    /// The digest of the unprocessed body that had the good result.
    pub good: Digest,
}

/// Activations of processors; [`unpicked_canaries`](Self::unpicked_canaries) and [`end_canaries`](Self::end_canaries)
/// work across tenants. They are made by [`ProcessorRepository::activate_revision`](crate::ProcessorRepository).
#[async_trait]
pub trait ActivationRepository {
    /// Newest first.
    async fn list_activations(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
        limit: u32,
    ) -> Result<Vec<Activation>, StorageError>;
    /// The one that tells how the processor is: the newest, unless a quarantine made that and it is well; then the
    /// quarantined one, which names what was returned to.
    async fn find_activation(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
    ) -> Result<Option<Activation>, StorageError>;
    /// Canaries of enabled processors whose entities are yet to be picked.
    async fn unpicked_canaries(&self) -> Result<Vec<UnpickedCanary>, StorageError>;
    /// Entities that had a good result, by uid after `after`; uids are random, so any first part is a sample.
    async fn canary_candidates(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<Vec<CanaryCandidate>, StorageError>;
    /// Starts a canary with these entities: clears their memos, so that the revision is called whatever is remembered, and
    /// queues them in lane *changed*, so that a backlog in *bulk* does not hold the verdict up. Its time begins now.
    /// Without entities it has passed. `false` if it was started or superseded meanwhile.
    async fn start_canary(
        &self,
        canary: &UnpickedCanary,
        entities: &[EntityUid],
    ) -> Result<bool, StorageError>;
    /// Ends the canaries whose time has come, or of which nothing is left to run; answers how many.
    async fn end_canaries(&self) -> Result<u64, StorageError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_regressions_decide_or_half_of_a_small_canary() {
        let decided = [1, 2, 3, 19, 20, 50].map(regressions_that_decide);
        assert_eq!(decided, [1, 1, 2, 10, 10, 10]);
    }
}
