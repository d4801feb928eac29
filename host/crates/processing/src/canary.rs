//! Choosing the entities of a canary: up to 50 that the processor matches, spread over kinds and origins (DESIGN §3.3).
//!
//! Only entities whose present bytes had a good result are chosen, because only they can regress. Uids are random, so
//! walking by uid meets a sample; the walk ends when it has met ten times what is chosen, which leaves something to spread,
//! or at the tenant's end. Choosing reads and decides; storage starts the canary only if nobody else has.

use std::collections::BTreeMap;

use greenroom_model::{Digest, Entity, EntityUid, annotations};
use greenroom_orchestrator::PipelineProcessor;
use greenroom_storage::{CANARY_ENTITIES, CanaryCandidate, Storage, UnpickedCanary};

use crate::{Pipelines, ProcessingError};

/// Entities looked at together.
const CHUNK: u32 = 200;
/// Matching entities met before the choice is made.
const MET: usize = 10 * CANARY_ENTITIES as usize;

/// Starts the canaries that wait for their entities; answers how many. A processor that is not in its tenant's pipeline
/// under the activated revision is left for another time: it was disabled, or something newer is current.
///
/// # Errors
/// If the storage does not answer, or a tenant is gone.
pub async fn start_canaries(
    storage: &dyn Storage,
    pipelines: &Pipelines,
) -> Result<u64, ProcessingError> {
    let mut started = 0;
    for canary in storage.unpicked_canaries().await? {
        let pipeline = match pipelines.of(canary.tenant).await {
            Ok(pipeline) => pipeline,
            Err(ProcessingError::TenantGone) => continue,
            Err(error) => return Err(error),
        };
        let processor = pipeline
            .pipeline
            .processors
            .iter()
            .find(|one| one.name == canary.processor && one.revision == canary.digest);
        if let Some(processor) = processor {
            let entities = choose(storage, &canary, processor).await?;
            if storage.start_canary(&canary, &entities).await? {
                started += 1;
            }
        }
    }
    Ok(started)
}

async fn choose(
    storage: &dyn Storage,
    canary: &UnpickedCanary,
    processor: &PipelineProcessor,
) -> Result<Vec<EntityUid>, ProcessingError> {
    let mut groups: Groups = BTreeMap::new();
    let mut met = 0;
    let mut after: Option<EntityUid> = None;
    while met < MET {
        let chunk = storage
            .canary_candidates(canary.tenant, after.as_ref(), CHUNK)
            .await?;
        let Some(last) = chunk.last() else { break };
        after = Some(last.uid.clone());
        for candidate in chunk {
            if let Some(group) = group_of(&candidate, processor) {
                groups.entry(group).or_default().push(candidate.uid);
                met += 1;
            }
        }
    }
    Ok(spread(groups))
}

/// Entities by kind and origin.
type Groups = BTreeMap<(String, String), Vec<EntityUid>>;

/// The group of a candidate, if it can be chosen.
fn group_of(
    candidate: &CanaryCandidate,
    processor: &PipelineProcessor,
) -> Option<(String, String)> {
    if Digest::of(candidate.unprocessed.as_bytes()) != candidate.good {
        return None;
    }
    let entity = Entity::from_json(&candidate.unprocessed).ok()?;
    let origin = entity
        .annotation(annotations::MANAGED_BY_ORIGIN_LOCATION)
        .unwrap_or_default();
    processor
        .matches(&entity)
        .then(|| (entity.kind().to_lowercase(), origin.to_owned()))
}

/// Takes one of each group in turn until there are enough.
fn spread(mut groups: Groups) -> Vec<EntityUid> {
    let mut chosen = Vec::new();
    while chosen.len() < CANARY_ENTITIES as usize && !groups.is_empty() {
        groups.retain(|_, uids| {
            if chosen.len() < CANARY_ENTITIES as usize {
                chosen.extend(uids.pop());
            }
            !uids.is_empty()
        });
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(kind: &str, origin: &str, count: usize) -> ((String, String), Vec<EntityUid>) {
        let uids = (0..count).map(|number| EntityUid::new(format!("{kind}-{origin}-{number}")));
        ((kind.to_owned(), origin.to_owned()), uids.collect())
    }

    #[test]
    fn a_large_origin_leaves_room_for_every_kind_and_origin() {
        let groups = Groups::from([
            group("component", "monorepo", 400),
            group("component", "small", 2),
            group("api", "monorepo", 5),
        ]);
        let chosen = spread(groups);
        assert_eq!(chosen.len(), 50);
        let of = |prefix: &str| {
            let starts = |uid: &&EntityUid| uid.as_str().starts_with(prefix);
            chosen.iter().filter(starts).count()
        };
        assert_eq!(of("component-small"), 2);
        assert_eq!(of("api-monorepo"), 5);
        assert_eq!(of("component-monorepo"), 43);
    }

    #[test]
    fn what_there_is_is_enough_and_nothing_is_chosen_twice() {
        let mut chosen = spread(Groups::from([group("a", "x", 3), group("b", "x", 1)]));
        chosen.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        chosen.dedup();
        assert_eq!(chosen.len(), 4);
        assert!(spread(Groups::new()).is_empty());
    }
}
