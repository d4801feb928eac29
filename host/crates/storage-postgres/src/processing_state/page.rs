//! Which states are on a page: one statement for each index, because a filter that may be absent would use none.

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{ProcessingFilter, ProcessingStatus, StorageError};
use tokio_postgres::Row;

use crate::entities::stored_ref;
use crate::text::Text;
use crate::transaction::Transaction;

/// How a status is stored; waiting is not one, it stands beside the status of the last run.
fn status_number(status: ProcessingStatus) -> Option<i64> {
    match status {
        ProcessingStatus::Pending => Some(0),
        ProcessingStatus::Ok => Some(1),
        ProcessingStatus::Partial => Some(2),
        ProcessingStatus::Failed => Some(3),
        ProcessingStatus::Waiting => None,
    }
}

/// The refs of a page, in order.
pub(super) async fn refs(
    tx: &Transaction,
    tenant: TenantId,
    filter: ProcessingFilter,
    after: &str,
    limit: u32,
) -> Result<Vec<EntityRef>, StorageError> {
    let (after, limit) = (Text(after), i64::from(limit));
    let number = filter.status.and_then(status_number);
    let waiting = filter.status == Some(ProcessingStatus::Waiting);
    let read = |row: &Row| stored_ref(row, 0, "refresh_state.entity_ref");
    match (filter.dead_letters, filter.status) {
        (true, _) => {
            tx.all(
                "SELECT entity_ref FROM refresh_state
                 WHERE tenant_id = $1 AND entity_ref > $2 AND dead_letter
                     AND ($4::bigint IS NULL OR (status = $4 AND waiting IS NULL))
                     AND (NOT $5::boolean OR waiting IS NOT NULL)
                 ORDER BY entity_ref LIMIT $3",
                &[&tenant.0, &after, &limit, &number, &waiting],
                read,
            )
            .await
        }
        (false, None) => {
            tx.all(
                "SELECT entity_ref FROM refresh_state WHERE tenant_id = $1 AND entity_ref > $2
                 ORDER BY entity_ref LIMIT $3",
                &[&tenant.0, &after, &limit],
                read,
            )
            .await
        }
        (false, Some(ProcessingStatus::Waiting)) => {
            tx.all(
                "SELECT entity_ref FROM refresh_state
                 WHERE tenant_id = $1 AND entity_ref > $2 AND waiting IS NOT NULL
                 ORDER BY entity_ref LIMIT $3",
                &[&tenant.0, &after, &limit],
                read,
            )
            .await
        }
        (false, Some(_)) => {
            tx.all(
                "SELECT entity_ref FROM refresh_state
                 WHERE tenant_id = $1 AND entity_ref > $2 AND status = $4 AND waiting IS NULL
                 ORDER BY entity_ref LIMIT $3",
                &[&tenant.0, &after, &limit, &number],
                read,
            )
            .await
        }
    }
}
