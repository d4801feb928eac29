//! Whether emitters stand so near to an origin that what they emit may be new (c19).
//!
//! Nothing is stored with an entity: its distance changes with edges anywhere above it. The walk goes up from all emitters of
//! a batch at once, a level per statement, and no further than a provider's edge; so the number of statements follows from
//! how deep the catalog is, and for most batches is one or two.

use std::collections::{HashMap, HashSet, VecDeque};

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::{MAX_CHAIN, StorageError};

use crate::damage::{text, value};
use crate::text::texts;
use crate::transaction::Transaction;

/// Emitters of one entity that a walk looks at.
const MAX_SOURCES: i64 = 1_000;
/// Edges that a whole walk looks at. One that has found no origin by then is in no ordinary catalog.
const MAX_LOOKED: i64 = 20_000;

/// What gives an entity, as far as it was looked at.
#[derive(Debug, Default)]
struct Above {
    provider: bool,
    parents: Vec<String>,
    /// There may be more.
    cut: bool,
}

type Graph = HashMap<String, Above>;

/// Those of the entities of which a new child is within [`MAX_CHAIN`] steps of an origin: of a provider's entity, or of one
/// that nobody emits. A cycle that nothing leads into has no origin, and only the length of what hangs from it counts.
pub(crate) async fn may_grow<'a>(
    tx: &Transaction,
    tenant: TenantId,
    emitters: &[&'a EntityRef],
) -> Result<HashSet<&'a EntityRef>, StorageError> {
    let mut graph = Graph::new();
    let mut next: Vec<String> = emitters.iter().map(|emitter| emitter.to_string()).collect();
    let mut left = MAX_LOOKED;
    for _ in 0..MAX_CHAIN {
        if next.is_empty() || left <= 0 {
            break;
        }
        let looked = look(tx, tenant, &next, left, &mut graph).await?;
        left -= looked;
        let parents = next
            .iter()
            .filter_map(|at| graph.get(at))
            .filter(|above| !above.provider)
            .flat_map(|above| above.parents.iter());
        let unseen: HashSet<&String> = parents
            .filter(|parent| !graph.contains_key(*parent))
            .collect();
        next = unseen.into_iter().cloned().collect();
    }
    let near = emitters
        .iter()
        .filter(|emitter| is_near(&graph, emitter.as_str()));
    Ok(near.copied().collect())
}

/// Looks at who gives these entities; answers how many edges were seen.
async fn look(
    tx: &Transaction,
    tenant: TenantId,
    targets: &[String],
    most: i64,
    graph: &mut Graph,
) -> Result<i64, StorageError> {
    let edges = tx
        .all(
            "SELECT target.entity_ref, e.source_key <> '', e.source_entity_ref
             FROM unnest($2::text[]) AS target (entity_ref), LATERAL (
                 SELECT source_key, source_entity_ref FROM refresh_state_references
                 WHERE tenant_id = $1 AND target_entity_ref = target.entity_ref
                 ORDER BY source_key DESC LIMIT $3
             ) e LIMIT $4",
            &[
                &tenant.0,
                &texts(targets.iter().map(String::as_str)),
                &MAX_SOURCES,
                &most,
            ],
            |row| {
                Ok((
                    text(row, 0, "refresh_state_references.target_entity_ref")?,
                    value::<bool>(row, 1, "refresh_state_references.source_key")?,
                    text(row, 2, "refresh_state_references.source_entity_ref")?,
                ))
            },
        )
        .await?;
    let looked = edges.len() as i64;
    for target in targets {
        // Where the walk's bound was met, any of them may have more.
        graph.entry(target.clone()).or_default().cut = looked == most;
    }
    for (target, provider, parent) in edges {
        let above = graph.entry(target).or_default();
        above.provider |= provider;
        if !provider {
            above.parents.push(parent);
        }
        above.cut |= above.parents.len() as i64 == MAX_SOURCES;
    }
    Ok(looked)
}

/// Whether an origin is near enough above an entity, as far as the graph was looked at.
fn is_near(graph: &Graph, start: &str) -> bool {
    let mut seen = HashSet::from([start]);
    let mut next = VecDeque::from([(start, 1)]);
    let mut all_seen = true;
    while let Some((at, steps)) = next.pop_front() {
        let Some(above) = graph.get(at) else {
            all_seen = false;
            continue;
        };
        if above.provider || (above.parents.is_empty() && !above.cut) {
            return true;
        }
        all_seen &= !above.cut;
        if steps == MAX_CHAIN {
            all_seen = false;
            continue;
        }
        for parent in &above.parents {
            if seen.insert(parent) {
                next.push_back((parent, steps + 1));
            }
        }
    }
    all_seen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `at` is given by these; a provider is empty.
    fn add(graph: &mut Graph, at: &str, sources: &[&str]) {
        let above = graph.entry(at.to_owned()).or_default();
        for source in sources {
            above.provider |= source.is_empty();
            if !source.is_empty() {
                above.parents.push((*source).to_owned());
            }
        }
    }

    #[test]
    fn c19_the_longer_way_does_not_hide_the_shorter_one() {
        let mut graph = Graph::new();
        add(&mut graph, "0", &[""]);
        for number in 1..=40 {
            let (at, parent) = (format!("{number}"), format!("{}", number - 1));
            add(&mut graph, &at, &[&parent]);
        }
        assert!(is_near(&graph, "31"));
        assert!(!is_near(&graph, "32"));
        add(&mut graph, "near", &["20"]);
        add(&mut graph, "40", &["near"]);
        assert!(is_near(&graph, "40"));
        assert!(!is_near(&graph, "39"));
    }

    #[test]
    fn c19_a_cycle_counts_by_what_hangs_from_it() {
        let mut graph = Graph::new();
        add(&mut graph, "a", &["b"]);
        add(&mut graph, "b", &["a"]);
        add(&mut graph, "0", &["b"]);
        for number in 1..=40 {
            let (at, parent) = (format!("{number}"), format!("{}", number - 1));
            add(&mut graph, &at, &[&parent]);
        }
        assert!(is_near(&graph, "a") && is_near(&graph, "20"));
        assert!(!is_near(&graph, "35"));
    }

    #[test]
    fn c19_what_was_not_looked_at_is_not_near() {
        let mut graph = Graph::new();
        add(&mut graph, "a", &["b"]);
        assert!(!is_near(&graph, "a"), "b was not looked at");
        add(&mut graph, "b", &[]);
        assert!(is_near(&graph, "a"), "nobody emits b");
        graph.get_mut("b").unwrap().cut = true;
        assert!(!is_near(&graph, "a"), "somebody may");
    }
}
