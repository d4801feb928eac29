//! Reads: what was read outside, for whom, and when it is looked at again. Reads are what is scheduled (DESIGN §2).
use crate::StorageError;
use async_trait::async_trait;
use bytes::Bytes;
use greenroom_model::{Digest, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// The identity of a read within a tenant. Never shared between credentials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReadKey {
    /// Names the credential used (an integration's host), or is empty.
    pub credential: String,
    /// `get <url>` or `list <pattern>`.
    pub want: String,
}

/// What a read gave. All of these are inputs; `unavailable` is never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredOutcome {
    /// A document; without its body where that is over 1 MiB or was dropped, then it is fetched again when needed.
    Document {
        /// The bytes.
        body: Option<Bytes>,
        /// Where it was found.
        final_url: String,
    },
    /// Matches of a listing, sorted.
    Listing(Vec<String>),
    /// Nothing there.
    NotFound,
    /// Not allowed.
    Refused(String),
}

/// A read as stored.
#[derive(Debug, Clone)]
pub struct StoredRead {
    /// What.
    pub key: ReadKey,
    /// The outcome.
    pub outcome: StoredOutcome,
    /// Digest of the outcome, contents included: equality is this, never an `ETag`.
    pub digest: Digest,
    /// For the next conditional request.
    pub etag: Option<String>,
    /// For the next conditional request.
    pub last_modified: Option<String>,
    /// When it is looked at again.
    pub next_due: Timestamp,
}

/// A read whose time has come.
#[derive(Debug, Clone)]
pub struct DueRead {
    /// Whose.
    pub tenant: TenantId,
    /// What is stored (a body is not loaded).
    pub read: StoredRead,
}

/// Reads; `claim_due_reads` works across tenants.
#[async_trait]
pub trait ReadRepository {
    /// Stored reads, in order; `None` where there is none.
    async fn find_reads(
        &self,
        tenant: TenantId,
        keys: &[ReadKey],
    ) -> Result<Vec<Option<StoredRead>>, StorageError>;
    /// Stores a read. If its digest differs from the stored one's, all its users are queued in lane *changed*. One that is due
    /// stays due: whoever asked for it meanwhile wants what is there now, and this may be older.
    async fn put_read(&self, tenant: TenantId, read: StoredRead) -> Result<(), StorageError>;
    /// Takes up to `limit` reads that are due and used by someone, putting their next time 60 s ahead meanwhile; reads that
    /// nobody uses are dropped instead.
    async fn claim_due_reads(&self, limit: u32) -> Result<Vec<DueRead>, StorageError>;
    /// The source could not answer or nothing changed: looked at again then, or at once if it is due, as in
    /// [`put_read`](Self::put_read).
    async fn reschedule_read(
        &self,
        tenant: TenantId,
        key: &ReadKey,
        next_due: Timestamp,
    ) -> Result<(), StorageError>;
}
