//! What `…/processing` shows. Read only; each filter has an index of its own.

use async_trait::async_trait;
use greenroom_model::{Diagnostic, Digest, EntityRef, EntityUid, Level, ProcessorName, TenantId};
use greenroom_storage::{
    Conflict, ProcessingFilter, ProcessingRepository, ProcessingState, ProcessingStatus, RanUnder,
    StorageError, UnprocessedEntity,
};
use rusqlite::{Connection, Row, params};

use crate::SqliteStorage;
use crate::damage::{damaged, json, optional_timestamp, timestamp, uid, value};
use crate::entities::stored_ref;
use crate::statement;
use crate::work::read_lane;

/// What a state is read from; the columns of [`read_state`].
macro_rules! select_states {
    ($rest:literal) => {
        concat!(
            "SELECT entity_ref, entity_id, status, dead_letter, attempts, waiting, last_run_at, orphaned_at,
                 diagnostics, location_key,
                 EXISTS (SELECT 1 FROM final_entities f
                     WHERE f.tenant_id = r.tenant_id AND f.entity_id = r.entity_id),
                 revisions
             FROM refresh_state r WHERE tenant_id = ?1 ",
            $rest
        )
    };
}

fn status_number(status: ProcessingStatus) -> Option<i64> {
    match status {
        ProcessingStatus::Pending => Some(0),
        ProcessingStatus::Ok => Some(1),
        ProcessingStatus::Partial => Some(2),
        ProcessingStatus::Failed => Some(3),
        ProcessingStatus::Waiting => None,
    }
}

fn read_state(row: &Row<'_>) -> rusqlite::Result<ProcessingState> {
    let waiting: Option<String> = value(row, 5, "refresh_state.waiting")?;
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
        attempts: value(row, 4, "refresh_state.attempts")?,
        lane: None,
        next_due: None,
        last_run: optional_timestamp(row, 6, "refresh_state.last_run_at")?,
        location_key: value(row, 9, "refresh_state.location_key")?,
        orphaned_at: optional_timestamp(row, 7, "refresh_state.orphaned_at")?,
        parents: Vec::new(),
        stitching: false,
    })
}

fn read_unprocessed(row: &Row<'_>) -> rusqlite::Result<UnprocessedEntity> {
    Ok(UnprocessedEntity {
        uid: uid(row, 0, "refresh_state.entity_id")?,
        entity_ref: stored_ref(row, 1, "refresh_state.entity_ref")?,
        unprocessed: value(row, 2, "refresh_state.unprocessed_entity")?,
    })
}

/// What a run waits for, shown beside what the last one said and never served with the entity.
fn waits_for(reason: String) -> Diagnostic {
    Diagnostic::new(Level::Info, "Waiting", reason)
}

/// Adds what other tables know.
fn complete(
    conn: &Connection,
    tenant: TenantId,
    mut state: ProcessingState,
) -> rusqlite::Result<ProcessingState> {
    let queued = statement::one(
        conn,
        "SELECT lane, due_at FROM work WHERE tenant_id = ?1 AND entity_id = ?2",
        params![tenant.0, state.uid.as_str()],
        |row| {
            Ok((
                read_lane(row, 0, "work.lane")?,
                timestamp(row, 1, "work.due_at")?,
            ))
        },
    )?;
    (state.lane, state.next_due) = queued.unzip();
    for ran in &mut state.revisions {
        ran.revision = statement::one(
            conn,
            "SELECT number FROM processor_revisions WHERE tenant_id = ?1 AND processor = ?2 AND digest = ?3",
            params![tenant.0, ran.processor.as_str(), ran.digest.as_bytes()],
            |row| value(row, 0, "processor_revisions.number"),
        )?;
    }
    let stitching = statement::one(
        conn,
        "SELECT 1 FROM stitch_queue WHERE tenant_id = ?1 AND entity_ref = ?2",
        params![tenant.0, state.entity_ref.as_str()],
        |_| Ok(()),
    )?;
    state.stitching = stitching.is_some();
    state.parents = statement::all(
        conn,
        "SELECT source_key || source_entity_ref FROM refresh_state_references
         WHERE tenant_id = ?1 AND target_entity_ref = ?2 ORDER BY source_key, source_entity_ref",
        params![tenant.0, state.entity_ref.as_str()],
        |row| value(row, 0, "refresh_state_references.source_key"),
    )?;
    Ok(state)
}

fn list(
    conn: &Connection,
    tenant: TenantId,
    filter: ProcessingFilter,
    after: &str,
    limit: u32,
) -> rusqlite::Result<Vec<ProcessingState>> {
    let number = filter.status.and_then(status_number);
    let waiting = filter.status == Some(ProcessingStatus::Waiting);
    let page = params![tenant.0, after, limit];
    let states = match (filter.dead_letters, filter.status) {
        (true, _) => statement::all(
            conn,
            select_states!(
                "AND entity_ref > ?2 AND dead_letter = 1
                     AND (?4 IS NULL OR (status = ?4 AND waiting IS NULL)) AND (NOT ?5 OR waiting IS NOT NULL)
                 ORDER BY entity_ref LIMIT ?3"
            ),
            params![tenant.0, after, limit, number, waiting],
            read_state,
        ),
        (false, None) => statement::all(
            conn,
            select_states!("AND entity_ref > ?2 ORDER BY entity_ref LIMIT ?3"),
            page,
            read_state,
        ),
        (false, Some(ProcessingStatus::Waiting)) => statement::all(
            conn,
            select_states!(
                "AND entity_ref > ?2 AND waiting IS NOT NULL ORDER BY entity_ref LIMIT ?3"
            ),
            page,
            read_state,
        ),
        (false, Some(_)) => statement::all(
            conn,
            select_states!(
                "AND entity_ref > ?2 AND status = ?4 AND waiting IS NULL ORDER BY entity_ref LIMIT ?3"
            ),
            params![tenant.0, after, limit, number],
            read_state,
        ),
    }?;
    states
        .into_iter()
        .map(|state| complete(conn, tenant, state))
        .collect()
}

#[async_trait]
impl ProcessingRepository for SqliteStorage {
    async fn list_processing(
        &self,
        tenant: TenantId,
        filter: ProcessingFilter,
        after: Option<&EntityRef>,
        limit: u32,
    ) -> Result<Vec<ProcessingState>, StorageError> {
        let after = after.map_or(String::new(), |after| after.as_str().to_owned());
        self.read("list processing states", move |conn| {
            list(conn, tenant, filter, &after, limit)
        })
        .await
    }

    async fn find_processing(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<ProcessingState>, StorageError> {
        let entity_ref = entity_ref.clone();
        self.read("find a processing state", move |conn| {
            let state = statement::one(
                conn,
                select_states!("AND entity_ref = ?2"),
                params![tenant.0, entity_ref.as_str()],
                read_state,
            )?;
            state.map(|state| complete(conn, tenant, state)).transpose()
        })
        .await
    }

    async fn find_unprocessed(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<UnprocessedEntity>, StorageError> {
        let entity_ref = entity_ref.clone();
        self.read("find an unprocessed entity", move |conn| {
            statement::one(
                conn,
                "SELECT entity_id, entity_ref, unprocessed_entity FROM refresh_state
                 WHERE tenant_id = ?1 AND entity_ref = ?2",
                params![tenant.0, entity_ref.as_str()],
                read_unprocessed,
            )
        })
        .await
    }

    async fn scan_unprocessed(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<Vec<UnprocessedEntity>, StorageError> {
        let after = after.map_or(String::new(), |after| after.as_str().to_owned());
        self.read("scan unprocessed entities", move |conn| {
            statement::all(
                conn,
                "SELECT entity_id, entity_ref, unprocessed_entity FROM refresh_state
                 WHERE tenant_id = ?1 AND entity_id > ?2 AND orphaned_at IS NULL
                 ORDER BY entity_id LIMIT ?3",
                params![tenant.0, after, limit],
                read_unprocessed,
            )
        })
        .await
    }

    async fn list_conflicts(
        &self,
        tenant: TenantId,
        limit: u32,
    ) -> Result<Vec<Conflict>, StorageError> {
        self.read("list conflicts", move |conn| {
            statement::all(
                conn,
                "SELECT entity_ref, source_key || source_entity_ref, location_key, owner_location_key, at
                 FROM conflicts WHERE tenant_id = ?1
                 ORDER BY entity_ref, source_key, source_entity_ref LIMIT ?2",
                params![tenant.0, limit],
                |row| {
                    Ok(Conflict {
                        entity_ref: stored_ref(row, 0, "conflicts.entity_ref")?,
                        loser: value(row, 1, "conflicts.source_entity_ref")?,
                        location_key: value(row, 2, "conflicts.location_key")?,
                        owner_location_key: value(row, 3, "conflicts.owner_location_key")?,
                        at: timestamp(row, 4, "conflicts.at")?,
                    })
                },
            )
        })
        .await
    }
}
