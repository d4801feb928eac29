//! Faults of processors, kept to be read and replayed: the last 100 of a processor, 30 days.
use crate::StorageError;
use async_trait::async_trait;
use greenroom_model::{Digest, EntityRef, ProcessorName, Stage, TenantId, Timestamp};
use serde::Serialize;

/// Faults kept of one processor (DESIGN §3.2).
pub const FAULTS_KEPT: i64 = 100;
/// Bytes of requests kept of one processor. Usually all hundred fit: an entity and its documents are some 10 kB. A few
/// large ones push the older requests out, never the newest, and leave the rest of each fault (q08).
pub const FAULT_REQUEST_BYTES_KEPT: i64 = 64 << 20;

/// One fault.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultRecord {
    /// A fresh UUID.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// Whose fault.
    pub processor: ProcessorName,
    /// Under which revision.
    pub revision: Digest,
    /// In which stage.
    pub stage: Stage,
    /// On which entity.
    pub entity_ref: EntityRef,
    /// The fault's name (DESIGN §3.2), such as `out-of-fuel`.
    pub fault: String,
    /// What happened, and what to do.
    pub message: String,
    /// Fuel used.
    pub fuel: u64,
    /// Peak of linear memory, in bytes.
    pub peak_memory_bytes: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// Frames, innermost first, as JSON text.
    pub backtrace: String,
    /// The log's tail, as JSON text.
    pub log: String,
    /// The whole call as recorded (`greenroom-call/1`), JSON text, for replay. Not part of a list; none when newer
    /// faults needed its room.
    #[serde(skip)]
    pub request: Option<String>,
}

impl FaultRecord {
    /// Whether it may count as a regression: `rejected` and `denied` are a processor doing its work.
    #[must_use]
    pub fn may_be_regression(&self) -> bool {
        !matches!(self.fault.as_str(), "rejected" | "denied")
    }
}

/// Faults of one tenant's processors. They are written by `WorkQueue::record`.
#[async_trait]
pub trait FaultRepository {
    /// Newest first, without their requests.
    async fn list_faults(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
        limit: u32,
    ) -> Result<Vec<FaultRecord>, StorageError>;
    /// One, with its request.
    async fn find_fault(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
        id: &str,
    ) -> Result<Option<FaultRecord>, StorageError>;
}
