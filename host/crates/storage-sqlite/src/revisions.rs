//! The immutable revisions of a processor: numbered from 1, one per digest.

use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_storage::{NewRevision, OverQuota, Revision, RevisionDeleted, RevisionState};
use rusqlite::{Connection, Row, params};

use crate::blobs::drop_unnamed;
use crate::damage::{
    digest, json, optional_timestamp, stored, timestamp, to_json, unsigned, value,
};
use crate::quotas;
use crate::statement;
use crate::writer::WriteTx;

pub(crate) fn add(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    digest: Digest,
    bytes: u64,
) -> rusqlite::Result<Option<NewRevision>> {
    if let Some(known) = find_by_digest(tx, tenant, name, digest)? {
        return Ok(Some(NewRevision::Known(known)));
    }
    let number = statement::one(
        tx,
        "UPDATE processors SET last_revision = last_revision + 1 WHERE tenant_id = ?1 AND name = ?2
         RETURNING last_revision",
        params![tenant.0, name.as_str()],
        |row| value(row, 0, "processors.last_revision"),
    )?;
    let Some(number) = number else {
        return Ok(None);
    };
    let revision = Revision {
        number,
        digest,
        bytes,
        state: RevisionState::Inspecting,
        created_at: tx.now(),
        activated_at: None,
    };
    tx.run(
        "INSERT INTO processor_revisions (tenant_id, processor, number, digest, bytes, state, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            tenant.0,
            name.as_str(),
            number,
            digest.as_bytes(),
            stored(bytes),
            to_json(&revision.state)?,
            revision.created_at.0,
        ],
    )?;
    Ok(Some(NewRevision::Added(revision)))
}

/// Why the bytes of a revision have no room, if they are new and have none.
pub(crate) fn refused(
    tx: &WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    digest: Digest,
    bytes: u64,
) -> rusqlite::Result<Option<OverQuota>> {
    if find_by_digest(tx, tenant, name, digest)?.is_some() || is_stored(tx, tenant, digest)? {
        return Ok(None);
    }
    quotas::refuses_component(tx, tenant, bytes)
}

/// Whether the tenant has these bytes already.
fn is_stored(conn: &Connection, tenant: TenantId, digest: Digest) -> rusqlite::Result<bool> {
    let found = statement::one(
        conn,
        "SELECT 1 FROM blobs WHERE tenant_id = ?1 AND digest = ?2 AND engine = ''",
        params![tenant.0, digest.as_bytes()],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Newest first.
pub(crate) fn list(
    conn: &Connection,
    tenant: TenantId,
    name: &ProcessorName,
) -> rusqlite::Result<Vec<Revision>> {
    statement::all(
        conn,
        "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
         WHERE tenant_id = ?1 AND processor = ?2 ORDER BY number DESC",
        params![tenant.0, name.as_str()],
        read_revision,
    )
}

pub(crate) fn find(
    conn: &Connection,
    tenant: TenantId,
    name: &ProcessorName,
    number: u32,
) -> rusqlite::Result<Option<Revision>> {
    statement::one(
        conn,
        "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
         WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
        params![tenant.0, name.as_str(), number],
        read_revision,
    )
}

/// Moves a revision out of `inspecting`, once.
pub(crate) fn finish_inspection(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    number: u32,
    state: &RevisionState,
) -> rusqlite::Result<bool> {
    let inspecting = find(tx, tenant, name, number)?
        .is_some_and(|revision| revision.state == RevisionState::Inspecting);
    if inspecting {
        tx.run(
            "UPDATE processor_revisions SET state = ?4 WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
            params![tenant.0, name.as_str(), number, to_json(state)?],
        )?;
    }
    Ok(inspecting)
}

/// See [`greenroom_storage::ProcessorRepository::drop_old_revisions`].
pub(crate) fn drop_old(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    keep: u64,
) -> rusqlite::Result<Vec<u32>> {
    let needed = Needed::of(tx, tenant, name)?;
    let mut revisions = list(tx, tenant, name)?;
    let mut beyond = (revisions.len() as u64).saturating_sub(keep);
    let mut dropped = Vec::new();
    while let Some(oldest) = revisions.pop()
        && beyond > 0
    {
        let number = oldest.number;
        let kept = needed.why(number).is_some() || oldest.state == RevisionState::Inspecting;
        if kept {
            continue;
        }
        tx.run(
            "DELETE FROM processor_revisions WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
            params![tenant.0, name.as_str(), number],
        )?;
        drop_unnamed(tx, tenant, &oldest.digest)?;
        dropped.push(number);
        beyond -= 1;
    }
    Ok(dropped)
}

/// See [`greenroom_storage::ProcessorRepository::mark_damaged`].
pub(crate) fn mark_damaged(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    digest: Digest,
    reason: Option<&str>,
) -> rusqlite::Result<u64> {
    let named = statement::all(
        tx,
        "SELECT processor, number, state FROM processor_revisions WHERE tenant_id = ?1 AND digest = ?2",
        params![tenant.0, digest.as_bytes()],
        |row| {
            Ok((
                value::<String>(row, 0, "processor_revisions.processor")?,
                value::<u32>(row, 1, "processor_revisions.number")?,
                json::<RevisionState>(row, 2, "processor_revisions.state")?,
            ))
        },
    )?;
    let mut marked = 0;
    for (processor, number, state) in named {
        let state = match (state, reason) {
            (RevisionState::Ready { descriptor }, Some(reason)) => RevisionState::Damaged {
                descriptor,
                reason: reason.to_owned(),
            },
            (RevisionState::Damaged { descriptor, .. }, None) => {
                RevisionState::Ready { descriptor }
            }
            _ => continue,
        };
        tx.run(
            "UPDATE processor_revisions SET state = ?4 WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
            params![tenant.0, processor, number, to_json(&state)?],
        )?;
        marked += 1;
    }
    Ok(marked)
}

/// Notes that a ready revision becomes current now; `false` if it is not there or not ready.
pub(crate) fn mark_activated(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    number: u32,
) -> rusqlite::Result<bool> {
    let ready = find(tx, tenant, name, number)?
        .is_some_and(|revision| matches!(revision.state, RevisionState::Ready { .. }));
    if ready {
        let now = tx.now_ms();
        tx.run(
            "UPDATE processor_revisions SET activated_at = ?4
             WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
            params![tenant.0, name.as_str(), number, now],
        )?;
    }
    Ok(ready)
}

/// What a roll-back would go to: the newest ready revision older than the current one that was current before.
pub(crate) fn roll_back_target(
    conn: &Connection,
    tenant: TenantId,
    name: &ProcessorName,
) -> rusqlite::Result<Option<Revision>> {
    let older = statement::all(
        conn,
        "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
         WHERE tenant_id = ?1 AND processor = ?2 AND activated_at IS NOT NULL
           AND number < (SELECT current_revision FROM processors WHERE tenant_id = ?1 AND name = ?2)
         ORDER BY number DESC",
        params![tenant.0, name.as_str()],
        read_revision,
    )?;
    Ok(older
        .into_iter()
        .find(|revision| matches!(revision.state, RevisionState::Ready { .. })))
}

/// What a quarantine would return to: the ready revision that passed its canary last, other than the current one.
pub(crate) fn last_passed(
    conn: &Connection,
    tenant: TenantId,
    name: &ProcessorName,
) -> rusqlite::Result<Option<u32>> {
    let passed = statement::all(
        conn,
        "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
         WHERE tenant_id = ?1 AND processor = ?2 AND passed_activation IS NOT NULL
           AND number IS NOT (SELECT current_revision FROM processors WHERE tenant_id = ?1 AND name = ?2)
         ORDER BY passed_activation DESC, number DESC",
        params![tenant.0, name.as_str()],
        read_revision,
    )?;
    let ready = passed
        .into_iter()
        .find(|revision| matches!(revision.state, RevisionState::Ready { .. }));
    Ok(ready.map(|revision| revision.number))
}

/// The revisions of a processor that neither a request nor a quota deletes.
struct Needed {
    current: Option<u32>,
    returned_to: [Option<u32>; 2],
}

impl Needed {
    fn of(conn: &Connection, tenant: TenantId, name: &ProcessorName) -> rusqlite::Result<Self> {
        let current: Option<Option<u32>> = statement::one(
            conn,
            "SELECT current_revision FROM processors WHERE tenant_id = ?1 AND name = ?2",
            params![tenant.0, name.as_str()],
            |row| value(row, 0, "processors.current_revision"),
        )?;
        let rolls_back_to = roll_back_target(conn, tenant, name)?;
        Ok(Self {
            current: current.flatten(),
            returned_to: [
                rolls_back_to.map(|revision| revision.number),
                last_passed(conn, tenant, name)?,
            ],
        })
    }

    /// Why a revision stays, if it does.
    fn why(&self, number: u32) -> Option<RevisionDeleted> {
        if self.current == Some(number) {
            Some(RevisionDeleted::Current)
        } else if self.returned_to.contains(&Some(number)) {
            Some(RevisionDeleted::RollBackTarget)
        } else {
            None
        }
    }
}

/// Deletes a revision that nothing needs, with its blobs unless they are another's too.
pub(crate) fn delete(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    number: u32,
) -> rusqlite::Result<RevisionDeleted> {
    if let Some(why) = Needed::of(tx, tenant, name)?.why(number) {
        return Ok(why);
    }
    let Some(revision) = find(tx, tenant, name, number)? else {
        return Ok(RevisionDeleted::NotFound);
    };
    tx.run(
        "DELETE FROM processor_revisions WHERE tenant_id = ?1 AND processor = ?2 AND number = ?3",
        params![tenant.0, name.as_str(), number],
    )?;
    drop_unnamed(tx, tenant, &revision.digest)?;
    Ok(RevisionDeleted::Deleted)
}

fn find_by_digest(
    conn: &Connection,
    tenant: TenantId,
    name: &ProcessorName,
    digest: Digest,
) -> rusqlite::Result<Option<Revision>> {
    statement::one(
        conn,
        "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
         WHERE tenant_id = ?1 AND processor = ?2 AND digest = ?3",
        params![tenant.0, name.as_str(), digest.as_bytes()],
        read_revision,
    )
}

fn read_revision(row: &Row<'_>) -> rusqlite::Result<Revision> {
    Ok(Revision {
        number: value(row, 0, "processor_revisions.number")?,
        digest: digest(row, 1, "processor_revisions.digest")?,
        bytes: unsigned(row, 2, "processor_revisions.bytes")?,
        state: json(row, 3, "processor_revisions.state")?,
        created_at: timestamp(row, 4, "processor_revisions.created_at")?,
        activated_at: optional_timestamp(row, 5, "processor_revisions.activated_at")?,
    })
}
