//! What `…/processing` shows. Read only; each filter has an index of its own.
//!
//! A page is chosen by an index alone, then completed: as many statements for one state as for a thousand, in one snapshot.

mod page;

use std::collections::HashMap;

use async_trait::async_trait;
use greenroom_model::{Diagnostic, Digest, EntityRef, EntityUid, Level, ProcessorName, TenantId};
use greenroom_storage::{
    Conflict, ProcessingFilter, ProcessingRepository, ProcessingState, ProcessingStatus, RanUnder,
    StorageError, UnprocessedEntity,
};
use tokio_postgres::Row;

use crate::PostgresStorage;
use crate::damage::{
    damaged, json, optional_text, optional_timestamp, text, timestamp, uid, unsigned, value,
};
use crate::entities::{ref_texts, stored_ref};
use crate::text::{StoredText, Text, texts};
use crate::transaction::Transaction;
use crate::work::read_lane;

fn read_state(row: &Row) -> Result<ProcessingState, StorageError> {
    let waiting = optional_text(row, 5, "refresh_state.waiting")?;
    let status = match (&waiting, value::<i64>(row, 2, "refresh_state.status")?) {
        (Some(_), _) => ProcessingStatus::Waiting,
        (None, 0) => ProcessingStatus::Pending,
        (None, 1) => ProcessingStatus::Ok,
        (None, 2) => ProcessingStatus::Partial,
        (None, 3) => ProcessingStatus::Failed,
        (None, other) => return Err(damaged("refresh_state.status", format!("{other}"))),
    };
    let mut diagnostics: Vec<Diagnostic> = json(row, 8, "refresh_state.diagnostics")?;
    diagnostics.extend(waiting.map(waits_for));
    let attempts = unsigned(row, 4, "refresh_state.attempts")?;
    let queued = value::<Option<i64>>(row, 12, "work.lane")?.is_some();
    let parents: Vec<StoredText> = value(row, 15, "refresh_state_references.source_key")?;
    Ok(ProcessingState {
        entity_ref: stored_ref(row, 0, "refresh_state.entity_ref")?,
        uid: uid(row, 1, "refresh_state.entity_id")?,
        status,
        dead_letter: value(row, 3, "refresh_state.dead_letter")?,
        served: value(row, 10, "final_entities.entity_id")?,
        diagnostics,
        revisions: json::<Vec<(ProcessorName, Digest)>>(row, 11, "refresh_state.revisions")?
            .into_iter()
            .map(|(processor, digest)| RanUnder {
                processor,
                revision: None,
                digest,
            })
            .collect(),
        attempts: u32::try_from(attempts)
            .map_err(|error| damaged("refresh_state.attempts", error))?,
        lane: queued
            .then(|| read_lane(row, 12, "work.lane"))
            .transpose()?,
        next_due: optional_timestamp(row, 13, "work.due_at")?,
        last_run: optional_timestamp(row, 6, "refresh_state.last_run_at")?,
        location_key: optional_text(row, 9, "refresh_state.location_key")?,
        orphaned_at: optional_timestamp(row, 7, "refresh_state.orphaned_at")?,
        parents: parents.into_iter().map(|text| text.0).collect(),
        stitching: value(row, 14, "stitch_queue.entity_ref")?,
    })
}

/// What a run waits for, shown beside what the last one said and never served with the entity.
fn waits_for(reason: String) -> Diagnostic {
    Diagnostic::new(Level::Info, "Waiting", reason)
}

/// The states of these refs, by ref.
async fn states(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
) -> Result<Vec<ProcessingState>, StorageError> {
    let mut states = tx
        .all(
            "SELECT r.entity_ref, r.entity_id, r.status, r.dead_letter, r.attempts, r.waiting, r.last_run_at,
                 r.orphaned_at, r.diagnostics, r.location_key,
                 EXISTS (SELECT 1 FROM final_entities f
                     WHERE f.tenant_id = r.tenant_id AND f.entity_id = r.entity_id),
                 r.revisions, w.lane, w.due_at,
                 EXISTS (SELECT 1 FROM stitch_queue q
                     WHERE q.tenant_id = r.tenant_id AND q.entity_ref = r.entity_ref),
                 ARRAY(SELECT e.source_key || e.source_entity_ref FROM refresh_state_references e
                     WHERE e.tenant_id = r.tenant_id AND e.target_entity_ref = r.entity_ref
                     ORDER BY e.source_key, e.source_entity_ref)
             FROM refresh_state r LEFT JOIN work w ON w.tenant_id = r.tenant_id AND w.entity_id = r.entity_id
             WHERE r.tenant_id = $1 AND r.entity_ref = ANY($2::text[]) ORDER BY r.entity_ref",
            &[&tenant.0, &ref_texts(refs)],
            read_state,
        )
        .await?;
    number_revisions(tx, tenant, &mut states).await?;
    Ok(states)
}

/// Adds the numbers of the revisions that are still there.
async fn number_revisions(
    tx: &Transaction,
    tenant: TenantId,
    states: &mut [ProcessingState],
) -> Result<(), StorageError> {
    let ran = || states.iter().flat_map(|state| &state.revisions);
    let mut wanted: Vec<(&ProcessorName, Digest)> =
        ran().map(|ran| (&ran.processor, ran.digest)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(());
    }
    let names = texts(wanted.iter().map(|(name, _)| name.as_str()));
    let digests: Vec<&[u8]> = wanted.iter().map(|(_, of)| &of.as_bytes()[..]).collect();
    let numbers = tx
        .all(
            "SELECT r.processor, r.digest, r.number
             FROM unnest($2::text[], $3::bytea[]) wanted (processor, digest)
             JOIN processor_revisions r ON r.tenant_id = $1 AND r.processor = wanted.processor
                 AND r.digest = wanted.digest",
            &[&tenant.0, &names, &digests],
            |row| {
                let number = unsigned(row, 2, "processor_revisions.number")?;
                let number = u32::try_from(number)
                    .map_err(|error| damaged("processor_revisions.number", error))?;
                let name = text(row, 0, "processor_revisions.processor")?;
                let digest = crate::damage::digest(row, 1, "processor_revisions.digest")?;
                Ok(((name, digest), number))
            },
        )
        .await?;
    let numbers: HashMap<(String, Digest), u32> = numbers.into_iter().collect();
    for ran in states.iter_mut().flat_map(|state| &mut state.revisions) {
        let key = (ran.processor.as_str().to_owned(), ran.digest);
        ran.revision = numbers.get(&key).copied();
    }
    Ok(())
}

fn read_unprocessed(row: &Row) -> Result<UnprocessedEntity, StorageError> {
    Ok(UnprocessedEntity {
        uid: uid(row, 0, "refresh_state.entity_id")?,
        entity_ref: stored_ref(row, 1, "refresh_state.entity_ref")?,
        unprocessed: text(row, 2, "refresh_state.unprocessed_entity")?,
    })
}

#[async_trait]
impl ProcessingRepository for PostgresStorage {
    async fn list_processing(
        &self,
        tenant: TenantId,
        filter: ProcessingFilter,
        after: Option<&EntityRef>,
        limit: u32,
    ) -> Result<Vec<ProcessingState>, StorageError> {
        let tx = self.snapshot("list processing states").await?;
        let after = after.map_or("", EntityRef::as_str);
        let refs = page::refs(&tx, tenant, filter, after, limit).await?;
        let states = states(&tx, tenant, &refs).await?;
        tx.commit().await?;
        Ok(states)
    }

    async fn find_processing(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<ProcessingState>, StorageError> {
        let tx = self.snapshot("find a processing state").await?;
        let state = states(&tx, tenant, std::slice::from_ref(entity_ref)).await?;
        tx.commit().await?;
        Ok(state.into_iter().next())
    }

    async fn find_unprocessed(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<UnprocessedEntity>, StorageError> {
        self.read_one(
            "find an unprocessed entity",
            "SELECT entity_id, entity_ref, unprocessed_entity FROM refresh_state
             WHERE tenant_id = $1 AND entity_ref = $2",
            &[&tenant.0, &Text(entity_ref.as_str())],
            read_unprocessed,
        )
        .await
    }

    async fn scan_unprocessed(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<Vec<UnprocessedEntity>, StorageError> {
        let after = after.map_or("", EntityUid::as_str);
        self.read_all(
            "scan unprocessed entities",
            "SELECT entity_id, entity_ref, unprocessed_entity FROM refresh_state
             WHERE tenant_id = $1 AND entity_id > $2 AND orphaned_at IS NULL
             ORDER BY entity_id LIMIT $3",
            &[&tenant.0, &Text(after), &i64::from(limit)],
            read_unprocessed,
        )
        .await
    }

    async fn list_conflicts(
        &self,
        tenant: TenantId,
        limit: u32,
    ) -> Result<Vec<Conflict>, StorageError> {
        self.read_all(
            "list conflicts",
            "SELECT entity_ref, source_key || source_entity_ref, location_key, owner_location_key, at
             FROM conflicts WHERE tenant_id = $1
             ORDER BY entity_ref, source_key, source_entity_ref LIMIT $2",
            &[&tenant.0, &i64::from(limit)],
            |row| {
                Ok(Conflict {
                    entity_ref: stored_ref(row, 0, "conflicts.entity_ref")?,
                    loser: text(row, 1, "conflicts.source_entity_ref")?,
                    location_key: optional_text(row, 2, "conflicts.location_key")?,
                    owner_location_key: optional_text(row, 3, "conflicts.owner_location_key")?,
                    at: timestamp(row, 4, "conflicts.at")?,
                })
            },
        )
        .await
    }
}
