//! Eager pruning: what a provider removes goes at once with what only it reaches (ref §5.5).
//!
//! The removed edges' descendants are listed once, parents before children; each goes if no provider reaches it at that
//! moment. So shared children stay, cycles go, and what is emitted again meanwhile stays. Between two transactions of a
//! long list the rest is covered by the orphan checks that each deletion queues.

use std::collections::VecDeque;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::StorageError;
use rusqlite::params;

use crate::SqliteStorage;
use crate::entities::{Gone, delete_row, stored_ref, uid_of};
use crate::orphans::is_reachable;
use crate::statement;
use crate::writer::WriteTx;

/// Rows looked at in one transaction (DESIGN §7).
const MAX_ROWS: usize = 500;

/// A pruning under way: the refs still to be looked at.
#[derive(Debug, Default)]
pub(crate) struct Pruning {
    left: VecDeque<EntityRef>,
}

impl Pruning {
    /// Lists the removed roots and their descendants. The roots' edges are removed already.
    pub(crate) fn add_root(
        &mut self,
        tx: &WriteTx<'_>,
        tenant: TenantId,
        root: &EntityRef,
    ) -> rusqlite::Result<()> {
        if is_reachable(tx, tenant, root)? {
            return Ok(());
        }
        let below = statement::all(
            tx,
            "WITH RECURSIVE down (entity_ref) AS (
                 VALUES (?2)
                 UNION
                 SELECT e.target_entity_ref FROM down
                 JOIN refresh_state_references e
                     ON e.tenant_id = ?1 AND e.source_key = '' AND e.source_entity_ref = down.entity_ref
             )
             SELECT entity_ref FROM down",
            params![tenant.0, root.as_str()],
            |row| stored_ref(row, 0, "refresh_state_references.target_entity_ref"),
        )?;
        self.left.extend(below);
        Ok(())
    }

    /// Whether nothing is left.
    pub(crate) fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// Looks at the next [`MAX_ROWS`], and logs what goes: the last thing its transaction does.
    pub(crate) fn step(&mut self, tx: &mut WriteTx<'_>, tenant: TenantId) -> rusqlite::Result<u64> {
        let mut gone = Gone::default();
        for _ in 0..MAX_ROWS {
            let Some(entity_ref) = self.left.pop_front() else {
                break;
            };
            if let Some(uid) = uid_of(tx, tenant, &entity_ref)?
                && !is_reachable(tx, tenant, &entity_ref)?
            {
                delete_row(tx, tenant, &uid, &entity_ref, &mut gone)?;
            }
        }
        gone.log(tx, tenant)?;
        Ok(gone.entities)
    }
}

/// Finishes a pruning in transactions of its own; answers how many went.
pub(crate) async fn prune_rest(
    storage: &SqliteStorage,
    tenant: TenantId,
    mut pruning: Pruning,
) -> Result<u64, StorageError> {
    let mut total = 0;
    while !pruning.is_done() {
        let (rest, gone) = storage
            .write("prune entities", move |tx| {
                let gone = pruning.step(tx, tenant)?;
                Ok((pruning, gone))
            })
            .await?;
        pruning = rest;
        total += gone;
    }
    Ok(total)
}
