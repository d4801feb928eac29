//! Moving a tenant: its rows out of one database and into another, of whatever backend.
//!
//! What is moved is described once, table by table and column by column ([`MOVED_TABLES`]), because the backends name their tables
//! alike; each reads and writes rows by that description, and what came from a file is checked by it before a backend sees it.
//! So a row is the same on the way out and on the way in, whatever either side is, and a table that is added to a schema is
//! either here or among [`LEFT_TABLES`], which a test of each backend holds.
//!
//! A page is one short statement. Pages of a tenant that is written to meanwhile are of different moments: what hangs on an entity
//! that is not there is refused by the import, and what an edge misses is made again by the run of its parent.
//!
//! A tenant that is being imported has no name yet: nobody finds it, nothing of it is claimed or followed. The last step gives
//! it its name. Until then a second import of the same name can begin, and of two the first to end has it.

mod columns;
mod tables;

use async_trait::async_trait;
use greenroom_model::{Digest, TenantId};

pub use columns::{Column, ColumnKind, MovedRow, MovedTable, MovedValue, RowError};
pub use tables::{LEFT_TABLES, MOVED_TABLES, at_rest};

use crate::{NewTenant, StorageError, Tenant, UploadId};

/// Most rows of a page and of a batch.
pub const MOVED_ROWS: usize = 500;
/// Bytes with which a page or a batch ends.
pub const MOVED_BYTES: usize = 4 << 20;
/// How long an import may rest before it is given up, in milliseconds.
pub const IMPORT_REST_MS: i64 = 3_600_000;

/// What adding rows to an import gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// They are there.
    Added,
    /// Nothing was added: a row, or its entity's name or uid, is there already.
    Twice,
    /// Nothing was added: a row names an entity that is not there.
    NoEntity,
    /// The import rested too long, or was given up.
    Gone,
}

/// What ending an import gave.
#[derive(Debug, Clone)]
pub enum ImportEnd {
    /// The tenant is there.
    Finished(Tenant),
    /// There is a tenant of that name.
    NameTaken,
    /// A revision is without the bytes of its component; its processor and number.
    NoComponent(String, i64),
    /// The import rested too long, or was given up.
    Gone,
}

/// Reading a tenant out, and reading one in.
#[async_trait]
pub trait MoveRepository {
    /// The rows of a table after that one, in order of its key: at most [`MOVED_ROWS`], and ending with the one with which
    /// they reach [`MOVED_BYTES`]. Empty at the end.
    async fn export_rows(
        &self,
        tenant: TenantId,
        table: &'static MovedTable,
        after: Option<&MovedRow>,
    ) -> Result<Vec<MovedRow>, StorageError>;
    /// Begins an import, of which nobody but the caller knows.
    async fn begin_import(&self, tenant: &NewTenant) -> Result<TenantId, StorageError>;
    /// Adds rows that were checked, all or none. Tables come in the order of [`MOVED_TABLES`].
    async fn import_rows(
        &self,
        tenant: TenantId,
        table: &'static MovedTable,
        rows: Vec<MovedRow>,
    ) -> Result<Imported, StorageError>;
    /// Makes an upload (see [`BlobRepository::stage_upload`](crate::BlobRepository::stage_upload)) the bytes of a component.
    async fn import_component(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Imported, StorageError>;
    /// Gives the tenant its name and its log an epoch, lets canaries begin anew, and queues every entity in lane *bulk*: those
    /// without reads are found as they should be by their memos, the others are run once.
    async fn finish_import(
        &self,
        id: TenantId,
        tenant: NewTenant,
    ) -> Result<ImportEnd, StorageError>;
    /// Gives an import up, with everything in it.
    async fn drop_import(&self, tenant: TenantId) -> Result<(), StorageError>;
}
