//! Mutations by entity providers, in bounded transactions: additions first, then what is removed (ref §6.1).
//!
//! A mutation cut short has added something and removed nothing, or has removed a part whose descendants have their
//! orphan checks queued; running it again completes it. Nothing is marked in the rows: the difference is taken against
//! the provider's edges.
//!
//! What is staged goes the same way; its rows are the lists that are otherwise held in memory.

mod staged;

use std::collections::HashSet;

use async_trait::async_trait;
use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{
    Child, Lane, Mutation, MutationId, MutationKind, MutationLine, MutationOutcome,
    MutationRepository, Refusal, StorageError, last_of_each,
};
use rusqlite::params;

use crate::SqliteStorage;
use crate::children::conflicts;
use crate::children::edges::{self, Source};
use crate::children::{Giver, Placed, place};
use crate::damage::unsigned;
use crate::entities::{Pruning, prune_rest, uid_of};
use crate::log::last_seq;
use crate::orphans;
use crate::quotas;
use crate::statement;
use crate::writer::WriteTx;

const OPERATION: &str = "apply a mutation";
/// Entities placed in one transaction; each writes three rows (DESIGN §7: 500).
const MAX_PLACED: usize = 160;
/// Edges removed in one transaction.
const MAX_REMOVED: usize = 500;
/// Bytes of one transaction.
const MAX_BYTES: usize = 4 << 20;

#[async_trait]
impl MutationRepository for SqliteStorage {
    async fn apply_mutation(
        &self,
        tenant: TenantId,
        source_key: &str,
        mutation: Mutation,
    ) -> Result<MutationOutcome, StorageError> {
        let added = last_of_each(mutation.added);
        let given: HashSet<EntityRef> =
            added.iter().map(|child| child.entity_ref.clone()).collect();
        if let Some(refusal) = refused(self, tenant, &given).await? {
            return Ok(MutationOutcome {
                refused: Some(refusal),
                ..MutationOutcome::default()
            });
        }
        let mut outcome = place_all(self, tenant, source_key, added).await?;
        let mut removed: Vec<EntityRef> = match mutation.kind {
            MutationKind::Delta => mutation.removed,
            MutationKind::Full => {
                let key = source_key.to_owned();
                self.read(OPERATION, move |conn| {
                    edges::targets(conn, tenant, Source::Provider(&key))
                })
                .await?
            }
        };
        removed.retain(|entity_ref| !given.contains(entity_ref));
        if let MutationKind::Full = mutation.kind {
            let key = source_key.to_owned();
            self.write(OPERATION, move |tx| {
                let given = given.iter().collect();
                conflicts::retain(tx, tenant, Source::Provider(&key), &given)
            })
            .await?;
        }
        // Where it lost a ref it had, its edge goes, as in Backstage.
        removed.extend(outcome.conflicts.iter().cloned());
        let lost = outcome.conflicts.len();
        let keep_conflicts = removed.len() - lost;
        for (index, chunk) in removed.chunks(MAX_REMOVED).enumerate() {
            let resolved = keep_conflicts.saturating_sub(index * MAX_REMOVED);
            outcome.removed += remove(self, tenant, source_key, chunk.to_vec(), resolved).await?;
        }
        outcome.seq = self
            .read(OPERATION, move |conn| last_seq(conn, tenant))
            .await?;
        Ok(outcome)
    }

    async fn stage_mutation(
        &self,
        tenant: TenantId,
        id: &MutationId,
        source_key: &str,
        kind: MutationKind,
        first: u64,
        lines: Vec<MutationLine>,
    ) -> Result<(), StorageError> {
        let (id, source_key) = (id.clone(), source_key.to_owned());
        self.write("stage a mutation", move |tx| {
            staged::stage(tx, tenant, &id, &source_key, kind, first, &lines)
        })
        .await
    }

    async fn count_staged(&self, tenant: TenantId, id: &MutationId) -> Result<u64, StorageError> {
        let id = id.clone();
        self.read("count a staged mutation", move |conn| {
            staged::count(conn, tenant, &id)
        })
        .await
    }

    async fn apply_staged(
        &self,
        tenant: TenantId,
        id: &MutationId,
    ) -> Result<Option<MutationOutcome>, StorageError> {
        staged::apply(self, tenant, id).await
    }

    async fn drop_staged(&self, tenant: TenantId, id: &MutationId) -> Result<(), StorageError> {
        staged::forget(self, tenant, id, staged::STAGING).await
    }

    async fn resume_mutations(&self) -> Result<u64, StorageError> {
        staged::resume(self).await
    }

    async fn count_provided(
        &self,
        tenant: TenantId,
        source_key: &str,
    ) -> Result<u64, StorageError> {
        let key = source_key.to_owned();
        self.read("count provided entities", move |conn| {
            let count = statement::one(
                conn,
                "SELECT count(*) FROM refresh_state_references WHERE tenant_id = ?1 AND source_key = ?2",
                params![tenant.0, key],
                |row| unsigned(row, 0, "refresh_state_references"),
            )?;
            Ok(count.unwrap_or(0))
        })
        .await
    }
}

/// Why the new ones of these have no room, if they have none.
async fn refused(
    storage: &SqliteStorage,
    tenant: TenantId,
    given: &HashSet<EntityRef>,
) -> Result<Option<Refusal>, StorageError> {
    let (defaults, given) = (storage.default_quotas(), given.clone());
    let over = storage
        .read(OPERATION, move |conn| {
            let at_most = given.len() as u64;
            if quotas::refuses_entities(conn, &defaults, tenant, at_most)?.is_none() {
                return Ok(None);
            }
            let mut new = 0;
            for entity_ref in &given {
                new += u64::from(uid_of(conn, tenant, entity_ref)?.is_none());
            }
            quotas::refuses_entities(conn, &defaults, tenant, new)
        })
        .await?;
    Ok(over.map(Refusal::Whole))
}

async fn place_all(
    storage: &SqliteStorage,
    tenant: TenantId,
    source_key: &str,
    children: Vec<Child>,
) -> Result<MutationOutcome, StorageError> {
    let mut outcome = MutationOutcome::default();
    let mut children = children.into_iter().peekable();
    while children.peek().is_some() {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while let Some(child) = children.next_if(|next| {
            chunk.is_empty()
                || (chunk.len() < MAX_PLACED && bytes + next.unprocessed.len() <= MAX_BYTES)
        }) {
            bytes += child.unprocessed.len();
            chunk.push(child);
        }
        let key = source_key.to_owned();
        let placed = storage
            .write(OPERATION, move |tx| place_chunk(tx, tenant, &key, chunk))
            .await?;
        for (entity_ref, placed) in placed {
            match placed {
                Placed::Inserted => outcome.added += 1,
                Placed::Updated => outcome.updated += 1,
                Placed::Unchanged => outcome.unchanged += 1,
                Placed::Conflict => outcome.conflicts.push(entity_ref),
                Placed::NoRoom(over) => outcome.leave_out(over),
            }
        }
    }
    Ok(outcome)
}

fn place_chunk(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    source_key: &str,
    chunk: Vec<Child>,
) -> rusqlite::Result<Vec<(EntityRef, Placed)>> {
    let giver = Giver {
        tenant,
        source: Source::Provider(source_key),
        orphan: false,
        new: Lane::New,
        changed: Lane::New,
    };
    chunk
        .into_iter()
        .map(|child| Ok((child.entity_ref.clone(), place(tx, giver, &child)?)))
        .collect()
}

/// Removes edges and what only they reach. The first `resolved` refs are no longer given, so what was lost of them is
/// forgotten.
async fn remove(
    storage: &SqliteStorage,
    tenant: TenantId,
    source_key: &str,
    refs: Vec<EntityRef>,
    resolved: usize,
) -> Result<u64, StorageError> {
    let key = source_key.to_owned();
    let (pruning, gone) = storage
        .write(OPERATION, move |tx| {
            let source = Source::Provider(&key);
            for entity_ref in refs.iter().take(resolved) {
                conflicts::resolve(tx, tenant, source, entity_ref)?;
            }
            let mut pruning = Pruning::default();
            cut(tx, tenant, source, &refs, &mut pruning)?;
            let gone = pruning.step(tx, tenant)?;
            Ok((pruning, gone))
        })
        .await?;
    Ok(gone + prune_rest(storage, tenant, pruning).await?)
}

/// Removes a source's edges and lists what is to be pruned.
pub(crate) fn cut(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    source: Source<'_>,
    refs: &[EntityRef],
    pruning: &mut Pruning,
) -> rusqlite::Result<()> {
    let now = tx.now();
    let mut roots = Vec::new();
    for entity_ref in refs {
        if edges::remove(tx, tenant, source, entity_ref)? {
            orphans::enqueue_check(tx, tenant, entity_ref, now)?;
            edges::requeue_parents(tx, tenant, entity_ref)?;
            roots.push(entity_ref);
        }
    }
    for root in roots {
        pruning.add_root(tx, tenant, root)?;
    }
    Ok(())
}
