//! Under construction (queue side).

use greenroom_model::TenantId;
use greenroom_storage::{Lane, ReadKey};

use crate::writer::WriteTx;

/// Queues every entity of a tenant; answers how many.
pub(crate) fn enqueue_tenant(
    _tx: &mut WriteTx<'_>,
    _tenant: TenantId,
    _lane: Lane,
) -> rusqlite::Result<u64> {
    Ok(0)
}

/// Queues the users of a read (through `read_uses`) in lane *changed*; answers how many.
pub(crate) fn enqueue_users_of_read(
    _tx: &mut WriteTx<'_>,
    _tenant: TenantId,
    _key: &ReadKey,
) -> rusqlite::Result<u64> {
    Ok(0)
}
