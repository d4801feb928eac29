//! What becomes of each offer of a batch: read once, decided in order, nothing written yet.

use std::collections::{BTreeMap, HashMap, HashSet};

use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::{Lane, StorageError};
use uuid::Uuid;

use crate::children::conflicts::Lost;
use crate::children::edges::{self, Edge, Source};
use crate::children::{Offer, Placed};
use crate::damage::{damaged, optional_text, text, value};
use crate::quotas::{self, Standing};
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// What an offer meets in the database.
#[derive(Debug, Default)]
pub(super) struct Found {
    row: Option<Row>,
    same_bytes: bool,
    has_edge: bool,
    others_have_edges: bool,
}

#[derive(Debug, Clone)]
struct Row {
    uid: EntityUid,
    location_key: Option<String>,
    orphan: bool,
}

/// Reads what all offers meet. Bodies are compared where they are: none comes back.
pub(super) async fn read(
    tx: &Transaction,
    tenant: TenantId,
    offers: &[Offer<'_>],
) -> Result<Vec<Found>, StorageError> {
    let edges: Vec<Edge<'_>> = offers.iter().map(Offer::edge).collect();
    let (targets, keys, parents) = edges::columns(&edges);
    let bodies: Vec<Text<'_>> = texts(offers.iter().map(|offer| offer.child.unprocessed.as_str()));
    let mut found: Vec<Found> = offers.iter().map(|_| Found::default()).collect();
    let rows = tx
        .rows(
            "SELECT offer.n, r.entity_id, r.location_key, r.orphaned_at IS NOT NULL, r.unprocessed_entity = offer.body,
                 EXISTS (SELECT 1 FROM refresh_state_references e WHERE e.tenant_id = $1
                     AND e.target_entity_ref = offer.target AND e.source_key = offer.key
                     AND e.source_entity_ref = offer.parent),
                 EXISTS (SELECT 1 FROM refresh_state_references e WHERE e.tenant_id = $1
                     AND e.target_entity_ref = offer.target
                     AND (e.source_key, e.source_entity_ref) <> (offer.key, offer.parent))
             FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
                 WITH ORDINALITY AS offer (target, key, parent, body, n)
             JOIN refresh_state r ON r.tenant_id = $1 AND r.entity_ref = offer.target",
            &[&tenant.0, &targets, &keys, &parents, &bodies],
        )
        .await?;
    for row in &rows {
        let n: i64 = value(row, 0, "refresh_state")?;
        let slot = usize::try_from(n - 1)
            .ok()
            .and_then(|n| found.get_mut(n))
            .ok_or_else(|| damaged("refresh_state", "no such offer"))?;
        *slot = Found {
            row: Some(Row {
                uid: EntityUid::new(text(row, 1, "refresh_state.entity_id")?),
                location_key: optional_text(row, 2, "refresh_state.location_key")?,
                orphan: value(row, 3, "refresh_state.orphaned_at")?,
            }),
            same_bytes: value(row, 4, "refresh_state.unprocessed_entity")?,
            has_edge: value(row, 5, "refresh_state_references")?,
            others_have_edges: value(row, 6, "refresh_state_references")?,
        };
    }
    Ok(found)
}

/// The parents that emit what is new, whose distance from an origin matters.
pub(super) fn growing<'a>(offers: &[Offer<'a>], found: &[Found]) -> Vec<&'a EntityRef> {
    let new = offers
        .iter()
        .zip(found)
        .filter(|(_, found)| found.row.is_none());
    let parents: HashSet<&EntityRef> = new
        .filter_map(|(offer, _)| match offer.giver.source {
            Source::Parent(parent) => Some(parent),
            Source::Provider(_) => None,
        })
        .collect();
    parents.into_iter().collect()
}

/// How the tenant stands, if the batch has what may be new.
pub(super) async fn room(
    tx: &Transaction,
    tenant: TenantId,
    found: &[Found],
) -> Result<Option<Standing>, StorageError> {
    if found.iter().all(|found| found.row.is_some()) {
        return Ok(None);
    }
    quotas::standing(tx, tenant).await.map(Some)
}

/// What a ref is while the batch is decided.
struct State<'a> {
    row: Row,
    body: Body<'a>,
    /// Sources whose edges this batch adds.
    added: Vec<Source<'a>>,
    inserted: bool,
    rewritten: bool,
    rescued: bool,
}

#[derive(Clone, Copy)]
enum Body<'a> {
    Stored,
    Offered(&'a str),
}

/// The row of a ref that is new or has another body or location key than before.
pub(super) struct Rewritten<'a> {
    pub(super) uid: EntityUid,
    pub(super) entity_ref: &'a EntityRef,
    pub(super) location_key: Option<String>,
    /// `None`: as it is stored.
    pub(super) body: Option<&'a str>,
}

/// What a batch writes.
#[derive(Default)]
pub(super) struct Decided<'a> {
    pub(super) placed: Vec<Placed>,
    pub(super) inserted: Vec<Rewritten<'a>>,
    pub(super) updated: Vec<Rewritten<'a>>,
    pub(super) edges: Vec<Edge<'a>>,
    pub(super) resolved: Vec<Edge<'a>>,
    pub(super) lost: Vec<Lost<'a>>,
    pub(super) rescued: Vec<EntityRef>,
    pub(super) queued: Vec<(EntityUid, Lane)>,
}

/// What becomes of a source's conflict over a ref; the last of a batch holds.
enum Dispute<'a> {
    Lost(Lost<'a>),
    Resolved,
}

/// Decides a batch in order. `may_grow` are the parents that may emit what is new, `room` is what they have for it.
pub(super) fn decide<'a>(
    offers: &[Offer<'a>],
    found: Vec<Found>,
    may_grow: &HashSet<&EntityRef>,
    room: &mut Option<Standing>,
) -> Decided<'a> {
    let mut decided = Decided::default();
    let mut states: HashMap<&'a EntityRef, State<'a>> = HashMap::new();
    let mut disputes: BTreeMap<(&'a EntityRef, Source<'a>), Dispute<'a>> = BTreeMap::new();
    for (offer, found) in offers.iter().zip(found) {
        let placed = one(
            offer,
            found,
            may_grow,
            room,
            &mut states,
            &mut disputes,
            &mut decided,
        );
        decided.placed.push(placed);
    }
    for (entity_ref, state) in states {
        if state.rescued {
            decided.rescued.push(entity_ref.clone());
        }
        let row = Rewritten {
            uid: state.row.uid,
            entity_ref,
            location_key: state.row.location_key,
            body: match state.body {
                Body::Stored => None,
                Body::Offered(body) => Some(body),
            },
        };
        if state.inserted {
            decided.inserted.push(row);
        } else if state.rewritten {
            decided.updated.push(row);
        }
    }
    for ((entity_ref, source), dispute) in disputes {
        match dispute {
            Dispute::Lost(lost) => decided.lost.push(lost),
            Dispute::Resolved => decided.resolved.push((source, entity_ref)),
        }
    }
    decided
}

fn one<'a>(
    offer: &Offer<'a>,
    found: Found,
    may_grow: &HashSet<&EntityRef>,
    room: &mut Option<Standing>,
    states: &mut HashMap<&'a EntityRef, State<'a>>,
    disputes: &mut BTreeMap<(&'a EntityRef, Source<'a>), Dispute<'a>>,
    decided: &mut Decided<'a>,
) -> Placed {
    let (giver, child) = (offer.giver, offer.child);
    let dispute = (&child.entity_ref, giver.source);
    let Some(state) = state_of(offer, found.row, states) else {
        if matches!(giver.source, Source::Parent(parent) if !may_grow.contains(parent)) {
            return Placed::TooFar;
        }
        if let Some(Err(over)) = room.as_mut().map(Standing::take_entity) {
            return Placed::NoRoom(over);
        }
        let uid = EntityUid::new(Uuid::new_v4().to_string());
        states.insert(
            &child.entity_ref,
            State {
                row: Row {
                    uid: uid.clone(),
                    location_key: child.location_key.clone(),
                    orphan: false,
                },
                body: Body::Offered(&child.unprocessed),
                added: vec![giver.source],
                inserted: true,
                rewritten: false,
                rescued: false,
            },
        );
        decided.edges.push(offer.edge());
        disputes.insert(dispute, Dispute::Resolved);
        decided.queued.push((uid, giver.new));
        return Placed::Inserted;
    };
    let has_edge = found.has_edge || state.added.contains(&giver.source);
    let row = &state.row;
    let is_open =
        row.orphan || row.location_key.is_none() || row.location_key == child.location_key;
    // Backstage removes and adds where a provider gives its own entity a new key (ref §6.1); we keep the uid.
    let is_only_source = || {
        let others =
            found.others_have_edges || state.added.iter().any(|source| *source != giver.source);
        matches!(giver.source, Source::Provider(_)) && has_edge && !others
    };
    if !is_open && !is_only_source() {
        let lost = Lost {
            offer: *offer,
            owner: row.location_key.clone(),
        };
        disputes.insert(dispute, Dispute::Lost(lost));
        return Placed::Conflict;
    }
    let same_bytes = match state.body {
        Body::Stored => found.same_bytes,
        Body::Offered(body) => body == child.unprocessed,
    };
    let same_row = same_bytes && row.location_key == child.location_key;
    if !same_row {
        state.row.location_key.clone_from(&child.location_key);
        state.body = Body::Offered(&child.unprocessed);
        state.rewritten = true;
    }
    if !has_edge {
        state.added.push(giver.source);
        decided.edges.push(offer.edge());
        disputes.insert(dispute, Dispute::Resolved);
    }
    if state.row.orphan && !giver.orphan {
        state.row.orphan = false;
        state.rescued = true;
    }
    if same_row && has_edge {
        return Placed::Unchanged;
    }
    decided.queued.push((state.row.uid.clone(), giver.changed));
    Placed::Updated
}

/// The state of an offer's ref; none if it is new.
fn state_of<'s, 'a>(
    offer: &Offer<'a>,
    found: Option<Row>,
    states: &'s mut HashMap<&'a EntityRef, State<'a>>,
) -> Option<&'s mut State<'a>> {
    let entity_ref = &offer.child.entity_ref;
    if let Some(row) = found
        && !states.contains_key(entity_ref)
    {
        let state = State {
            row,
            body: Body::Stored,
            added: Vec::new(),
            inserted: false,
            rewritten: false,
            rescued: false,
        };
        states.insert(entity_ref, state);
    }
    states.get_mut(entity_ref)
}
