//! `conflicts`: emissions that lost to another location key, so that the loser takes over when the owner goes.
//!
//! A row lasts until the loser is let in, stops giving the entity, or the owner goes. A parent is then run again; a
//! provider cannot be asked again, so what it gave is kept in the row and placed.

use std::collections::HashSet;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{Child, Lane, StorageError};

use crate::children::edges::{self, Edge, Source};
use crate::children::{Giver, Offer, Placed, place};
use crate::damage::{optional_text, text};
use crate::entities::{ref_of_text, ref_texts, stored_ref, uids_of};
use crate::text::{Text, texts};
use crate::transaction::Transaction;
use crate::work::Queueing;

/// Somebody lost.
#[derive(Debug)]
pub(super) struct Lost<'a> {
    pub(super) offer: Offer<'a>,
    /// The key of who has it.
    pub(super) owner: Option<String>,
}

/// Notes those that lost; each source and ref once.
pub(super) async fn note(
    tx: &Transaction,
    tenant: TenantId,
    lost: &[Lost<'_>],
) -> Result<(), StorageError> {
    if lost.is_empty() {
        return Ok(());
    }
    let edges: Vec<Edge<'_>> = lost.iter().map(|lost| lost.offer.edge()).collect();
    let (targets, keys, parents) = edges::columns(&edges);
    let wanted: Vec<Option<Text<'_>>> = lost
        .iter()
        .map(|lost| lost.offer.child.location_key.as_deref().map(Text))
        .collect();
    let owners: Vec<Option<Text<'_>>> = lost
        .iter()
        .map(|lost| lost.owner.as_deref().map(Text))
        .collect();
    let kept: Vec<Option<Text<'_>>> = lost
        .iter()
        .map(|lost| match lost.offer.giver.source {
            Source::Provider(_) => Some(Text(&lost.offer.child.unprocessed)),
            Source::Parent(_) => None,
        })
        .collect();
    tx.run(
        "INSERT INTO conflicts (tenant_id, entity_ref, source_key, source_entity_ref,
             location_key, owner_location_key, unprocessed_entity, at)
         SELECT $1, lost.target, lost.key, lost.parent, lost.wanted, lost.owner, lost.kept, $8
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
             AS lost (target, key, parent, wanted, owner, kept)
         ON CONFLICT (tenant_id, entity_ref, source_key, source_entity_ref) DO UPDATE SET
             location_key = excluded.location_key, owner_location_key = excluded.owner_location_key,
             unprocessed_entity = excluded.unprocessed_entity, at = excluded.at",
        &[
            &tenant.0,
            &targets,
            &keys,
            &parents,
            &wanted,
            &owners,
            &kept,
            &tx.now_ms(),
        ],
    )
    .await?;
    Ok(())
}

/// The sources were let in, or no longer give the entities.
pub(crate) async fn resolve(
    tx: &Transaction,
    tenant: TenantId,
    edges: &[Edge<'_>],
) -> Result<(), StorageError> {
    if edges.is_empty() {
        return Ok(());
    }
    let (targets, keys, parents) = edges::columns(edges);
    tx.run(
        "DELETE FROM conflicts c USING unnest($2::text[], $3::text[], $4::text[]) AS gone (target, key, parent)
         WHERE c.tenant_id = $1 AND c.entity_ref = gone.target
             AND c.source_key = gone.key AND c.source_entity_ref = gone.parent",
        &[&tenant.0, &targets, &keys, &parents],
    )
    .await?;
    Ok(())
}

/// What sources give now. What they lost before and do not give any more is dropped.
pub(crate) async fn retain(
    tx: &Transaction,
    tenant: TenantId,
    given: &[(Source<'_>, HashSet<&EntityRef>)],
) -> Result<(), StorageError> {
    if given.is_empty() {
        return Ok(());
    }
    let lost = tx
        .all(
            "SELECT source.n, c.entity_ref
             FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS source (key, parent, n)
             JOIN conflicts c ON c.tenant_id = $1 AND c.source_key = source.key
                 AND c.source_entity_ref = source.parent",
            &[
                &tenant.0,
                &texts(given.iter().map(|(source, _)| source.columns().0)),
                &texts(given.iter().map(|(source, _)| source.columns().1)),
            ],
            |row| {
                Ok((
                    crate::damage::unsigned(row, 0, "conflicts")?,
                    stored_ref(row, 1, "conflicts.entity_ref")?,
                ))
            },
        )
        .await?;
    let mut dropped: Vec<Edge<'_>> = Vec::new();
    for (n, entity_ref) in &lost {
        if let Some((source, given)) = given.get(*n as usize - 1)
            && !given.contains(entity_ref)
        {
            dropped.push((*source, entity_ref));
        }
    }
    resolve(tx, tenant, &dropped).await
}

struct Loser {
    child: Child,
    source_key: String,
    parent: EntityRef,
    /// Whether a provider gave it, so that `child` is what it gave.
    is_kept: bool,
}

/// The owners of these refs have gone or yield them: their losers try again, the longest waiting first.
pub(crate) async fn release(
    tx: &Transaction,
    tenant: TenantId,
    refs: &[EntityRef],
    queueing: &mut Queueing,
) -> Result<(), StorageError> {
    if refs.is_empty() {
        return Ok(());
    }
    let losers = tx
        .all(
            "WITH lost AS (
                 DELETE FROM conflicts WHERE tenant_id = $1 AND entity_ref = ANY($2::text[])
                 RETURNING entity_ref, source_key, source_entity_ref, location_key, unprocessed_entity, at
             )
             SELECT entity_ref, source_key, source_entity_ref, location_key, unprocessed_entity FROM lost
             ORDER BY at, entity_ref, source_key, source_entity_ref",
            &[&tenant.0, &ref_texts(refs)],
            |row| {
                let kept = optional_text(row, 4, "conflicts.unprocessed_entity")?;
                Ok(Loser {
                    source_key: text(row, 1, "conflicts.source_key")?,
                    parent: ref_of_text(&text(row, 2, "conflicts.source_entity_ref")?),
                    is_kept: kept.is_some(),
                    child: Child {
                        entity_ref: stored_ref(row, 0, "conflicts.entity_ref")?,
                        unprocessed: kept.unwrap_or_default(),
                        location_key: optional_text(row, 3, "conflicts.location_key")?,
                    },
                })
            },
        )
        .await?;
    let (kept, emitted): (Vec<Loser>, Vec<Loser>) =
        losers.into_iter().partition(|loser| loser.is_kept);
    let offers: Vec<Offer<'_>> = kept
        .iter()
        .map(|loser| Offer {
            giver: Giver {
                source: Source::Provider(&loser.source_key),
                orphan: false,
                new: Lane::New,
                changed: Lane::New,
            },
            child: &loser.child,
        })
        .collect();
    let placed = place(tx, tenant, &offers, queueing).await?;
    // What has no room stays lost until the provider gives it again.
    let left_out: Vec<Lost<'_>> = offers
        .iter()
        .zip(placed)
        .filter(|(_, placed)| matches!(placed, Placed::NoRoom(_)))
        .map(|(offer, _)| Lost {
            offer: *offer,
            owner: None,
        })
        .collect();
    note(tx, tenant, &left_out).await?;
    if !emitted.is_empty() {
        let parents: Vec<&EntityRef> = emitted.iter().map(|loser| &loser.parent).collect();
        for uid in uids_of(tx, tenant, parents).await?.values() {
            queueing.add(uid, Lane::Changed, tx.now_ms(), true);
        }
    }
    Ok(())
}
