//! Orphan checks: walking up from entities that lost an edge (DESIGN §2; design notes O1, O2).
//!
//! Nothing is counted: cycles never reach zero. A check asks whether any provider's edge is above an entity. What is
//! unreachable is marked and its children are checked in turn, so that they yield their location keys too; what is still
//! marked and unreachable when its grace is over goes, and its children inherit the elapsed grace. Every pass does a
//! bounded number of rows, and each step queues what it makes necessary, so a crash at any point loses nothing.

mod reach;
mod strategy;

use async_trait::async_trait;
use greenroom_model::{EntityRef, EntityUid, TenantId, Timestamp};
use greenroom_storage::{ORPHAN_GRACE_MS, OrphanQueue, OrphanReport, StorageError};
use rusqlite::params;

use crate::SqliteStorage;
use crate::children::{conflicts, edges};
use crate::damage::{optional_timestamp, tenant_id, uid};
use crate::entities::{Gone, delete_row, stored_ref};
use crate::statement;
use crate::stitching::enqueue_stitch;
use crate::writer::WriteTx;

pub(crate) use reach::is_reachable;

/// Checks of one transaction (DESIGN §7).
const MAX_CHECKS: u32 = 500;

#[async_trait]
impl OrphanQueue for SqliteStorage {
    async fn check_orphans(&self, limit: u32) -> Result<OrphanReport, StorageError> {
        const OPERATION: &str = "check orphans";
        let now = self.now();
        let any = self
            .read(OPERATION, move |conn| {
                statement::one(
                    conn,
                    "SELECT 1 FROM orphan_checks WHERE due_at <= ?1 LIMIT 1",
                    params![now.0],
                    |_| Ok(()),
                )
            })
            .await?;
        if any.is_none() {
            return Ok(OrphanReport::default());
        }
        self.write(OPERATION, move |tx| check(tx, limit.min(MAX_CHECKS)))
            .await
    }
}

/// Queues a check; an earlier one stays.
pub(crate) fn enqueue_check(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
    due_at: Timestamp,
) -> rusqlite::Result<()> {
    tx.run(
        "INSERT INTO orphan_checks (tenant_id, entity_ref, due_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (tenant_id, entity_ref) DO UPDATE SET due_at = excluded.due_at
         WHERE due_at > excluded.due_at",
        params![tenant.0, entity_ref.as_str(), due_at.0],
    )?;
    Ok(())
}

/// Something reaches an orphan again: it is served without the mark, and its children are looked at.
pub(crate) fn rescue(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> rusqlite::Result<()> {
    set_orphaned(tx, tenant, entity_ref, None)?;
    enqueue_stitch(tx, tenant, entity_ref)?;
    check_children(tx, tenant, entity_ref)
}

fn set_orphaned(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
    at: Option<Timestamp>,
) -> rusqlite::Result<()> {
    tx.run(
        "UPDATE refresh_state SET orphaned_at = ?3 WHERE tenant_id = ?1 AND entity_ref = ?2",
        params![tenant.0, entity_ref.as_str(), at.map(|at| at.0)],
    )?;
    Ok(())
}

fn check_children(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> rusqlite::Result<()> {
    let now = tx.now();
    for child in edges::targets(tx, tenant, edges::Source::Parent(entity_ref))? {
        enqueue_check(tx, tenant, &child, now)?;
    }
    Ok(())
}

/// The checks of one tenant (deletions are changes of its log), up to `limit`.
fn check(tx: &mut WriteTx<'_>, limit: u32) -> rusqlite::Result<OrphanReport> {
    let due = statement::all(
        tx,
        "SELECT tenant_id, entity_ref FROM orphan_checks WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2",
        params![tx.now_ms(), limit],
        |row| {
            Ok((
                tenant_id(row, 0, "orphan_checks.tenant_id")?,
                stored_ref(row, 1, "orphan_checks.entity_ref")?,
            ))
        },
    )?;
    let mut report = OrphanReport::default();
    let Some(&(tenant, _)) = due.first() else {
        return Ok(report);
    };
    let keep = strategy::keeps_orphans(tx, tenant)?;
    let mut gone = Gone::default();
    for (_, entity_ref) in due.iter().filter(|(of, _)| *of == tenant) {
        report.checked += 1;
        check_one(tx, tenant, entity_ref, keep, &mut report, &mut gone)?;
    }
    gone.log(tx, tenant)?;
    Ok(report)
}

fn check_one(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
    keep: bool,
    report: &mut OrphanReport,
    gone: &mut Gone,
) -> rusqlite::Result<()> {
    let Some((uid, orphaned_at)) = state(tx, tenant, entity_ref)? else {
        return done(tx, tenant, entity_ref);
    };
    if is_reachable(tx, tenant, entity_ref)? {
        if orphaned_at.is_some() {
            rescue(tx, tenant, entity_ref)?;
        }
        return done(tx, tenant, entity_ref);
    }
    let now = tx.now();
    let since = match orphaned_at {
        Some(since) => since,
        None => {
            report.orphaned += 1;
            mark(tx, tenant, entity_ref, now)?;
            now
        }
    };
    if keep {
        return done(tx, tenant, entity_ref);
    }
    if now.since_ms(since) < ORPHAN_GRACE_MS {
        tx.run(
            "UPDATE orphan_checks SET due_at = ?3 WHERE tenant_id = ?1 AND entity_ref = ?2",
            params![
                tenant.0,
                entity_ref.as_str(),
                since.plus_ms(ORPHAN_GRACE_MS).0
            ],
        )?;
        return Ok(());
    }
    report.deleted += 1;
    for child in delete_row(tx, tenant, &uid, entity_ref, gone)? {
        let marked = state(tx, tenant, &child)?.is_none_or(|(_, since)| since.is_some());
        if !marked && !is_reachable(tx, tenant, &child)? {
            mark(tx, tenant, &child, since)?;
        }
    }
    Ok(())
}

/// Begins an entity's grace: it is served as an orphan, yields its location key, and its children are checked.
fn mark(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
    since: Timestamp,
) -> rusqlite::Result<()> {
    set_orphaned(tx, tenant, entity_ref, Some(since))?;
    enqueue_stitch(tx, tenant, entity_ref)?;
    check_children(tx, tenant, entity_ref)?;
    conflicts::release(tx, tenant, entity_ref)
}

fn state(
    tx: &WriteTx<'_>,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> rusqlite::Result<Option<(EntityUid, Option<Timestamp>)>> {
    statement::one(
        tx,
        "SELECT entity_id, orphaned_at FROM refresh_state WHERE tenant_id = ?1 AND entity_ref = ?2",
        params![tenant.0, entity_ref.as_str()],
        |row| {
            Ok((
                uid(row, 0, "refresh_state.entity_id")?,
                optional_timestamp(row, 1, "refresh_state.orphaned_at")?,
            ))
        },
    )
}

fn done(tx: &mut WriteTx<'_>, tenant: TenantId, entity_ref: &EntityRef) -> rusqlite::Result<()> {
    tx.run(
        "DELETE FROM orphan_checks WHERE tenant_id = ?1 AND entity_ref = ?2",
        params![tenant.0, entity_ref.as_str()],
    )?;
    Ok(())
}
