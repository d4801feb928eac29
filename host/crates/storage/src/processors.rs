//! Processors, their immutable revisions, and the blobs that hold component and artifact bytes.
use crate::{OverQuota, QuarantineMode, StorageError};
use async_trait::async_trait;
use bytes::Bytes;
use greenroom_model::{Digest, Matcher, ProcessorName, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a tenant sets on a processor; JSON where only carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProcessorSettings {
    /// Overrides the descriptor's priority.
    pub priority: Option<i32>,
    /// Configuration, JSON text of an object.
    pub config: Option<serde_json::Value>,
    /// Limits, a partial `CallLimits`.
    pub limits: Option<serde_json::Value>,
    /// Grants: `location`, `origin` or URL prefixes.
    pub grants: Option<Vec<String>>,
    /// Whether it is called at all.
    pub enabled: bool,
    /// Overrides the descriptor's subscription; an empty list matches every entity.
    pub subscription: Option<Vec<Matcher>>,
    /// What happens when a revision of it regresses.
    pub quarantine: QuarantineMode,
}

impl Default for ProcessorSettings {
    fn default() -> Self {
        Self {
            priority: None,
            config: None,
            limits: None,
            grants: None,
            enabled: true,
            subscription: None,
            quarantine: QuarantineMode::Automatic,
        }
    }
}

/// What a tenant sets on a processor that ships with the host. Its code and its limits are the operator's, so there is nothing
/// to set of revisions, quarantine or limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BundledSettings {
    /// Whether it is called at all. Setting anything else turns it on too.
    pub enabled: bool,
    /// Overrides the descriptor's priority.
    pub priority: Option<i32>,
    /// Configuration, an object.
    pub config: Option<serde_json::Value>,
    /// Grants: `location`, `origin` or URL prefixes.
    pub grants: Option<Vec<String>>,
    /// Overrides the descriptor's subscription; an empty list matches every entity.
    pub subscription: Option<Vec<Matcher>>,
}

impl Default for BundledSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            priority: None,
            config: None,
            grants: None,
            subscription: None,
        }
    }
}

/// A bundled processor on which a tenant has set something. One that is not among a tenant's is as it ships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetBundled {
    /// Its name.
    pub name: ProcessorName,
    /// What is set.
    pub settings: BundledSettings,
    /// Changes with every change of the settings; above 0, which is the version of one as it ships.
    pub settings_version: i64,
}

/// What is stored of a tenant's pipeline, all of one version.
#[derive(Debug, Clone)]
pub struct StoredPipeline {
    /// Rises with every change.
    pub version: i64,
    /// The tenant's own processors that are enabled and have a current revision, by name.
    pub processors: Vec<(Processor, Revision)>,
    /// What is set on bundled ones, by name.
    pub bundled: Vec<SetBundled>,
}

/// A processor.
#[derive(Debug, Clone)]
pub struct Processor {
    /// Its name in the URL; its identity.
    pub name: ProcessorName,
    /// Its settings.
    pub settings: ProcessorSettings,
    /// Changes with every change of the settings and is never met again in the tenant, not under the same name either.
    pub settings_version: i64,
    /// The number of the current revision.
    pub current: Option<u32>,
    /// Whether it is not called although it has a current revision: that one was returned to by a quarantine and
    /// regressed itself. What it matches keeps its last good state until a revision is activated.
    pub held: bool,
    /// When it was created.
    pub created_at: Timestamp,
}

/// How far a revision has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum RevisionState {
    /// A worker inspects and compiles it.
    Inspecting,
    /// It can be activated.
    Ready {
        /// What `describe` answered, JSON text.
        descriptor: String,
    },
    /// It cannot.
    Rejected {
        /// What to change.
        reason: String,
    },
    /// Its stored bytes are not what was uploaded (s03): it cannot be compiled again or activated until they are uploaded
    /// again.
    Damaged {
        /// What `describe` answered, JSON text.
        descriptor: String,
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl RevisionState {
    /// Whether its stored bytes are not what was uploaded.
    pub fn is_damaged(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

/// An immutable uploaded component.
#[derive(Debug, Clone)]
pub struct Revision {
    /// Counts from 1 within the processor.
    pub number: u32,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub bytes: u64,
    /// State.
    pub state: RevisionState,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When it last became current.
    pub activated_at: Option<Timestamp>,
}

/// What adding a revision gave.
#[derive(Debug, Clone)]
pub enum NewRevision {
    /// A new one, `inspecting`.
    Added(Revision),
    /// The same bytes are there already.
    Known(Revision),
    /// Its bytes have no room; nothing is added.
    OverQuota(OverQuota),
}

/// What creating a processor gave.
#[derive(Debug, Clone)]
pub enum CreatedProcessor {
    /// It is there now, or was before.
    There(Box<Processor>),
    /// The tenant has as many as it may have; none is created.
    OverQuota(OverQuota),
}

/// What replacing settings gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsPut {
    /// They are in place; their version.
    Put(i64),
    /// They had been changed meanwhile; the version they have.
    Changed(i64),
    /// There is no such processor.
    NoProcessor,
}

/// What deleting a revision gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionDeleted {
    /// It is gone; its bytes go with the next sweep, unless another revision has the same.
    Deleted,
    /// There is no such revision.
    NotFound,
    /// It is current.
    Current,
    /// It is what a roll-back or a quarantine would go to.
    RollBackTarget,
}

/// An upload that is being written, named by a fresh UUID. Nothing is seen of it before it is published; what is left
/// of one is swept after an hour.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadId(pub String);

/// What a blob holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobKind {
    /// A component as uploaded.
    Component,
    /// Compiled code for one engine; the text is the engine's compatibility key.
    Artifact(String),
}

/// A blob's identity within a tenant: its kind and the digest **of the component**.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What it is.
    pub kind: BlobKind,
    /// The component's digest.
    pub digest: Digest,
}

/// Processors of one tenant. `pipeline_version` rises with every change of a processor, a setting or an activation.
#[async_trait]
pub trait ProcessorRepository {
    /// Creates a processor, or answers the one of that name.
    async fn create_processor(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<CreatedProcessor, StorageError>;
    /// All, by name.
    async fn list_processors(&self, tenant: TenantId) -> Result<Vec<Processor>, StorageError>;
    /// One.
    async fn find_processor(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<Option<Processor>, StorageError>;
    /// Replaces the settings and queues the tenant in lane *bulk*; `false` if there is none. Disabling ends a canary, and
    /// enabling starts one for a current revision that has not passed, so that no canary ends by time without calls.
    async fn put_processor_settings(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        settings: ProcessorSettings,
    ) -> Result<bool, StorageError>;
    /// The same, if the settings still have the version `expected`; whatever they have, if none is expected. Settings
    /// that are what they were keep their version and queue nothing.
    async fn put_processor_settings_if(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        settings: ProcessorSettings,
        expected: Option<i64>,
    ) -> Result<SettingsPut, StorageError>;
    /// Deletes a processor with its revisions, their blobs where nothing else names them, and its faults, and queues the tenant in
    /// lane *bulk*; `false` if there is none.
    async fn delete_processor(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<bool, StorageError>;
    /// Adds a revision whose component blob is stored; `None` if there is no such processor.
    async fn add_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Option<NewRevision>, StorageError>;
    /// Publishes an upload as the component of a revision and adds the revision, in one transaction. Bytes the processor
    /// knows already are dropped, unless its revision of them is damaged: they heal it, and every other of the tenant. `None`,
    /// and the upload dropped, if there is no such processor; it is dropped too where its bytes have no room.
    async fn publish_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        upload: &UploadId,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Option<NewRevision>, StorageError>;
    /// Drops revisions beyond the newest `keep`, oldest first, but none that is current, that a roll-back or a quarantine
    /// would return to, or that is being inspected (a20). Answers their numbers; blobs that nothing else names go with them.
    async fn drop_old_revisions(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        keep: u64,
    ) -> Result<Vec<u32>, StorageError>;
    /// Marks the ready revisions of these bytes as damaged, or with `None` the damaged ones as ready again, because the
    /// bytes are stored anew. Answers how many.
    async fn mark_damaged(
        &self,
        tenant: TenantId,
        digest: &Digest,
        reason: Option<&str>,
    ) -> Result<u64, StorageError>;
    /// Newest first.
    async fn list_revisions(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<Vec<Revision>, StorageError>;
    /// One.
    async fn find_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
    ) -> Result<Option<Revision>, StorageError>;
    /// Moves a revision out of `inspecting`; `false` if it is not there or not inspecting.
    async fn finish_inspection(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
        state: RevisionState,
    ) -> Result<bool, StorageError>;
    /// Makes a ready revision current, which starts an [`Activation`](crate::Activation); `false` if it is not ready. The
    /// tenant is queued in lane *bulk* when its canary has ended, or at once for a revision that has passed.
    async fn activate_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
    ) -> Result<bool, StorageError>;
    /// The same with the processor's configuration replaced in the same transaction, for a revision whose schema asks for
    /// another one.
    async fn activate_revision_with_config(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
        config: serde_json::Value,
    ) -> Result<bool, StorageError>;
    /// Deletes a revision that is neither current nor what a roll-back would go to, and its blobs where nothing else names them.
    async fn delete_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
    ) -> Result<RevisionDeleted, StorageError>;
    /// What rolling back would make current: the newest ready revision older than the current one that was current before.
    async fn find_roll_back_target(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<Option<Revision>, StorageError>;
    /// Replaces what is set on a bundled processor and queues the tenant in lane *bulk*, if the settings still have the version
    /// `expected`; whatever they have, if none is expected. Settings that are what they were keep their version and queue
    /// nothing. Which names are those of bundled processors is for the caller to know; there is always one, so it is never
    /// [`SettingsPut::NoProcessor`].
    async fn put_bundled_settings(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        settings: BundledSettings,
        expected: Option<i64>,
    ) -> Result<SettingsPut, StorageError>;
    /// What is set on bundled processors, by name.
    async fn list_bundled_settings(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<SetBundled>, StorageError>;
    /// Enabled processors with a current revision, and what is set on bundled ones.
    async fn pipeline(&self, tenant: TenantId) -> Result<StoredPipeline, StorageError>;
    /// The version alone, for caches.
    async fn pipeline_version(&self, tenant: TenantId) -> Result<i64, StorageError>;
}

/// Bytes in chunks of at most 256 KiB, content-addressed within a tenant.
#[async_trait]
pub trait BlobRepository {
    /// Stores a blob, replacing one of the same identity. Chunks are written in short transactions and become visible
    /// together.
    async fn put_blob(
        &self,
        tenant: TenantId,
        blob: &Blob,
        bytes: Bytes,
    ) -> Result<(), StorageError>;
    /// Writes one piece of an upload, at most 256 KiB. Pieces are numbered from 0 without gaps and written in order.
    async fn stage_upload(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        number: u32,
        piece: Bytes,
    ) -> Result<(), StorageError>;
    /// Drops an upload; silent if there is none.
    async fn drop_upload(&self, tenant: TenantId, upload: &UploadId) -> Result<(), StorageError>;
    /// Reads a blob whole.
    async fn get_blob(&self, tenant: TenantId, blob: &Blob) -> Result<Option<Bytes>, StorageError>;
    /// Removes a blob; silent if there is none.
    async fn delete_blob(&self, tenant: TenantId, blob: &Blob) -> Result<(), StorageError>;
}
