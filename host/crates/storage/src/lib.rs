//! Repository traits: what the API and the workers ask of a database, one trait per aggregate.
//!
//! This crate is not a backend and knows no driver and no SQL; `storage-sqlite` and `storage-postgres` implement it and
//! pass the same conformance suite (feature `conformance`). The rules that hold for every method:
//!
//! - `TenantId` comes first. The exceptions work across tenants and say so: [`WorkQueue`], [`Workers`], the directory
//!   of tenants and tokens, the scheduled tasks, and the followers of `tenant_seq`.
//! - A method is one transition and, unless it says otherwise, one transaction: follow-up work (claims, stitches, orphan
//!   checks, changes) is queued inside it, so nothing is ever committed without what must follow from it.
//! - Time is the storage's own. A backend is built with the clock it uses, so a test can turn it.
//! - A look-up of what is not there is `None`, never an error. [`StorageError`] is about the database, not the data.
//! - Ids come in as arguments; nothing here draws a random number but a claim's.
//! - Pages are keyset pages: `after` is the last key of the page before, `limit` is a bound the caller has checked.

mod activations;
mod audit;
mod chain;
mod changes;
#[cfg(feature = "conformance")]
pub mod conformance;
mod entities;
mod error;
mod faults;
mod figures;
mod healing;
mod left;
mod locations;
mod moving;
mod mutations;
mod orphans;
mod processing_state;
mod processors;
mod quotas;
mod reads;
mod runs;
mod schema;
mod stitching;
mod storage;
mod tasks;
mod tenants;
mod tokens;
mod work;

pub use activations::{
    ACTIVATIONS_KEPT, Activation, ActivationRepository, ActivationState, Alarm, CANARY_ENTITIES,
    CANARY_MS, CANARY_REGRESSIONS, CanaryCandidate, LATER_REGRESSIONS, QuarantineMode,
    REGRESSIONS_KEPT, Regression, UnpickedCanary, regressions_that_decide,
};
pub use audit::{AuditEntry, AuditLog, OwedAudit};
pub use chain::{MAX_CHAIN, chain_too_long};
pub use changes::{Change, ChangeKind, ChangeLog, LogPosition};
pub use entities::{AncestryItem, Deleted, EntityRepository, FinalEntity, RefreshScope};
pub use error::StorageError;
pub use faults::{FAULT_REQUEST_BYTES_KEPT, FAULTS_KEPT, FaultRecord, FaultRepository};
pub use figures::{LaneFigures, Retention, StorageFigures, TableFigures};
pub use healing::{AuditPage, AuditedEntity, Damage, HealingRepository, Reach};
pub use left::left_digest;
pub use locations::{AddedLocation, Location, LocationRepository, NewLocation, UpdatedLocation};
pub use moving::{
    Column, ColumnKind, IMPORT_REST_MS, ImportEnd, Imported, LEFT_TABLES, MOVED_BYTES, MOVED_ROWS,
    MOVED_TABLES, MoveRepository, MovedRow, MovedTable, MovedValue, RowError, at_rest,
};
pub use mutations::{
    MAX_NAMED_CONFLICTS, Mutation, MutationId, MutationKind, MutationLine, MutationOutcome,
    MutationRepository, ProvidedEntity, Refusal, last_of_each,
};
pub use orphans::{ORPHAN_GRACE_MS, OrphanQueue, OrphanReport};
pub use processing_state::{
    Conflict, ProcessingFilter, ProcessingRepository, ProcessingState, ProcessingStatus, RanUnder,
    UnprocessedEntity,
};
pub use processors::{
    Blob, BlobKind, BlobRepository, BundledSettings, CreatedProcessor, NewRevision, Processor,
    ProcessorRepository, ProcessorSettings, Revision, RevisionDeleted, RevisionState, SetBundled,
    SettingsPut, StoredPipeline, UploadId,
};
pub use quotas::{
    Counted, CpuWindow, NO_ROOM_RETRY_MS, OverQuota, QuotaOverrides, QuotaRepository, Quotas,
    TenantUsage, no_room_for,
};
pub use reads::{DueRead, ReadKey, ReadRepository, StoredOutcome, StoredRead};
pub use runs::{INSPECTION_ATTEMPTS, NewRun, Run, RunId, RunKind, RunQueue, RunState, share_runs};
pub use schema::SchemaPlan;
pub use stitching::{NEIGHBOURS_WAIT_MS, StitchInput, StitchQueue, Stitched, neighbours_wait_ms};
pub use storage::{Maintenance, Storage};
pub use tasks::{RunningTask, ScheduledTask, TaskAnswer, TaskRepository, TaskSettings};
pub use tenants::{NewTenant, Tenant, TenantRepository, TenantSettings};
pub use tokens::{NewToken, Scope, Token, TokenRepository};
pub use work::{
    CallsMade, Child, Claim, Claimed, Failure, Lane, ON_REQUEST_CREDIT, ON_REQUEST_HELD, Recorded,
    RunCalls, RunRecord, RunResult, Slots, Success, TracedRead, WORKER_LEASE_MS, WorkQueue,
    WorkerId, Workers,
};
