//! Whether an emitter stands so near to an origin that what it emits may be new (c19).
//!
//! Nothing is stored with an entity: its distance changes with edges anywhere above it. The walk asks for one short way up,
//! not for the shortest, and goes deep before it goes wide, so that an entity with thousands of emitters costs no more
//! than one with a single one.

use std::collections::HashMap;

use greenroom_model::{EntityRef, TenantId};
use greenroom_storage::MAX_CHAIN;
use rusqlite::{Connection, params};

use crate::damage::value;
use crate::statement;

/// Emitters of one entity that a walk looks at.
const MAX_SOURCES: usize = 1_000;
/// Edges that a whole walk looks at. One that has found no origin by then is in no ordinary catalog.
const MAX_LOOKED: usize = 5_000;

/// Whether a new child of the entity is within [`MAX_CHAIN`] steps of an origin: of a provider's entity, or of one that
/// nobody emits. A cycle that nothing leads into has no origin, and only the length of what hangs from it counts.
pub(crate) fn may_grow(
    conn: &Connection,
    tenant: TenantId,
    entity_ref: &EntityRef,
) -> rusqlite::Result<bool> {
    let start = entity_ref.as_str().to_owned();
    let mut steps = HashMap::from([(start.clone(), 0)]);
    let mut next = vec![start];
    let mut left = MAX_LOOKED;
    let mut all_seen = true;
    while let Some(at) = next.pop() {
        let most = left.min(MAX_SOURCES);
        if most == 0 {
            return Ok(false);
        }
        let found = sources(conn, tenant, &at, most)?;
        left -= found.len();
        if found.first().is_none_or(Option::is_none) {
            return Ok(true);
        }
        let up = steps.get(&at).copied().unwrap_or(0) + 1;
        if up == MAX_CHAIN {
            all_seen = false;
            continue;
        }
        all_seen &= found.len() < most;
        for parent in found.into_iter().flatten() {
            if steps.get(&parent).is_none_or(|known| *known > up) {
                steps.insert(parent.clone(), up);
                next.push(parent);
            }
        }
    }
    Ok(all_seen)
}

/// Who gives an entity: a provider, as `None`, before its emitters.
fn sources(
    conn: &Connection,
    tenant: TenantId,
    target: &str,
    most: usize,
) -> rusqlite::Result<Vec<Option<String>>> {
    statement::all(
        conn,
        "SELECT CASE source_key WHEN '' THEN source_entity_ref END FROM refresh_state_references
         WHERE tenant_id = ?1 AND target_entity_ref = ?2 ORDER BY source_key DESC LIMIT ?3",
        params![tenant.0, target, most as i64],
        |row| value(row, 0, "refresh_state_references.source_entity_ref"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::migrate;

    const TENANT: TenantId = TenantId(1);

    struct Edges(Connection);

    impl Edges {
        fn new() -> Edges {
            let mut conn = Connection::open_in_memory().unwrap();
            migrate(&mut conn).unwrap();
            Edges(conn)
        }

        /// `parent`, or a provider where it is empty, gives `target`.
        fn add(&self, parent: &str, target: &str) {
            let key = if parent.is_empty() { "p" } else { "" };
            self.0
                .execute(
                    "INSERT INTO refresh_state_references VALUES (?1, ?2, ?3, ?4)",
                    params![TENANT.0, target, key, parent],
                )
                .unwrap();
        }

        fn may_grow(&self, text: &str) -> bool {
            may_grow(&self.0, TENANT, &EntityRef::parse(text).unwrap()).unwrap()
        }
    }

    #[test]
    fn c19_one_of_thousands_of_emitters_shows_the_way() {
        let edges = Edges::new();
        edges.add("", "location:default/all");
        for number in 0..4_000 {
            let file = format!("location:default/f{number}");
            edges.add("location:default/all", &file);
            edges.add(&file, "location:default/hub");
        }
        assert!(edges.may_grow("location:default/hub"));
    }

    #[test]
    fn c19_the_longer_way_does_not_hide_the_shorter_one() {
        let edges = Edges::new();
        edges.add("", "location:default/a00");
        for number in 0..40 {
            let (from, to) = (number, number + 1);
            edges.add(
                &format!("location:default/a{from:02}"),
                &format!("location:default/a{to:02}"),
            );
        }
        assert!(edges.may_grow("location:default/a31"));
        assert!(!edges.may_grow("location:default/a32"));
        // From near the root to far below, sorted before and after the parents that are there.
        for near in ["group:default/g", "user:default/u"] {
            edges.add("location:default/a20", near);
            edges.add(near, "location:default/a40");
            assert!(edges.may_grow("location:default/a40"));
        }
        assert!(!edges.may_grow("location:default/a39"));
    }

    #[test]
    fn c19_a_walk_that_finds_nothing_is_bounded() {
        let edges = Edges::new();
        // Every one of many is emitted by all of them.
        for from in 0..100 {
            for to in 0..100 {
                edges.add(
                    &format!("component:default/c{from}"),
                    &format!("component:default/c{to}"),
                );
            }
        }
        assert!(
            !edges.may_grow("component:default/c50"),
            "no way out is known"
        );
        edges.add("", "component:default/c1");
        assert!(edges.may_grow("component:default/c50"));
    }
}
