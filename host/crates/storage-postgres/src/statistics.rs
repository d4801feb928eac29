//! What the planner knows of tables that grow faster than the server looks after them.
//!
//! Autovacuum looks once a minute. In the first minute of a catalog, and of a tenant that brings most of what there is, the planner
//! knows nothing or what was, and takes a tenant for a two-hundredth of each table: it reads all rows of the tenant where a
//! hundred should be looked up by key (12 ms for 1, with 20 000 entities). So a process that has written much has those tables analyzed
//! that have doubled since they were: when it has recorded runs or placed entities, each time it has written four times as
//! much, five times in its life. After that autovacuum keeps up.
//!
//! A server that does not let us does as it did before.

use std::sync::atomic::{AtomicU64, Ordering};

use deadpool_postgres::Object;
use tracing::debug;

use crate::postgres_storage::PostgresStorage;

const OPERATION: &str = "analyze tables";
/// Rows written by a process before it looks for the first time (those that a statement answers are not counted),
const FIRST: u64 = 1_000;
/// and after which it looks no more.
const LAST: u64 = 1_000_000;
/// Each look waits for so many times as many rows as the last one.
const FACTOR: u64 = 4;

/// How much a process has written.
#[derive(Debug)]
pub(crate) struct Growth {
    rows: AtomicU64,
    next: AtomicU64,
}

impl Default for Growth {
    fn default() -> Self {
        Self {
            rows: AtomicU64::new(0),
            next: AtomicU64::new(FIRST),
        }
    }
}

impl Growth {
    /// So many rows were written.
    pub(crate) fn wrote(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Whether it is time to look; `true` for one caller each time.
    fn is_time(&self) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        next <= LAST
            && self.rows.load(Ordering::Relaxed) >= next
            && self
                .next
                .compare_exchange(next, next * FACTOR, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// Has tables analyzed that have grown, if it is time; for callers that hold nothing. What fails is left to autovacuum.
pub(crate) async fn look_after(storage: &PostgresStorage) {
    if !storage.growth().is_time() {
        return;
    }
    if let Err(error) = analyze_grown(storage).await {
        debug!(%error, "tables that have grown are not analyzed");
    }
}

async fn analyze_grown(
    storage: &PostgresStorage,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Not of the pool any more: where the caller goes away, nobody else waits for what it still does.
    let client = Object::take(storage.client(OPERATION).await?);
    let grown = client
        .query_one(
            "SELECT string_agg(quote_ident(c.relname), ', ' ORDER BY c.relpages) FROM pg_class c
             JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
             WHERE n.nspname = current_schema() AND r.rolname = current_user AND c.relkind = 'r'
                 AND pg_relation_size(c.oid) > 2 * c.relpages::bigint * current_setting('block_size')::bigint",
            &[],
        )
        .await?;
    if let Some(tables) = grown.get::<_, Option<String>>(0) {
        client
            .batch_execute(&format!("ANALYZE (SKIP_LOCKED) {tables}"))
            .await?;
        debug!(tables, "analyzed tables that have grown");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_grow_rarer_and_end() {
        let growth = Growth::default();
        assert!(!growth.is_time());
        let mut looks = 0;
        for _ in 0..10_000 {
            growth.wrote(1_000);
            looks += u32::from(growth.is_time());
            assert!(!growth.is_time(), "one look each time");
        }
        assert_eq!(looks, 5, "1 000, 4 000, 16 000, 64 000 and 256 000 rows");
    }
}
