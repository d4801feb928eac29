//! The lock of a tenant's graph: entities, edges, relations, conflicts, finals and the log have one writer at a time.
//!
//! Backstage lets writers meet and repairs later; we cannot. Two transactions that each remove one of two edges of an
//! entity both see the other's and leave an orphan for ever (design note O1), and sets that are written by difference
//! must not change between reading and writing. A transaction of a tenant that writes any of these takes this lock
//! first, reads what it needs in bulk, decides in memory, and writes in bulk. Batches keep it short; tenants never wait
//! for each other; a claim does not take it.

use greenroom_model::TenantId;
use greenroom_storage::StorageError;

use crate::transaction::Transaction;

/// Distinguishes this lock from other advisory locks of the database ("grph").
const CLASS: i32 = 0x6772_7068;

/// Waits for the tenant's graph and holds it until the transaction ends. Tenants whose ids agree in their lower 32 bits
/// share a lock, which costs time and nothing else.
pub(crate) async fn lock(tx: &Transaction, tenant: TenantId) -> Result<(), StorageError> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a lock may be shared, see above"
    )]
    let key = tenant.0 as i32;
    tx.rows("SELECT pg_advisory_xact_lock($1, $2)", &[&CLASS, &key])
        .await?;
    Ok(())
}
