//! The rules of ref §5.7 and §7.6–§7.7 read plainly: no index, everything sorted anew.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use greenroom_model::filter::EntityFilter;
use greenroom_model::{EntityRef, EntityUid};
use greenroom_query::{Direction, FullText, Index, IndexEntry, OrderField};
use serde_json::json;

/// A linear congruential generator: the same numbers on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below the bound.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let at = self.below(u32::try_from(choices.len()).unwrap());
        &choices[at as usize]
    }
}

/// The entities, by ref.
#[derive(Default)]
pub(crate) struct Naive {
    entities: BTreeMap<EntityRef, IndexEntry>,
    uids: u32,
}

/// (value, uid); the value is empty when ordered by uid.
pub(crate) type Row = (String, String);

impl Naive {
    pub(crate) fn entries(&self) -> impl Iterator<Item = &IndexEntry> {
        self.entities.values()
    }

    /// Adds, changes or removes one entity, here and in the index.
    pub(crate) fn change(&mut self, random: &mut Random, index: &mut Index) {
        let name = format!("A{}", random.below(150));
        let kind = *random.pick(&["Component", "Group"]);
        let entity_ref = EntityRef::new(kind, "default", &name);
        if random.below(6) == 0 {
            let was_there = self.entities.remove(&entity_ref).is_some();
            assert_eq!(index.remove(&entity_ref), was_there);
            return;
        }
        let known = self.entities.get(&entity_ref);
        let uid = match known.filter(|_| random.below(8) > 0) {
            Some(entry) => entry.uid.clone(),
            None => {
                self.uids += 1;
                EntityUid::new(format!(
                    "u-{:04x}",
                    self.uids.wrapping_mul(40_503) % 0x1_0000
                ))
            }
        };
        let entity = body(random, kind, &name, &uid);
        let entry = IndexEntry::new(entity_ref.clone(), uid, entity.as_object().unwrap()).unwrap();
        index.upsert(entry.clone()).unwrap();
        self.entities.insert(entity_ref, entry);
    }

    pub(crate) fn clear(&mut self, index: &mut Index) {
        for entity_ref in std::mem::take(&mut self.entities).into_keys() {
            assert!(index.remove(&entity_ref));
        }
    }

    pub(crate) fn matching(&self, filter: Option<&EntityFilter>) -> Vec<&IndexEntry> {
        let matches =
            |entry: &&IndexEntry| filter.is_none_or(|filter| filter.matches(&entry.terms));
        self.entries().filter(matches).collect()
    }

    pub(crate) fn facet(&self, key: &str, filter: Option<&EntityFilter>) -> Vec<(String, u64)> {
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        for entry in self.matching(filter) {
            for term in entry.terms.iter().filter(|term| term.key == key) {
                if let (Some(value), Some(original)) = (&term.value, &term.original) {
                    *counts.entry((value.clone(), original.clone())).or_default() += 1;
                }
            }
        }
        counts
            .into_iter()
            .map(|((_, original), count)| (original, count))
            .collect()
    }

    /// The rows of by-query and of a walk.
    pub(crate) fn rows(
        &self,
        filter: Option<&EntityFilter>,
        full_text: Option<&FullText>,
        order: Option<&OrderField>,
    ) -> Vec<Row> {
        let mut rows = Vec::new();
        for entry in self.matching(filter) {
            if let Some(full_text) = full_text {
                let text = full_text.term.trim().to_lowercase();
                let default = order.map_or("metadata.uid", |order| order.field.as_str());
                let mut fields: Vec<String> = full_text
                    .fields
                    .iter()
                    .map(|field| field.to_lowercase())
                    .collect();
                if fields.is_empty() {
                    fields.push(default.to_owned());
                }
                let hit = fields
                    .iter()
                    .flat_map(|field| values(entry, field))
                    .any(|value| value.contains(&text));
                if !text.is_empty() && !hit {
                    continue;
                }
            }
            let uid = entry.uid.as_str().to_owned();
            match order {
                None => rows.push((String::new(), uid)),
                Some(order) => {
                    for value in values(entry, &order.field) {
                        rows.push((value, uid.clone()));
                    }
                }
            }
        }
        rows.sort();
        if order.is_some_and(|order| order.order == Direction::Desc) {
            rows.reverse();
        }
        rows
    }

    /// The uids of GET `/entities` with paging, all pages.
    pub(crate) fn list(&self, filter: Option<&EntityFilter>, order: &[OrderField]) -> Vec<String> {
        let mut rows: Vec<(Vec<Option<String>>, String)> = Vec::new();
        for entry in self.matching(filter) {
            let mut combinations: Vec<Vec<Option<String>>> = vec![vec![]];
            for directive in order {
                let mut cells: Vec<Option<String>> = values(entry, &directive.field)
                    .into_iter()
                    .map(Some)
                    .collect();
                if cells.is_empty() {
                    cells.push(None);
                }
                combinations = combinations
                    .into_iter()
                    .flat_map(|head| {
                        cells.iter().map(move |cell| {
                            let mut row = head.clone();
                            row.push(cell.clone());
                            row
                        })
                    })
                    .collect();
            }
            let uid = entry.uid.as_str();
            rows.extend(combinations.into_iter().map(|row| (row, uid.to_owned())));
        }
        if !order.is_empty() {
            rows.sort_by(|left, right| {
                let mut result = Ordering::Equal;
                for (at, directive) in order.iter().enumerate() {
                    result = result.then(match (&left.0[at], &right.0[at]) {
                        (None, None) => Ordering::Equal,
                        (None, Some(_)) => Ordering::Greater,
                        (Some(_), None) => Ordering::Less,
                        (Some(left), Some(right)) if directive.order == Direction::Asc => {
                            left.cmp(right)
                        }
                        (Some(left), Some(right)) => right.cmp(left),
                    });
                }
                result.then_with(|| left.1.cmp(&right.1))
            });
        }
        rows.into_iter().map(|row| row.1).collect()
    }
}

fn values(entry: &IndexEntry, key: &str) -> Vec<String> {
    let terms = entry.terms.iter().filter(|term| term.key == key);
    terms.filter_map(|term| term.value.clone()).collect()
}

fn body(random: &mut Random, kind: &str, name: &str, uid: &EntityUid) -> serde_json::Value {
    let tags: Vec<&str> = (0..random.below(3))
        .map(|_| *random.pick(&["java", "Java", "go", "é"]))
        .collect();
    let multi: Vec<u32> = (0..random.below(4)).map(|_| random.below(5)).collect();
    let mut entity = json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "uid": uid, "tags": tags},
        "spec": {"type": random.pick(&["library", "Library", "service", "website"]), "multi": multi},
        "relations": [{"type": "ownedBy", "targetRef": format!("group:default/a{}", random.below(9))}],
    });
    // Objects only hold these sometimes, so that absence, null and over-long values all occur.
    if random.below(2) == 0 {
        entity["metadata"]["title"] = json!(format!(
            "{} {}",
            random.pick(&["Foo", "foo", "bar"]),
            random.below(9)
        ));
    }
    match random.below(4) {
        0 => entity["spec"]["n"] = json!(null),
        1 => entity["spec"]["n"] = json!(random.below(30)),
        2 => entity["spec"]["long"] = json!("x".repeat(random.below(3) as usize * 150)),
        _ => {}
    }
    entity
}
