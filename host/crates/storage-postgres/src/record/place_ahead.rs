//! Placing the children of a run with many of them, chunk by chunk, each chunk in a fenced transaction.

use greenroom_storage::{Child, Claim, RunRecord, RunResult, StorageError};

use crate::children::{Offer, place};
use crate::graph;
use crate::postgres_storage::PostgresStorage;
use crate::record::fence::fence;
use crate::record::{MAX_BYTES, MAX_ROWS, Placement, giver};
use crate::work::Queueing;

/// Places them if they are more than a transaction's worth; `None` if they are not. Where the claim is lost nothing more is
/// placed, and the run will not be recorded either.
pub(super) async fn place_ahead(
    storage: &PostgresStorage,
    record: &RunRecord,
) -> Result<Option<Placement>, StorageError> {
    let RunResult::Succeeded(success) = &record.result else {
        return Ok(None);
    };
    let bytes: usize = success
        .children
        .iter()
        .map(|child| child.unprocessed.len())
        .sum();
    if success.children.len() <= MAX_ROWS && bytes <= MAX_BYTES {
        return Ok(None);
    }
    let mut all = Placement::default();
    for chunk in chunks(&success.children) {
        if !place_chunk(storage, &record.claim, chunk, &mut all).await? {
            return Ok(Some(Placement::default()));
        }
    }
    Ok(Some(all))
}

/// `false` if the claim is lost.
async fn place_chunk(
    storage: &PostgresStorage,
    claim: &Claim,
    chunk: &[Child],
    all: &mut Placement,
) -> Result<bool, StorageError> {
    let tx = storage.begin("place children").await?;
    graph::lock(&tx, claim.tenant).await?;
    let Some(target) = fence(&tx, claim.tenant, &[claim]).await?.pop().flatten() else {
        tx.roll_back().await?;
        return Ok(false);
    };
    let giver = giver(&target);
    let offers: Vec<Offer<'_>> = chunk.iter().map(|child| Offer { giver, child }).collect();
    let mut queueing = Queueing::default();
    let placed = place(&tx, claim.tenant, &offers, &mut queueing).await?;
    queueing.write(&tx, claim.tenant).await?;
    tx.commit().await?;
    for (child, placed) in chunk.iter().zip(placed) {
        all.add(&child.entity_ref, placed);
    }
    Ok(true)
}

/// Cuts children into transactions' worth; one larger than the bound goes alone.
fn chunks(children: &[Child]) -> Vec<&[Child]> {
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, child) in children.iter().enumerate() {
        let full = index - start >= MAX_ROWS || bytes + child.unprocessed.len() > MAX_BYTES;
        if full && index > start {
            chunks.push(&children[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += child.unprocessed.len();
    }
    chunks.push(&children[start..]);
    chunks
}
