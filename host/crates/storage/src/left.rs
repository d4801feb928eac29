//! What a good run leaves beside its entity, edges to its children and relations, as one digest (DESIGN §2).
//!
//! Every backend keeps it with the run and compares it, in the audit, with what is there; so it is the same on all of them.

use std::collections::BTreeSet;

use greenroom_model::{Digest, EntityRef, Relation};

/// The digest of these edges and relations, in whatever order they come.
#[must_use]
pub fn left_digest<'a>(
    targets: impl IntoIterator<Item = &'a EntityRef>,
    relations: impl IntoIterator<Item = &'a Relation>,
) -> Digest {
    let targets: BTreeSet<&str> = targets.into_iter().map(EntityRef::as_str).collect();
    let relations: BTreeSet<[&str; 3]> = relations
        .into_iter()
        .map(|one| {
            [
                one.source.as_str(),
                one.r#type.as_str(),
                one.target.as_str(),
            ]
        })
        .collect();
    let mut parts: Vec<&[u8]> = vec![b"edges"];
    parts.extend(targets.into_iter().map(str::as_bytes));
    parts.push(b"relations");
    parts.extend(relations.iter().flatten().map(|text| text.as_bytes()));
    Digest::of_parts(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_no_relation_and_order_is_nothing() {
        let entity = |name: &str| EntityRef::new("component", "default", name);
        let relation = Relation {
            source: entity("a"),
            r#type: "edges".into(),
            target: entity("b"),
        };
        let (a, b) = (entity("a"), entity("b"));
        assert_eq!(left_digest([&a, &b], []), left_digest([&b, &a], []));
        assert_ne!(left_digest([&a, &b], []), left_digest([&a], []));
        assert_ne!(left_digest([&a, &b], []), left_digest([], [&relation]));
        assert_eq!(
            left_digest([], [&relation, &relation]),
            left_digest([], [&relation])
        );
    }
}
