//! What `…/processing` shows: every entity's state, also before its first success.
use crate::{Lane, StorageError};
use async_trait::async_trait;
use greenroom_model::{
    Diagnostic, Digest, EntityRef, EntityUid, ProcessorName, TenantId, Timestamp,
};
use serde::Serialize;

/// Where an entity is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessingStatus {
    /// Queued, never finished a run.
    Pending,
    /// The last run was good.
    Ok,
    /// The last run was good in part: some targets or children failed.
    Partial,
    /// The last run was rejected; the last good state, if any, is served.
    Failed,
    /// Waits for a read that is unavailable.
    Waiting,
}

/// Under which revision of a processor an entity ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RanUnder {
    /// The processor.
    pub processor: ProcessorName,
    /// The number of the revision; none once it is deleted.
    pub revision: Option<u32>,
    /// Its digest.
    pub digest: Digest,
}

/// One entity's state.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingState {
    /// The ref.
    pub entity_ref: EntityRef,
    /// The uid.
    pub uid: EntityUid,
    /// The state.
    pub status: ProcessingStatus,
    /// Whether it is a dead letter.
    pub dead_letter: bool,
    /// Whether the catalog serves it.
    pub served: bool,
    /// Diagnostics of the last run, with stage and processor.
    pub diagnostics: Vec<Diagnostic>,
    /// The tenant's own processors that its last run matched, with their revisions.
    pub revisions: Vec<RanUnder>,
    /// Runs in a row that did not end well.
    pub attempts: u32,
    /// The lane it is queued in, if it is.
    pub lane: Option<Lane>,
    /// When it is due, if it is queued.
    pub next_due: Option<Timestamp>,
    /// When its last run ended.
    pub last_run: Option<Timestamp>,
    /// Who owns it.
    pub location_key: Option<String>,
    /// Since when nothing reaches it.
    pub orphaned_at: Option<Timestamp>,
    /// Refs and source keys with an edge to it.
    pub parents: Vec<String>,
    /// Whether what is served is yet to be stitched: with its own last run, or with what others made of it.
    pub stitching: bool,
}

/// An emission that lost to another owner of the ref.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The contested ref.
    pub entity_ref: EntityRef,
    /// The parent ref or source key that lost.
    pub loser: String,
    /// Its location key.
    pub location_key: Option<String>,
    /// The owner's location key.
    pub owner_location_key: Option<String>,
    /// When it last lost.
    pub at: Timestamp,
}

/// An entity as it goes into its next run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnprocessedEntity {
    /// The uid.
    pub uid: EntityUid,
    /// The ref.
    pub entity_ref: EntityRef,
    /// The unprocessed entity, JSON text.
    pub unprocessed: String,
}

/// Which states to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessingFilter {
    /// Only this status.
    pub status: Option<ProcessingStatus>,
    /// Only dead letters.
    pub dead_letters: bool,
}

/// Processing states of one tenant.
#[async_trait]
pub trait ProcessingRepository {
    /// States by ref after `after`.
    async fn list_processing(
        &self,
        tenant: TenantId,
        filter: ProcessingFilter,
        after: Option<&EntityRef>,
        limit: u32,
    ) -> Result<Vec<ProcessingState>, StorageError>;
    /// One state.
    async fn find_processing(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<ProcessingState>, StorageError>;
    /// One entity as it goes into its next run.
    async fn find_unprocessed(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<UnprocessedEntity>, StorageError>;
    /// Entities that something still emits, as they go into their next run, by uid after `after`.
    async fn scan_unprocessed(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<Vec<UnprocessedEntity>, StorageError>;
    /// Conflicts by ref, the first `limit`.
    async fn list_conflicts(
        &self,
        tenant: TenantId,
        limit: u32,
    ) -> Result<Vec<Conflict>, StorageError>;
}
