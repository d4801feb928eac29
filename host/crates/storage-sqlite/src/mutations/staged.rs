//! Staged mutations: rows beside the catalog, applied step by step once the mutation is whole (DESIGN §7).
//!
//! Each step is a transaction that first raises `stepped_at` of the mutation's own row, and is nothing where that row is not
//! one that is being applied. So a mutation that was given up stops between two steps, and one whose process died is completed by
//! another: what is placed is counted in the row, and what is to be removed is the difference between the provider's edges
//! and the staged refs, which is the same however often it is taken.
//!
//! Where a ref is looked for among the rows the index is named: without statistics SQLite takes the primary key, and walks all
//! rows for each.

use greenroom_model::{EntityRef, TenantId, Timestamp};
use greenroom_storage::{
    Child, MAX_NAMED_CONFLICTS, MutationId, MutationKind, MutationLine, MutationOutcome, Refusal,
    StorageError,
};
use rusqlite::{Connection, params};

use super::{MAX_BYTES, MAX_PLACED, MAX_REMOVED, OPERATION, cut, place_chunk};
use crate::SqliteStorage;
use crate::children::edges::Source;
use crate::children::{Placed, conflicts};
use crate::damage::{damaged, stored, tenant_id, unsigned, value};
use crate::entities::{Pruning, prune_rest, stored_ref};
use crate::log::last_seq;
use crate::quotas;
use crate::statement;
use crate::writer::WriteTx;

/// How long nobody has made a step of a mutation that is to be completed.
const LEFT_MS: i64 = 60_000;
/// After what silence a mutation that is on its way is none any more; a request's body may not stall for that long.
const ABANDONED_MS: i64 = 3_600_000;
/// Rows removed in one transaction.
const ROWS: i64 = 500;

/// The column `committed`: lines are still to come,
pub(super) const STAGING: i64 = 0;
/// all were there and it is applied in the end,
const APPLYING: i64 = 1;
/// or it was applied or given up, and its rows are to go.
const OVER: i64 = 2;

/// Keeps lines.
pub(super) fn stage(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    id: &MutationId,
    source_key: &str,
    kind: MutationKind,
    first: u64,
    lines: &[MutationLine],
) -> rusqlite::Result<()> {
    let now = tx.now_ms();
    tx.run(
        "INSERT INTO mutations (tenant_id, mutation_id, source_key, kind, committed, created_at, stepped_at)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5)
         ON CONFLICT (tenant_id, mutation_id) DO UPDATE SET stepped_at = excluded.stepped_at",
        params![tenant.0, id.0, source_key, kind.as_str(), now],
    )?;
    for (number, line) in (first..).zip(lines) {
        let (entity_ref, unprocessed, location_key) = match line {
            MutationLine::Add(entity) => (
                &entity.entity_ref,
                Some(&entity.unprocessed),
                entity.location_key.as_ref(),
            ),
            MutationLine::Remove(entity_ref) => (entity_ref, None, None),
        };
        tx.run(
            "INSERT INTO mutation_rows (tenant_id, mutation_id, number, entity_ref, unprocessed, location_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                tenant.0,
                id.0,
                stored(number),
                entity_ref.as_str(),
                unprocessed,
                location_key
            ],
        )?;
    }
    Ok(())
}

/// Different refs that are added.
pub(super) fn count(conn: &Connection, tenant: TenantId, id: &MutationId) -> rusqlite::Result<u64> {
    let count = statement::one(
        conn,
        "SELECT count(DISTINCT entity_ref) FROM mutation_rows INDEXED BY mutation_rows_ref
         WHERE tenant_id = ?1 AND mutation_id = ?2 AND unprocessed IS NOT NULL",
        params![tenant.0, id.0],
        |row| unsigned(row, 0, "mutation_rows"),
    )?;
    Ok(count.unwrap_or(0))
}

/// A mutation that is being applied.
#[derive(Clone)]
struct Applying {
    tenant: TenantId,
    id: MutationId,
    source_key: String,
    kind: MutationKind,
}

/// Commits a mutation and makes every step of it.
pub(super) async fn apply(
    storage: &SqliteStorage,
    tenant: TenantId,
    id: &MutationId,
) -> Result<Option<MutationOutcome>, StorageError> {
    if let Some(refusal) = refused(storage, tenant, id).await? {
        forget(&storage.without_record(), tenant, id, STAGING).await?;
        return Ok(Some(MutationOutcome {
            refused: Some(refusal),
            ..MutationOutcome::default()
        }));
    }
    let named = id.clone();
    let begun = storage
        .write(OPERATION, move |tx| commit(tx, tenant, &named))
        .await?;
    match begun {
        Some(applying) => steps(storage, &applying).await,
        None => Ok(None),
    }
}

/// Why its new entities have no room, if they have none. One that is being applied already is not asked.
async fn refused(
    storage: &SqliteStorage,
    tenant: TenantId,
    id: &MutationId,
) -> Result<Option<Refusal>, StorageError> {
    let (defaults, id) = (storage.default_quotas(), id.clone());
    let over = storage
        .read(OPERATION, move |conn| {
            if quotas::refuses_entities(conn, &defaults, tenant, count(conn, tenant, &id)?)?
                .is_none()
                || !is_staging(conn, tenant, &id)?
            {
                return Ok(None);
            }
            let new = statement::one(
                conn,
                "SELECT count(DISTINCT m.entity_ref) FROM mutation_rows m INDEXED BY mutation_rows_ref
                 WHERE m.tenant_id = ?1 AND m.mutation_id = ?2 AND m.unprocessed IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM refresh_state r
                       WHERE r.tenant_id = ?1 AND r.entity_ref = m.entity_ref)",
                params![tenant.0, id.0],
                |row| unsigned(row, 0, "mutation_rows"),
            )?;
            quotas::refuses_entities(conn, &defaults, tenant, new.unwrap_or(0))
        })
        .await?;
    Ok(over.map(Refusal::Whole))
}

fn is_staging(conn: &Connection, tenant: TenantId, id: &MutationId) -> rusqlite::Result<bool> {
    let state = statement::one(
        conn,
        "SELECT committed FROM mutations WHERE tenant_id = ?1 AND mutation_id = ?2",
        params![tenant.0, id.0],
        |row| value::<i64>(row, 0, "mutations.committed"),
    )?;
    Ok(state == Some(STAGING))
}

/// From here on it is applied in the end, and no other of its source.
fn commit(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    id: &MutationId,
) -> rusqlite::Result<Option<Applying>> {
    let now = tx.now_ms();
    let found = statement::one(
        tx,
        "UPDATE mutations SET committed = 1, stepped_at = ?3
         WHERE tenant_id = ?1 AND mutation_id = ?2 AND committed < 2 RETURNING source_key, kind",
        params![tenant.0, id.0, now],
        |row| {
            Ok(Applying {
                tenant,
                id: id.clone(),
                source_key: value(row, 0, "mutations.source_key")?,
                kind: {
                    let kind: String = value(row, 1, "mutations.kind")?;
                    MutationKind::parse(&kind).ok_or_else(|| damaged("mutations.kind", kind))?
                },
            })
        },
    )?;
    if let Some(applying) = &found {
        tx.run(
            "UPDATE mutations SET committed = 2
             WHERE tenant_id = ?1 AND source_key = ?2 AND committed = 1 AND mutation_id <> ?3",
            params![tenant.0, applying.source_key, id.0],
        )?;
    }
    Ok(found)
}

async fn steps(
    storage: &SqliteStorage,
    applying: &Applying,
) -> Result<Option<MutationOutcome>, StorageError> {
    let mut outcome = MutationOutcome::default();
    loop {
        let now = applying.clone();
        match storage.write(OPERATION, move |tx| now.place(tx)).await? {
            None => return Ok(None),
            Some(placed) if placed.is_empty() => break,
            Some(placed) => placed.into_iter().for_each(|one| add(&mut outcome, one)),
        }
    }
    for which in [Which::NotGiven, Which::NotContested, Which::Lost] {
        let mut after = String::new();
        loop {
            let (reading, from) = (applying.clone(), after.clone());
            let refs = storage
                .read(OPERATION, move |conn| reading.to_go(conn, which, &from))
                .await?;
            let Some(last) = refs.last() else { break };
            after = last.to_string();
            let now = applying.clone();
            let removed = storage
                .write(OPERATION, move |tx| now.remove(tx, which, &refs))
                .await?;
            let Some((gone, pruning)) = removed else {
                return Ok(None);
            };
            outcome.removed += gone + prune_rest(storage, applying.tenant, pruning).await?;
        }
    }
    outcome.seq = finish(storage, applying).await?;
    Ok(Some(outcome))
}

fn add(outcome: &mut MutationOutcome, (entity_ref, placed): (EntityRef, Placed)) {
    match placed {
        Placed::Inserted => outcome.added += 1,
        Placed::Updated => outcome.updated += 1,
        Placed::Unchanged => outcome.unchanged += 1,
        Placed::Conflict if outcome.conflicts.len() < MAX_NAMED_CONFLICTS => {
            outcome.conflicts.push(entity_ref);
        }
        Placed::Conflict => {}
        Placed::NoRoom(over) => outcome.leave_out(over),
    }
}

/// What is taken away, in this order.
#[derive(Debug, Clone, Copy)]
enum Which {
    /// Edges to what the provider does not give any more.
    NotGiven,
    /// What it lost to another before and does not give any more.
    NotContested,
    /// Edges to what it gave and has lost now; they go as in Backstage.
    Lost,
}

impl Applying {
    /// Whether the mutation is still to be applied; says that somebody does.
    fn goes_on(&self, tx: &mut WriteTx<'_>) -> rusqlite::Result<bool> {
        let now = tx.now_ms();
        let rows = tx.run(
            "UPDATE mutations SET stepped_at = ?3 WHERE tenant_id = ?1 AND mutation_id = ?2 AND committed = 1",
            params![self.tenant.0, self.id.0, now],
        )?;
        Ok(rows > 0)
    }

    /// Places the next entities, of equal refs the last; none are left where it answers with none.
    fn place(&self, tx: &mut WriteTx<'_>) -> rusqlite::Result<Option<Vec<(EntityRef, Placed)>>> {
        if !self.goes_on(tx)? {
            return Ok(None);
        }
        let (chunk, last) = self.next_rows(tx)?;
        let placed = place_chunk(tx, self.tenant, &self.source_key, chunk)?;
        if let Some(last) = last {
            tx.run(
                "UPDATE mutations SET placed = ?3 WHERE tenant_id = ?1 AND mutation_id = ?2",
                params![self.tenant.0, self.id.0, last + 1],
            )?;
        }
        Ok(Some(placed))
    }

    /// A transaction's worth of the entities that are not placed yet, and the number of the last of them.
    fn next_rows(&self, conn: &Connection) -> rusqlite::Result<(Vec<Child>, Option<i64>)> {
        let mut statement = conn.prepare_cached(
            "SELECT r.number, r.entity_ref, r.unprocessed, r.location_key
             FROM mutations m JOIN mutation_rows r
                 ON r.tenant_id = m.tenant_id AND r.mutation_id = m.mutation_id AND r.number >= m.placed
             WHERE m.tenant_id = ?1 AND m.mutation_id = ?2 AND r.unprocessed IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM mutation_rows later INDEXED BY mutation_rows_ref
                     WHERE later.tenant_id = r.tenant_id AND later.mutation_id = r.mutation_id
                         AND later.entity_ref = r.entity_ref AND later.number > r.number
                         AND later.unprocessed IS NOT NULL)
             ORDER BY r.number LIMIT ?3",
        )?;
        let mut rows =
            statement.query(params![self.tenant.0, self.id.0, stored(MAX_PLACED as u64)])?;
        let (mut chunk, mut bytes, mut last) = (Vec::new(), 0, None);
        while let Some(row) = rows.next()? {
            let child = Child {
                entity_ref: stored_ref(row, 1, "mutation_rows.entity_ref")?,
                unprocessed: value(row, 2, "mutation_rows.unprocessed")?,
                location_key: value(row, 3, "mutation_rows.location_key")?,
            };
            bytes += child.unprocessed.len();
            if !chunk.is_empty() && bytes > MAX_BYTES {
                break;
            }
            last = Some(value::<i64>(row, 0, "mutation_rows.number")?);
            chunk.push(child);
        }
        Ok((chunk, last))
    }

    /// The next refs of which something is taken away, by ref after `after`.
    fn to_go(
        &self,
        conn: &Connection,
        which: Which,
        after: &str,
    ) -> rusqlite::Result<Vec<EntityRef>> {
        let few = stored(MAX_REMOVED as u64);
        let key = params![self.tenant.0, self.source_key, self.id.0, after, few];
        match (which, self.kind) {
            (Which::NotGiven, MutationKind::Full) => statement::all(
                conn,
                "SELECT e.target_entity_ref FROM refresh_state_references e
                 WHERE e.tenant_id = ?1 AND e.source_key = ?2 AND e.source_entity_ref = ''
                     AND e.target_entity_ref > ?4
                     AND NOT EXISTS (SELECT 1 FROM mutation_rows r INDEXED BY mutation_rows_ref
                         WHERE r.tenant_id = ?1
                         AND r.mutation_id = ?3 AND r.entity_ref = e.target_entity_ref)
                 ORDER BY e.target_entity_ref LIMIT ?5",
                key,
                |row| stored_ref(row, 0, "refresh_state_references.target_entity_ref"),
            ),
            (Which::NotGiven, MutationKind::Delta) => statement::all(
                conn,
                "SELECT DISTINCT r.entity_ref FROM mutation_rows r
                 WHERE r.tenant_id = ?1 AND r.mutation_id = ?3 AND r.entity_ref > ?4 AND r.unprocessed IS NULL
                     AND ?2 <> '' AND NOT EXISTS (SELECT 1 FROM mutation_rows given INDEXED BY mutation_rows_ref
                         WHERE given.tenant_id = ?1
                         AND given.mutation_id = ?3 AND given.entity_ref = r.entity_ref
                         AND given.unprocessed IS NOT NULL)
                 ORDER BY r.entity_ref LIMIT ?5",
                key,
                |row| stored_ref(row, 0, "mutation_rows.entity_ref"),
            ),
            (Which::NotContested, MutationKind::Full) => statement::all(
                conn,
                "SELECT c.entity_ref FROM conflicts c
                 WHERE c.tenant_id = ?1 AND c.source_key = ?2 AND c.source_entity_ref = '' AND c.entity_ref > ?4
                     AND NOT EXISTS (SELECT 1 FROM mutation_rows r INDEXED BY mutation_rows_ref
                         WHERE r.tenant_id = ?1
                         AND r.mutation_id = ?3 AND r.entity_ref = c.entity_ref)
                 ORDER BY c.entity_ref LIMIT ?5",
                key,
                |row| stored_ref(row, 0, "conflicts.entity_ref"),
            ),
            (Which::NotContested, MutationKind::Delta) => Ok(Vec::new()),
            (Which::Lost, MutationKind::Full | MutationKind::Delta) => statement::all(
                conn,
                "SELECT c.entity_ref FROM conflicts c
                 WHERE c.tenant_id = ?1 AND c.source_key = ?2 AND c.source_entity_ref = '' AND c.entity_ref > ?4
                     AND EXISTS (SELECT 1 FROM mutation_rows r INDEXED BY mutation_rows_ref
                         WHERE r.tenant_id = ?1
                         AND r.mutation_id = ?3 AND r.entity_ref = c.entity_ref)
                     AND EXISTS (SELECT 1 FROM refresh_state_references e WHERE e.tenant_id = ?1
                         AND e.target_entity_ref = c.entity_ref AND e.source_key = ?2 AND e.source_entity_ref = '')
                 ORDER BY c.entity_ref LIMIT ?5",
                key,
                |row| stored_ref(row, 0, "conflicts.entity_ref"),
            ),
        }
    }

    /// Takes edges away with what only they reach, and what was lost of the refs unless it is lost still.
    fn remove(
        &self,
        tx: &mut WriteTx<'_>,
        which: Which,
        refs: &[EntityRef],
    ) -> rusqlite::Result<Option<(u64, Pruning)>> {
        if !self.goes_on(tx)? {
            return Ok(None);
        }
        let source = Source::Provider(&self.source_key);
        if let Which::NotGiven | Which::NotContested = which {
            for entity_ref in refs {
                conflicts::resolve(tx, self.tenant, source, entity_ref)?;
            }
        }
        let mut pruning = Pruning::default();
        cut(tx, self.tenant, source, refs, &mut pruning)?;
        let gone = pruning.step(tx, self.tenant)?;
        Ok(Some((gone, pruning)))
    }
}

/// Forgets a mutation that was applied; answers the log's last number.
async fn finish(storage: &SqliteStorage, applying: &Applying) -> Result<u64, StorageError> {
    let tenant = applying.tenant;
    forget(storage, tenant, &applying.id, APPLYING).await?;
    storage
        .read(OPERATION, move |conn| last_seq(conn, tenant))
        .await
}

/// Forgets a mutation unless it has come further than `state`: its rows, and then itself, so that a sweep finds what is left.
pub(super) async fn forget(
    storage: &SqliteStorage,
    tenant: TenantId,
    id: &MutationId,
    state: i64,
) -> Result<(), StorageError> {
    const OPERATION: &str = "forget a mutation";
    let named = id.clone();
    let over = storage
        .write(OPERATION, move |tx| {
            tx.run(
                "UPDATE mutations SET committed = 2
                 WHERE tenant_id = ?1 AND mutation_id = ?2 AND (committed <= ?3 OR committed = 2)",
                params![tenant.0, named.0, state],
            )
        })
        .await?;
    if over == 0 {
        return Ok(());
    }
    let named = id.clone();
    storage
        .repeat(OPERATION, move |tx| {
            tx.run(
                "DELETE FROM mutation_rows WHERE tenant_id = ?1 AND mutation_id = ?2 AND number < coalesce(
                     (SELECT number FROM mutation_rows WHERE tenant_id = ?1 AND mutation_id = ?2
                      ORDER BY number LIMIT 1 OFFSET ?3), 9223372036854775807)",
                params![tenant.0, named.0, ROWS],
            )
        })
        .await?;
    let named = id.clone();
    storage
        .write(OPERATION, move |tx| {
            tx.run(
                "DELETE FROM mutations WHERE tenant_id = ?1 AND mutation_id = ?2",
                params![tenant.0, named.0],
            )
        })
        .await?;
    Ok(())
}

/// Mutations in a state of which nobody made a step since `before`.
async fn left_in(
    storage: &SqliteStorage,
    state: i64,
    before: Timestamp,
) -> Result<Vec<(TenantId, MutationId)>, StorageError> {
    storage
        .read("list staged mutations", move |conn| {
            statement::all(
                conn,
                "SELECT tenant_id, mutation_id FROM mutations WHERE committed = ?1 AND stepped_at < ?2",
                params![state, before.0],
                |row| {
                    Ok((
                        tenant_id(row, 0, "mutations.tenant_id")?,
                        MutationId(value(row, 1, "mutations.mutation_id")?),
                    ))
                },
            )
        })
        .await
}

/// Completes what a process that died was applying.
pub(super) async fn resume(storage: &SqliteStorage) -> Result<u64, StorageError> {
    let before = storage.now().plus_ms(-LEFT_MS);
    let mut completed = 0;
    for (tenant, id) in left_in(storage, APPLYING, before).await? {
        completed += u64::from(apply(storage, tenant, &id).await?.is_some());
    }
    Ok(completed)
}

impl SqliteStorage {
    /// Mutations that never came to their last line, and what is left of those that are over.
    pub(crate) async fn sweep_staged_mutations(&self) -> Result<u64, StorageError> {
        let before = self.now().plus_ms(-ABANDONED_MS);
        let mut swept = 0;
        for state in [STAGING, OVER] {
            for (tenant, id) in left_in(self, state, before).await? {
                forget(self, tenant, &id, state).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}
