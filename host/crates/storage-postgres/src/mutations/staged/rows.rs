//! The rows of a staged mutation: how they are kept, and which are next.
//!
//! Every question about them has a bound of rows, and of bytes where bodies are read. None joins them with other tables: a
//! mutation is applied moments after it was staged, when nothing is known of the table's contents, and a join that is
//! planned for one row takes minutes for ten thousand. So refs are read first, and then looked up as an array.

use std::collections::HashMap;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{Child, MutationId, MutationKind, MutationLine, StorageError};

use super::super::{MAX_BYTES, MAX_PLACED, MAX_REMOVED};
use super::{Applying, Which};
use crate::damage::{optional_text, stored, text, value};
use crate::entities::{ref_texts, stored_ref};
use crate::text::Text;
use crate::transaction::Transaction;

/// Refs looked at in one transaction, most of which stay.
const MAX_LOOKED: i64 = 2_000;

/// Keeps lines.
pub(in crate::mutations) async fn stage(
    tx: &Transaction,
    tenant: TenantId,
    id: &MutationId,
    source_key: &str,
    kind: MutationKind,
    first: u64,
    lines: &[MutationLine],
) -> Result<(), StorageError> {
    tx.run(
        "INSERT INTO mutations (tenant_id, mutation_id, source_key, kind, committed, created_at, stepped_at)
         VALUES ($1, $2, $3, $4, 0, $5, $5)
         ON CONFLICT (tenant_id, mutation_id) DO UPDATE SET stepped_at = excluded.stepped_at",
        &[
            &tenant.0,
            &Text(&id.0),
            &Text(source_key),
            &Text(kind.as_str()),
            &tx.now_ms(),
        ],
    )
    .await?;
    let (mut refs, mut bodies, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        let (entity_ref, unprocessed, location_key) = match line {
            MutationLine::Add(entity) => (
                &entity.entity_ref,
                Some(Text(&entity.unprocessed)),
                entity.location_key.as_deref().map(Text),
            ),
            MutationLine::Remove(entity_ref) => (entity_ref, None, None),
        };
        refs.push(Text(entity_ref.as_str()));
        bodies.push(unprocessed);
        keys.push(location_key);
    }
    tx.run(
        "INSERT INTO mutation_rows (tenant_id, mutation_id, number, entity_ref, unprocessed, location_key)
         SELECT $1, $2, $3 + line.n - 1, line.entity_ref, line.unprocessed, line.location_key
         FROM unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY
             line (entity_ref, unprocessed, location_key, n)",
        &[
            &tenant.0,
            &Text(&id.0),
            &stored(first),
            &refs,
            &bodies,
            &keys,
        ],
    )
    .await?;
    Ok(())
}

/// A transaction's worth of rows.
pub(super) struct Next {
    /// The entities to place, of equal refs the last.
    pub(super) children: Vec<Child>,
    /// The number of the last row looked at; none where none is left.
    pub(super) last: Option<i64>,
}

/// Some of what is to be taken away.
pub(super) struct Stretch {
    /// The refs.
    pub(super) refs: Vec<EntityRef>,
    /// The last ref looked at; none where none is left.
    pub(super) last: Option<EntityRef>,
}

impl Applying {
    /// The next rows that are not placed yet.
    pub(super) async fn next_rows(
        &self,
        tx: &Transaction,
        placed: i64,
    ) -> Result<Next, StorageError> {
        let rows = tx
            .all(
                "SELECT number, entity_ref, unprocessed, location_key FROM (
                     SELECT number, entity_ref, unprocessed, location_key,
                         row_number() OVER (ORDER BY number) AS place,
                         sum(octet_length(unprocessed)) OVER (ORDER BY number) AS bytes
                     FROM (
                         SELECT number, entity_ref, unprocessed, location_key FROM mutation_rows
                         WHERE tenant_id = $1 AND mutation_id = $2 AND number >= $3
                             AND unprocessed IS NOT NULL
                         ORDER BY number LIMIT $4
                     ) few
                 ) next WHERE place = 1 OR bytes <= $5 ORDER BY number",
                &[
                    &self.tenant.0,
                    &Text(&self.id.0),
                    &placed,
                    &stored(MAX_PLACED as u64),
                    &stored(MAX_BYTES as u64),
                ],
                |row| {
                    let child = Child {
                        entity_ref: stored_ref(row, 1, "mutation_rows.entity_ref")?,
                        unprocessed: text(row, 2, "mutation_rows.unprocessed")?,
                        location_key: optional_text(row, 3, "mutation_rows.location_key")?,
                    };
                    Ok((value::<i64>(row, 0, "mutation_rows.number")?, child))
                },
            )
            .await?;
        let refs: Vec<EntityRef> = rows
            .iter()
            .map(|(_, child)| child.entity_ref.clone())
            .collect();
        let given = self.given(tx, &refs).await?;
        let last = rows.last().map(|(number, _)| *number);
        let children = rows
            .into_iter()
            .filter(|(number, child)| given.get(&child.entity_ref) == Some(number))
            .map(|(_, child)| child);
        Ok(Next {
            children: children.collect(),
            last,
        })
    }

    /// Those of the refs that the mutation gives, each with the number of the row that gives it last.
    async fn given(
        &self,
        tx: &Transaction,
        refs: &[EntityRef],
    ) -> Result<HashMap<EntityRef, i64>, StorageError> {
        if refs.is_empty() {
            return Ok(HashMap::new());
        }
        let given = tx
            .all(
                "SELECT given.entity_ref, max(given.number)
                 FROM (SELECT DISTINCT asked FROM unnest($3::text[]) AS a (asked)) AS wanted, LATERAL (
                     SELECT entity_ref, number FROM mutation_rows
                     WHERE tenant_id = $1 AND mutation_id = $2 AND entity_ref = wanted.asked
                         AND unprocessed IS NOT NULL OFFSET 0
                 ) AS given GROUP BY given.entity_ref",
                &[&self.tenant.0, &Text(&self.id.0), &ref_texts(refs)],
                |row| {
                    Ok((
                        stored_ref(row, 0, "mutation_rows.entity_ref")?,
                        value::<i64>(row, 1, "mutation_rows.number")?,
                    ))
                },
            )
            .await?;
        Ok(given.into_iter().collect())
    }

    /// The next refs of which something is taken away, by ref after `after`.
    pub(super) async fn to_go(
        &self,
        tx: &Transaction,
        which: Which,
        after: &str,
    ) -> Result<Stretch, StorageError> {
        let looked = self.candidates(tx, which, after).await?;
        let given = self.given(tx, &looked).await?;
        let goes = |one: &&EntityRef| match which {
            Which::NotGiven | Which::NotContested => !given.contains_key(*one),
            Which::Lost => given.contains_key(*one),
        };
        let refs: Vec<EntityRef> = looked
            .iter()
            .filter(goes)
            .take(MAX_REMOVED)
            .cloned()
            .collect();
        let last = match refs.last() {
            Some(last) if refs.len() == MAX_REMOVED => Some(last.clone()),
            _ => looked.last().cloned(),
        };
        Ok(Stretch { refs, last })
    }

    /// Refs that may be among them.
    async fn candidates(
        &self,
        tx: &Transaction,
        which: Which,
        after: &str,
    ) -> Result<Vec<EntityRef>, StorageError> {
        let tenant = self.tenant.0;
        let (id, source, after) = (Text(&self.id.0), Text(&self.source_key), Text(after));
        match (which, self.kind) {
            (Which::NotGiven, MutationKind::Full) => {
                tx.all(
                    "SELECT target_entity_ref FROM refresh_state_references
                     WHERE tenant_id = $1 AND source_key = $2 AND source_entity_ref = ''
                         AND target_entity_ref > $3
                     ORDER BY target_entity_ref LIMIT $4",
                    &[&tenant, &source, &after, &MAX_LOOKED],
                    |row| stored_ref(row, 0, "refresh_state_references.target_entity_ref"),
                )
                .await
            }
            (Which::NotGiven, MutationKind::Delta) => {
                tx.all(
                    "SELECT DISTINCT entity_ref FROM mutation_rows
                     WHERE tenant_id = $1 AND mutation_id = $2 AND entity_ref > $3 AND unprocessed IS NULL
                     ORDER BY entity_ref LIMIT $4",
                    &[&tenant, &id, &after, &MAX_LOOKED],
                    |row| stored_ref(row, 0, "mutation_rows.entity_ref"),
                )
                .await
            }
            (Which::NotContested, MutationKind::Full) => {
                tx.all(
                    "SELECT entity_ref FROM conflicts
                     WHERE tenant_id = $1 AND source_key = $2 AND source_entity_ref = '' AND entity_ref > $3
                     ORDER BY entity_ref LIMIT $4",
                    &[&tenant, &source, &after, &MAX_LOOKED],
                    |row| stored_ref(row, 0, "conflicts.entity_ref"),
                )
                .await
            }
            (Which::NotContested, MutationKind::Delta) => Ok(Vec::new()),
            (Which::Lost, MutationKind::Full | MutationKind::Delta) => {
                tx.all(
                    "SELECT c.entity_ref FROM conflicts c
                     JOIN refresh_state_references e ON e.tenant_id = $1
                         AND e.target_entity_ref = c.entity_ref AND e.source_key = $2 AND e.source_entity_ref = ''
                     WHERE c.tenant_id = $1 AND c.source_key = $2 AND c.source_entity_ref = '' AND c.entity_ref > $3
                     ORDER BY c.entity_ref LIMIT $4",
                    &[&tenant, &source, &after, &MAX_LOOKED],
                    |row| stored_ref(row, 0, "conflicts.entity_ref"),
                )
                .await
            }
        }
    }
}
