//! Placing entities that parents emit or providers give: insert, update, or lose (ref §5.4).
//!
//! Who may write a ref is decided by location keys alone: a row without one is anybody's, a row with one belongs to
//! that key, and an orphan yields its key to any emitter, so that a moved file keeps its uid. Every source that is let in
//! keeps its edge; the bytes are the last one's. What loses is a row in `conflicts` until its owner goes.
//!
//! A batch is decided in memory, one offer after the other, on what one statement has read of all the rows and edges
//! concerned; so it may have several offers of one ref, and each statement that writes has each row once. The tenant's
//! graph is locked.

pub(crate) mod chain;
pub(crate) mod conflicts;
mod decide;
pub(crate) mod edges;
mod write;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{Child, Lane, OverQuota, StorageError};

use crate::transaction::Transaction;
use crate::work::Queueing;
use edges::{Edge, Source};

/// What came of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It is new.
    Inserted,
    /// Its bytes, its location key or this edge is new.
    Updated,
    /// All three were there.
    Unchanged,
    /// Another location key owns it.
    Conflict,
    /// It would be new, and its parent is the last of a chain (c19).
    TooFar,
    /// It would be new, and the tenant has as many as it may have.
    NoRoom(OverQuota),
}

/// Who gives entities, and where they are queued.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Giver<'a> {
    /// Where the edge comes from.
    pub(crate) source: Source<'a>,
    /// Whether nothing reaches the giver itself: then what it gives is not rescued by it.
    pub(crate) orphan: bool,
    /// Lane of new entities.
    pub(crate) new: Lane,
    /// Lane of updated ones.
    pub(crate) changed: Lane,
}

impl<'a> Giver<'a> {
    /// A provider, whose entities go all in one lane.
    pub(crate) fn provider(key: &'a str, lane: Lane) -> Giver<'a> {
        Giver {
            source: Source::Provider(key),
            orphan: false,
            new: lane,
            changed: lane,
        }
    }
}

/// An entity and who gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer<'a> {
    /// Who.
    pub(crate) giver: Giver<'a>,
    /// What.
    pub(crate) child: &'a Child,
}

impl<'a> Offer<'a> {
    fn edge(&self) -> Edge<'a> {
        (self.giver.source, &self.child.entity_ref)
    }
}

/// What came of the entities of one giver.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// New ones.
    pub(crate) added: u64,
    /// Those with new bytes, location key or edge.
    pub(crate) updated: u64,
    /// The others that it has.
    pub(crate) unchanged: u64,
    /// What another location key owns.
    pub(crate) conflicts: Vec<EntityRef>,
    /// What found no room: why each did not.
    pub(crate) left_out: Vec<OverQuota>,
}

/// Places the entities of one giver and queues them.
pub(crate) async fn apply(
    tx: &Transaction,
    tenant: TenantId,
    giver: Giver<'_>,
    children: &[Child],
) -> Result<Applied, StorageError> {
    let offers: Vec<Offer<'_>> = children
        .iter()
        .map(|child| Offer { giver, child })
        .collect();
    let mut queueing = Queueing::default();
    let placed = place(tx, tenant, &offers, &mut queueing).await?;
    queueing.write(tx, tenant).await?;
    let mut applied = Applied::default();
    for (child, placed) in children.iter().zip(placed) {
        match placed {
            Placed::Inserted => applied.added += 1,
            Placed::Updated => applied.updated += 1,
            Placed::Unchanged => applied.unchanged += 1,
            Placed::Conflict => applied.conflicts.push(child.entity_ref.clone()),
            // Only parents stand in a chain, and a run tells them itself.
            Placed::TooFar => {}
            Placed::NoRoom(over) => applied.left_out.push(over),
        }
    }
    Ok(applied)
}

/// Places entities in order, with their edges; their work is left in `queueing`. Answers what came of each.
pub(crate) async fn place(
    tx: &Transaction,
    tenant: TenantId,
    offers: &[Offer<'_>],
    queueing: &mut Queueing,
) -> Result<Vec<Placed>, StorageError> {
    if offers.is_empty() {
        return Ok(Vec::new());
    }
    let found = decide::read(tx, tenant, offers).await?;
    let may_grow = chain::may_grow(tx, tenant, &decide::growing(offers, &found)).await?;
    let mut room = decide::room(tx, tenant, &found).await?;
    let decided = decide::decide(offers, found, &may_grow, &mut room);
    write::write(tx, tenant, &decided, queueing).await?;
    Ok(decided.placed)
}
