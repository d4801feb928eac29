//! The stitch queue, and the one write of final entities.
//!
//! A row's ticket is drawn anew whenever the ref is queued again; a result under an old ticket is dropped and the row is
//! due at once. So inputs are loaded after the claim, in a snapshot of their own, and nothing is locked meanwhile.
//!
//! A claim takes rows that nobody else is just taking or queueing (`SKIP LOCKED`), and so neither waits nor makes anybody
//! wait. Recording holds the tenant's graph: what is served, and its log, have one writer.

mod input;

use std::collections::HashMap;

use async_trait::async_trait;
use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::{FinalEntity, StitchInput, StitchQueue, Stitched, StorageError};

use crate::damage::{tenant_id, uid, unsigned, value};
use crate::entities::{ref_texts, stored_ref, uid_texts};
use crate::graph;
use crate::log::{self, LogEntry, NewChange};
use crate::postgres_storage::PostgresStorage;
use crate::text::texts;
use crate::transaction::Transaction;

pub(crate) use input::load as load_inputs;

/// How long a claimed ref is left alone.
const LEASE_MS: i64 = 30_000;
/// Refs of one claim (DESIGN §7).
const MAX_STITCHES: u32 = 500;

/// Queues refs for stitching, each once and due now. Its place in the queue stays, unless it is there to wait; a result under way
/// is dropped.
pub(crate) async fn queue(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
) -> Result<(), StorageError> {
    queue_in(tx, tenant, refs, &vec![0; refs.len()]).await
}

/// As [`queue`], each due in so many milliseconds.
pub(crate) async fn queue_in(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
    waits_ms: &[i64],
) -> Result<(), StorageError> {
    if refs.is_empty() {
        return Ok(());
    }
    tx.run(
        "INSERT INTO stitch_queue (tenant_id, entity_ref, ticket, next_stitch_at)
         SELECT $1, new.entity_ref, (random() * 1e15)::bigint, $4 + new.wait
         FROM (SELECT entity_ref, min(wait) AS wait FROM unnest($2::text[], $3::bigint[]) AS given (entity_ref, wait)
             GROUP BY entity_ref) AS new
         ON CONFLICT (tenant_id, entity_ref) DO UPDATE SET ticket = excluded.ticket,
             next_stitch_at = CASE WHEN stitch_queue.next_stitch_at <= $5
                 THEN least(stitch_queue.next_stitch_at, excluded.next_stitch_at)
                 ELSE stitch_queue.next_stitch_at END",
        &[
            &tenant.0,
            &ref_texts(refs),
            &waits_ms,
            &tx.now_ms(),
            // Those that are due much later than any that waits are being stitched.
            &(tx.now_ms() + LEASE_MS / 2),
        ],
    )
    .await?;
    Ok(())
}

#[async_trait]
impl StitchQueue for PostgresStorage {
    async fn claim_stitches(&self, limit: u32) -> Result<Vec<StitchInput>, StorageError> {
        let tx = self.begin("claim stitches").await?;
        let taken = take(&tx, limit).await?;
        let Some(tenant) = taken.first().map(|one| one.tenant) else {
            tx.roll_back().await?;
            return Ok(Vec::new());
        };
        tx.commit().await?;
        let tickets = taken
            .iter()
            .map(|one| (one.entity_ref.clone(), one.ticket))
            .collect();
        let snapshot = self.snapshot("load stitch inputs").await?;
        let mut inputs = input::load(&snapshot, tenant, tickets).await?;
        snapshot.commit().await?;
        for (input, one) in inputs.iter_mut().zip(&taken) {
            input.waited_ms = one.waited_ms;
        }
        Ok(inputs)
    }

    async fn record_stitches(
        &self,
        results: Vec<(StitchInput, Stitched)>,
    ) -> Result<u64, StorageError> {
        let Some(tenant) = results.first().map(|(input, _)| input.tenant) else {
            return Ok(0);
        };
        let tx = self.begin("record stitches").await?;
        graph::lock(&tx, tenant).await?;
        let changes = record(&tx, tenant, &results).await?;
        let last = log::append(&tx, tenant, &changes).await?;
        tx.commit().await?;
        Ok(last)
    }

    async fn stitch_queue_length(&self) -> Result<u64, StorageError> {
        let length = self
            .read_one(
                "count stitches",
                "SELECT count(*) FROM stitch_queue",
                &[],
                |row| unsigned(row, 0, "stitch_queue"),
            )
            .await?;
        Ok(length.unwrap_or(0))
    }
}

/// A ref that was taken.
struct Taken {
    tenant: TenantId,
    entity_ref: EntityRef,
    ticket: i64,
    waited_ms: u64,
}

/// Takes due refs of the tenant whose oldest is the oldest of all.
async fn take(tx: &Transaction, limit: u32) -> Result<Vec<Taken>, StorageError> {
    tx.all(
        "WITH due AS MATERIALIZED (
             SELECT tenant_id, entity_ref, next_stitch_at FROM stitch_queue
             WHERE tenant_id = (SELECT tenant_id FROM stitch_queue WHERE next_stitch_at <= $1
                     ORDER BY next_stitch_at LIMIT 1 FOR UPDATE SKIP LOCKED)
                 AND next_stitch_at <= $1
             ORDER BY next_stitch_at LIMIT $2 FOR UPDATE SKIP LOCKED
         )
         UPDATE stitch_queue q SET next_stitch_at = $3 FROM due
         WHERE q.tenant_id = due.tenant_id AND q.entity_ref = due.entity_ref
         RETURNING q.tenant_id, q.entity_ref, q.ticket, $1 - due.next_stitch_at",
        &[
            &tx.now_ms(),
            &i64::from(limit.min(MAX_STITCHES)),
            &(tx.now_ms() + LEASE_MS),
        ],
        |row| {
            Ok(Taken {
                tenant: tenant_id(row, 0, "stitch_queue.tenant_id")?,
                entity_ref: stored_ref(row, 1, "stitch_queue.entity_ref")?,
                ticket: value(row, 2, "stitch_queue.ticket")?,
                waited_ms: unsigned(row, 3, "stitch_queue.next_stitch_at")?,
            })
        },
    )
    .await
}

/// Writes the results whose tickets still hold; answers the changes to log.
async fn record(
    tx: &Transaction,
    tenant: TenantId,
    results: &[(StitchInput, Stitched)],
) -> Result<Vec<NewChange>, StorageError> {
    let current = take_off(tx, tenant, results).await?;
    let holds = |input: &StitchInput| current.get(&input.entity_ref) == Some(&input.ticket);
    let mut changed: Vec<&FinalEntity> = Vec::new();
    let mut abandoned: Vec<&EntityRef> = Vec::new();
    for (input, stitched) in results.iter().filter(|(input, _)| holds(input)) {
        match stitched {
            Stitched::Changed(entity) => changed.push(entity),
            Stitched::Unchanged => {}
            Stitched::Abandoned => abandoned.push(&input.entity_ref),
        }
    }
    serve(tx, tenant, &changed).await?;
    let stale = withdraw(tx, tenant, &abandoned).await?;
    // In the order of the results, as they would be one by one.
    let changes = results.iter().filter(|(input, _)| holds(input));
    Ok(changes
        .filter_map(|(input, stitched)| {
            let (what, uid) = match stitched {
                Stitched::Changed(entity) => {
                    (LogEntry::Upsert(entity.etag.clone()), entity.uid.clone())
                }
                Stitched::Unchanged => return None,
                Stitched::Abandoned => (LogEntry::Delete, stale.get(&input.entity_ref)?.clone()),
            };
            Some(NewChange {
                what,
                entity_ref: input.entity_ref.clone(),
                uid,
            })
        })
        .collect())
}

/// Takes off the queue what is recorded under its ticket, and answers it; what has another ticket is due at once.
async fn take_off(
    tx: &Transaction,
    tenant: TenantId,
    results: &[(StitchInput, Stitched)],
) -> Result<HashMap<EntityRef, i64>, StorageError> {
    let refs = ref_texts(results.iter().map(|(input, _)| &input.entity_ref));
    let tickets: Vec<i64> = results.iter().map(|(input, _)| input.ticket).collect();
    let current: HashMap<EntityRef, i64> = tx
        .all(
            "DELETE FROM stitch_queue q USING unnest($2::text[], $3::bigint[]) AS result (entity_ref, ticket)
             WHERE q.tenant_id = $1 AND q.entity_ref = result.entity_ref AND q.ticket = result.ticket
             RETURNING q.entity_ref, q.ticket",
            &[&tenant.0, &refs, &tickets],
            |row| {
                Ok((
                    stored_ref(row, 0, "stitch_queue.entity_ref")?,
                    value(row, 1, "stitch_queue.ticket")?,
                ))
            },
        )
        .await?
        .into_iter()
        .collect();
    if current.len() < results.len() {
        tx.run(
            "UPDATE stitch_queue SET next_stitch_at = $3
             WHERE tenant_id = $1 AND entity_ref = ANY($2::text[]) AND next_stitch_at > $3",
            &[&tenant.0, &refs, &tx.now_ms()],
        )
        .await?;
    }
    Ok(current)
}

async fn serve(
    tx: &Transaction,
    tenant: TenantId,
    entities: &[&FinalEntity],
) -> Result<(), StorageError> {
    if entities.is_empty() {
        return Ok(());
    }
    tx.run(
        "INSERT INTO final_entities (tenant_id, entity_id, entity_ref, etag, final_entity)
         SELECT $1, new.entity_id, new.entity_ref, new.etag, new.body
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS new (entity_id, entity_ref, etag, body)
         ON CONFLICT (tenant_id, entity_ref) DO UPDATE SET
             entity_id = excluded.entity_id, etag = excluded.etag, final_entity = excluded.final_entity",
        &[
            &tenant.0,
            &uid_texts(entities.iter().map(|entity| &entity.uid)),
            &ref_texts(entities.iter().map(|entity| &entity.entity_ref)),
            &texts(entities.iter().map(|entity| entity.etag.as_str())),
            &texts(entities.iter().map(|entity| entity.body.as_ref())),
        ],
    )
    .await?;
    Ok(())
}

/// Serves these no longer; answers those that were served.
async fn withdraw(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[&EntityRef],
) -> Result<HashMap<EntityRef, EntityUid>, StorageError> {
    if refs.is_empty() {
        return Ok(HashMap::new());
    }
    let gone = tx
        .all(
            "DELETE FROM final_entities WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])
             RETURNING entity_ref, entity_id",
            &[&tenant.0, &ref_texts(refs.iter().copied())],
            |row| {
                Ok((
                    stored_ref(row, 0, "final_entities.entity_ref")?,
                    uid(row, 1, "final_entities.entity_id")?,
                ))
            },
        )
        .await?;
    Ok(gone.into_iter().collect())
}
