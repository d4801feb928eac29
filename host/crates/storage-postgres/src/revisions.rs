//! The immutable revisions of a processor: numbered from 1, one per digest. What changes them holds the tenant's lock.

use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_storage::{
    Blob, BlobKind, NewRevision, OverQuota, Revision, RevisionDeleted, RevisionState, StorageError,
    UploadId,
};
use tokio_postgres::Row;

use crate::blobs;
use crate::damage::{
    digest as stored_digest, json, optional_timestamp, optional_unsigned32, stored, text,
    timestamp, to_json, unsigned, unsigned32,
};
use crate::quotas;
use crate::text::{Text, texts};
use crate::transaction::Transaction;

pub(crate) async fn add(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    digest: &Digest,
    bytes: u64,
) -> Result<Option<NewRevision>, StorageError> {
    if let Some(known) = find_by_digest(tx, tenant, name, digest).await? {
        return Ok(Some(NewRevision::Known(known)));
    }
    let number = tx
        .one(
            "UPDATE processors SET last_revision = last_revision + 1 WHERE tenant_id = $1 AND name = $2
             RETURNING last_revision",
            &[&tenant.0, &Text(name.as_str())],
            |row| unsigned32(row, 0, "processors.last_revision"),
        )
        .await?;
    let Some(number) = number else {
        return Ok(None);
    };
    let revision = Revision {
        number,
        digest: *digest,
        bytes,
        state: RevisionState::Inspecting,
        created_at: tx.now(),
        activated_at: None,
    };
    let state = to_json(tx.operation(), &revision.state)?;
    tx.run(
        "INSERT INTO processor_revisions (tenant_id, processor, number, digest, bytes, state, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            &tenant.0,
            &Text(name.as_str()),
            &i64::from(number),
            &digest.as_bytes().as_slice(),
            &stored(bytes),
            &Text(&state),
            &revision.created_at.0,
        ],
    )
    .await?;
    Ok(Some(NewRevision::Added(revision)))
}

/// See [`greenroom_storage::ProcessorRepository::publish_revision`].
pub(crate) async fn publish(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    upload: &UploadId,
    digest: &Digest,
    bytes: u64,
) -> Result<Option<NewRevision>, StorageError> {
    if let Some(over) = refused(tx, tenant, name, digest, bytes).await? {
        tx.leave_no_record();
        blobs::drop_upload(tx, tenant, upload).await?;
        return Ok(Some(NewRevision::OverQuota(over)));
    }
    let added = add(tx, tenant, name, digest, bytes).await?;
    match &added {
        Some(NewRevision::Added(new)) => {
            tx.complete_record(|record| record.note_revision(new));
        }
        _ => tx.leave_no_record(),
    }
    let stores = match &added {
        Some(NewRevision::Added(_)) => true,
        // What was stored of it is not known to be whole before it was inspected.
        Some(NewRevision::Known(known)) => {
            known.state == RevisionState::Inspecting || known.state.is_damaged()
        }
        Some(NewRevision::OverQuota(_)) | None => false,
    };
    if !stores {
        blobs::drop_upload(tx, tenant, upload).await?;
        return Ok(added);
    }
    let blob = Blob {
        kind: BlobKind::Component,
        digest: *digest,
    };
    blobs::publish(tx, tenant, &blob, &upload.0, (bytes, *digest)).await?;
    match added {
        Some(NewRevision::Known(known)) if known.state.is_damaged() => {
            mark_damaged(tx, tenant, digest, None).await?;
            let healed = find(tx, tenant, name, known.number).await?;
            Ok(healed.map(NewRevision::Known))
        }
        added => Ok(added),
    }
}

/// Why the bytes of a revision have no room, if they are new and have none.
async fn refused(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    digest: &Digest,
    bytes: u64,
) -> Result<Option<OverQuota>, StorageError> {
    if find_by_digest(tx, tenant, name, digest).await?.is_some()
        || is_stored(tx, tenant, digest).await?
    {
        return Ok(None);
    }
    quotas::refuses_component(tx, tenant, bytes).await
}

/// Whether the tenant has these bytes already.
async fn is_stored(
    tx: &Transaction,
    tenant: TenantId,
    digest: &Digest,
) -> Result<bool, StorageError> {
    let found = tx
        .rows(
            "SELECT 1 FROM blobs WHERE tenant_id = $1 AND digest = $2 AND engine = ''",
            &[&tenant.0, &digest.as_bytes().as_slice()],
        )
        .await?;
    Ok(!found.is_empty())
}

/// Newest first.
pub(crate) async fn list(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<Vec<Revision>, StorageError> {
    tx.all(
        "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
         WHERE tenant_id = $1 AND processor = $2 ORDER BY number DESC",
        &[&tenant.0, &Text(name.as_str())],
        read,
    )
    .await
}

async fn find(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    number: u32,
) -> Result<Option<Revision>, StorageError> {
    tx.one(
        "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
         WHERE tenant_id = $1 AND processor = $2 AND number = $3",
        &[&tenant.0, &Text(name.as_str()), &i64::from(number)],
        read,
    )
    .await
}

/// Moves a revision out of `inspecting`, once.
pub(crate) async fn finish_inspection(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    number: u32,
    state: &RevisionState,
) -> Result<bool, StorageError> {
    let found = find(tx, tenant, name, number).await?;
    if found.is_none_or(|revision| revision.state != RevisionState::Inspecting) {
        return Ok(false);
    }
    let state = to_json(tx.operation(), state)?;
    tx.run(
        "UPDATE processor_revisions SET state = $4 WHERE tenant_id = $1 AND processor = $2 AND number = $3",
        &[
            &tenant.0,
            &Text(name.as_str()),
            &i64::from(number),
            &Text(&state),
        ],
    )
    .await?;
    Ok(true)
}

/// See [`greenroom_storage::ProcessorRepository::drop_old_revisions`].
pub(crate) async fn drop_old(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    keep: u64,
) -> Result<Vec<u32>, StorageError> {
    let needed = Needed::of(tx, tenant, name).await?;
    let revisions = list(tx, tenant, name).await?;
    let beyond = revisions.len().saturating_sub(keep as usize);
    let dropped: Vec<&Revision> = revisions
        .iter()
        .rev()
        .filter(|revision| {
            needed.why(revision.number).is_none() && revision.state != RevisionState::Inspecting
        })
        .take(beyond)
        .collect();
    let numbers: Vec<i64> = dropped.iter().map(|one| i64::from(one.number)).collect();
    tx.run(
        "DELETE FROM processor_revisions
         WHERE tenant_id = $1 AND processor = $2 AND number = ANY ($3::bigint[])",
        &[&tenant.0, &Text(name.as_str()), &numbers],
    )
    .await?;
    let digests: Vec<&Digest> = dropped.iter().map(|one| &one.digest).collect();
    blobs::drop_unnamed(tx, tenant, &digests).await?;
    Ok(dropped.iter().map(|one| one.number).collect())
}

/// See [`greenroom_storage::ProcessorRepository::mark_damaged`].
pub(crate) async fn mark_damaged(
    tx: &Transaction,
    tenant: TenantId,
    digest: &Digest,
    reason: Option<&str>,
) -> Result<u64, StorageError> {
    let named = tx
        .all(
            "SELECT processor, number, state FROM processor_revisions WHERE tenant_id = $1 AND digest = $2",
            &[&tenant.0, &digest.as_bytes().as_slice()],
            |row| {
                Ok((
                    text(row, 0, "processor_revisions.processor")?,
                    i64::from(unsigned32(row, 1, "processor_revisions.number")?),
                    json::<RevisionState>(row, 2, "processor_revisions.state")?,
                ))
            },
        )
        .await?;
    let (mut processors, mut numbers, mut states) = (Vec::new(), Vec::new(), Vec::new());
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
        processors.push(processor);
        numbers.push(number);
        states.push(to_json(tx.operation(), &state)?);
    }
    tx.run(
        "UPDATE processor_revisions r SET state = n.state
         FROM unnest($2::text[], $3::bigint[], $4::text[]) AS n (processor, number, state)
         WHERE r.tenant_id = $1 AND r.processor = n.processor AND r.number = n.number",
        &[
            &tenant.0,
            &texts(processors.iter().map(String::as_str)),
            &numbers,
            &texts(states.iter().map(String::as_str)),
        ],
    )
    .await
}

/// Notes that a ready revision becomes current now; `false` if it is not there or not ready.
pub(crate) async fn mark_activated(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    number: u32,
) -> Result<bool, StorageError> {
    let found = find(tx, tenant, name, number).await?;
    if !found.is_some_and(|revision| matches!(revision.state, RevisionState::Ready { .. })) {
        return Ok(false);
    }
    tx.run(
        "UPDATE processor_revisions SET activated_at = $4
         WHERE tenant_id = $1 AND processor = $2 AND number = $3",
        &[
            &tenant.0,
            &Text(name.as_str()),
            &i64::from(number),
            &tx.now_ms(),
        ],
    )
    .await?;
    Ok(true)
}

/// What a roll-back would go to: the newest ready revision older than the current one that was current before.
pub(crate) async fn roll_back_target(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<Option<Revision>, StorageError> {
    let older = tx
        .all(
            "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
             WHERE tenant_id = $1 AND processor = $2 AND activated_at IS NOT NULL
               AND number < (SELECT current_revision FROM processors WHERE tenant_id = $1 AND name = $2)
             ORDER BY number DESC",
            &[&tenant.0, &Text(name.as_str())],
            read,
        )
        .await?;
    Ok(older
        .into_iter()
        .find(|revision| matches!(revision.state, RevisionState::Ready { .. })))
}

/// What a quarantine would return to: the ready revision that passed its canary last, other than the current one.
pub(crate) async fn last_passed(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<Option<u32>, StorageError> {
    let passed = tx
        .all(
            "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
             WHERE tenant_id = $1 AND processor = $2 AND passed_activation IS NOT NULL
               AND number IS DISTINCT FROM
                   (SELECT current_revision FROM processors WHERE tenant_id = $1 AND name = $2)
             ORDER BY passed_activation DESC, number DESC",
            &[&tenant.0, &Text(name.as_str())],
            read,
        )
        .await?;
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
    async fn of(
        tx: &Transaction,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<Self, StorageError> {
        let current = tx
            .one(
                "SELECT current_revision FROM processors WHERE tenant_id = $1 AND name = $2",
                &[&tenant.0, &Text(name.as_str())],
                |row| optional_unsigned32(row, 0, "processors.current_revision"),
            )
            .await?;
        let rolls_back_to = roll_back_target(tx, tenant, name).await?;
        Ok(Self {
            current: current.flatten(),
            returned_to: [
                rolls_back_to.map(|revision| revision.number),
                last_passed(tx, tenant, name).await?,
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
pub(crate) async fn delete(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    number: u32,
) -> Result<RevisionDeleted, StorageError> {
    if let Some(why) = Needed::of(tx, tenant, name).await?.why(number) {
        return Ok(why);
    }
    let Some(revision) = find(tx, tenant, name, number).await? else {
        return Ok(RevisionDeleted::NotFound);
    };
    tx.run(
        "DELETE FROM processor_revisions WHERE tenant_id = $1 AND processor = $2 AND number = $3",
        &[&tenant.0, &Text(name.as_str()), &i64::from(number)],
    )
    .await?;
    blobs::drop_unnamed(tx, tenant, &[&revision.digest]).await?;
    Ok(RevisionDeleted::Deleted)
}

async fn find_by_digest(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    digest: &Digest,
) -> Result<Option<Revision>, StorageError> {
    tx.one(
        "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
         WHERE tenant_id = $1 AND processor = $2 AND digest = $3",
        &[
            &tenant.0,
            &Text(name.as_str()),
            &digest.as_bytes().as_slice(),
        ],
        read,
    )
    .await
}

/// A revision whose columns come first.
pub(crate) fn read(row: &Row) -> Result<Revision, StorageError> {
    Ok(Revision {
        number: unsigned32(row, 0, "processor_revisions.number")?,
        digest: stored_digest(row, 1, "processor_revisions.digest")?,
        bytes: unsigned(row, 2, "processor_revisions.bytes")?,
        state: json(row, 3, "processor_revisions.state")?,
        created_at: timestamp(row, 4, "processor_revisions.created_at")?,
        activated_at: optional_timestamp(row, 5, "processor_revisions.activated_at")?,
    })
}
