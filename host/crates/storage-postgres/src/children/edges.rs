//! `refresh_state_references`: who gives what.

use std::collections::{BTreeSet, HashMap};

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{Lane, StorageError};

use crate::damage::uid;
use crate::entities::{ref_texts, stored_ref};
use crate::text::{Text, texts};
use crate::transaction::Transaction;
use crate::work::Queueing;

/// The upper end of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source<'a> {
    /// An entity provider, `config` or `locations`, by source key.
    Provider(&'a str),
    /// A parent entity.
    Parent(&'a EntityRef),
}

impl<'a> Source<'a> {
    /// The columns `source_key` and `source_entity_ref`; the one that does not apply is empty.
    pub(crate) fn columns(self) -> (&'a str, &'a str) {
        match self {
            Source::Provider(key) => (key, ""),
            Source::Parent(parent) => ("", parent.as_str()),
        }
    }
}

/// An edge: who gives, and what.
pub(crate) type Edge<'a> = (Source<'a>, &'a EntityRef);

/// The three array parameters of edges: targets, source keys, parents.
pub(super) fn columns<'a>(edges: &[Edge<'a>]) -> (Vec<Text<'a>>, Vec<Text<'a>>, Vec<Text<'a>>) {
    (
        texts(edges.iter().map(|(_, target)| target.as_str())),
        texts(edges.iter().map(|(source, _)| source.columns().0)),
        texts(edges.iter().map(|(source, _)| source.columns().1)),
    )
}

/// Adds edges that may be there already.
pub(crate) async fn add(
    tx: &Transaction,
    tenant: TenantId,
    edges: &[Edge<'_>],
) -> Result<(), StorageError> {
    if edges.is_empty() {
        return Ok(());
    }
    let (targets, keys, parents) = columns(edges);
    tx.run(
        "INSERT INTO refresh_state_references (tenant_id, target_entity_ref, source_key, source_entity_ref)
         SELECT $1, target, key, parent FROM unnest($2::text[], $3::text[], $4::text[]) AS new (target, key, parent)
         ON CONFLICT DO NOTHING",
        &[&tenant.0, &targets, &keys, &parents],
    )
    .await?;
    Ok(())
}

/// Removes edges; answers the targets of those that were there.
pub(crate) async fn remove(
    tx: &Transaction,
    tenant: TenantId,
    edges: &[Edge<'_>],
) -> Result<Vec<EntityRef>, StorageError> {
    if edges.is_empty() {
        return Ok(Vec::new());
    }
    let (targets, keys, parents) = columns(edges);
    tx.all(
        "DELETE FROM refresh_state_references e
         USING unnest($2::text[], $3::text[], $4::text[]) AS gone (target, key, parent)
         WHERE e.tenant_id = $1 AND e.target_entity_ref = gone.target
             AND e.source_key = gone.key AND e.source_entity_ref = gone.parent
         RETURNING e.target_entity_ref",
        &[&tenant.0, &targets, &keys, &parents],
        |row| stored_ref(row, 0, "refresh_state_references.target_entity_ref"),
    )
    .await
}

/// What a source gives, by ref.
pub(crate) async fn targets(
    tx: &Transaction,
    tenant: TenantId,
    source: Source<'_>,
) -> Result<Vec<EntityRef>, StorageError> {
    let (key, parent) = source.columns();
    tx.all(
        "SELECT target_entity_ref FROM refresh_state_references
         WHERE tenant_id = $1 AND source_key = $2 AND source_entity_ref = $3 ORDER BY target_entity_ref",
        &[&tenant.0, &Text(key), &Text(parent)],
        |row| stored_ref(row, 0, "refresh_state_references.target_entity_ref"),
    )
    .await
}

/// What each of these entities emits.
pub(crate) async fn children_of(
    tx: &Transaction,
    tenant: TenantId,
    parents: &[EntityRef],
) -> Result<HashMap<EntityRef, BTreeSet<EntityRef>>, StorageError> {
    let mut children: HashMap<EntityRef, BTreeSet<EntityRef>> = HashMap::new();
    if parents.is_empty() {
        return Ok(children);
    }
    let edges = tx
        .all(
            "SELECT source_entity_ref, target_entity_ref FROM refresh_state_references
             WHERE tenant_id = $1 AND source_key = '' AND source_entity_ref = ANY($2::text[])",
            &[&tenant.0, &ref_texts(parents)],
            |row| {
                Ok((
                    stored_ref(row, 0, "refresh_state_references.source_entity_ref")?,
                    stored_ref(row, 1, "refresh_state_references.target_entity_ref")?,
                ))
            },
        )
        .await?;
    for (parent, child) in edges {
        children.entry(parent).or_default().insert(child);
    }
    Ok(children)
}

/// Clears the memos of the parents of these entities and queues them: what they emit must be placed again.
pub(crate) async fn requeue_parents(
    tx: &Transaction,
    tenant: TenantId,
    targets: &[EntityRef],
    queueing: &mut Queueing,
) -> Result<(), StorageError> {
    if targets.is_empty() {
        return Ok(());
    }
    let parents = tx
        .all(
            "SELECT DISTINCT r.entity_id FROM refresh_state_references e
             JOIN refresh_state r ON r.tenant_id = $1 AND r.entity_ref = e.source_entity_ref
             WHERE e.tenant_id = $1 AND e.target_entity_ref = ANY($2::text[]) AND e.source_key = ''",
            &[&tenant.0, &ref_texts(targets)],
            |row| uid(row, 0, "refresh_state.entity_id"),
        )
        .await?;
    for parent in &parents {
        queueing.add(parent, Lane::Changed, tx.now_ms(), true);
    }
    Ok(())
}
