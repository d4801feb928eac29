//! All repositories of one database, as the composition roots hand them around.
use crate::*;
use async_trait::async_trait;
use greenroom_model::Timestamp;

/// A database: every repository on one handle, cheap to clone as `Arc<dyn Storage>`.
pub trait Storage:
    ActivationRepository
    + AuditLog
    + BlobRepository
    + ChangeLog
    + EntityRepository
    + FaultRepository
    + HealingRepository
    + LocationRepository
    + Maintenance
    + MoveRepository
    + MutationRepository
    + OrphanQueue
    + ProcessingRepository
    + ProcessorRepository
    + QuotaRepository
    + ReadRepository
    + RunQueue
    + StitchQueue
    + TaskRepository
    + TenantRepository
    + TokenRepository
    + WorkQueue
    + Workers
    + Send
    + Sync
{
}

impl<T> Storage for T where
    T: ActivationRepository
        + AuditLog
        + BlobRepository
        + ChangeLog
        + EntityRepository
        + FaultRepository
        + HealingRepository
        + LocationRepository
        + Maintenance
        + MoveRepository
        + MutationRepository
        + OrphanQueue
        + ProcessingRepository
        + ProcessorRepository
        + QuotaRepository
        + ReadRepository
        + RunQueue
        + StitchQueue
        + TaskRepository
        + TenantRepository
        + TokenRepository
        + WorkQueue
        + Workers
        + Send
        + Sync
{
}

/// What keeps a database healthy and what its followers watch.
#[async_trait]
pub trait Maintenance {
    /// The storage's time as this process knows it, without asking: what due times are counted from, so that the clock of no
    /// machine but the storage's decides when something is done (s09).
    fn time(&self) -> Timestamp;
    /// Answers if the database answers; for readiness.
    async fn ping(&self) -> Result<(), StorageError>;
    /// A number that changes when any process has committed, and hardly ever else. Costs microseconds; followers poll it
    /// every 100 ms as the fallback of their wake-ups.
    async fn data_version(&self) -> Result<u64, StorageError>;
    /// Removes what is past its retention (DESIGN §7) in short transactions; answers the number of rows removed.
    async fn sweep(&self) -> Result<u64, StorageError>;
    /// What there is over all tenants, for metrics. It may count whole tables: asked now and then, and never waited for by
    /// anybody with work to do.
    async fn figures(&self) -> Result<StorageFigures, StorageError>;
    /// How many operations of this handle have failed, or found the database busy, since it was opened.
    fn failures(&self) -> u64;
}
