//! Proves that the index answers as a plain reading of the rules does: every kind of request over
//! generated entities, while entities are added, changed, renamed and removed, compared with an
//! evaluator that sorts everything each time. Seeded; a failure names its step.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod naive;

use greenroom_model::filter::EntityFilter;
use greenroom_query::{
    Cursor, Direction, FullText, Index, ListRequest, OrderField, QueryRequest, TotalItems,
};

use naive::{Naive, Random};

const KEYS: [&str; 13] = [
    "kind",
    "metadata.name",
    "metadata.title",
    "metadata.tags",
    "metadata.tags.java",
    "metadata.uid",
    "metadata.namespace",
    "spec.type",
    "spec.n",
    "spec.multi",
    "relations.ownedby",
    "spec.long",
    "missing.key",
];

fn leaf(random: &mut Random) -> EntityFilter {
    let key = (*random.pick(&KEYS)).to_owned();
    let value = |random: &mut Random| {
        (*random.pick(&[
            "component",
            "group",
            "java",
            "library",
            "true",
            "a1",
            "3",
            "x",
            "",
        ]))
        .to_owned()
    };
    match random.below(5) {
        0 => EntityFilter::Exists { key },
        1 => EntityFilter::HasPrefix {
            key,
            prefix: (*random.pick(&["", "a", "ja", "c", "u-0", "zz"])).to_owned(),
        },
        _ => EntityFilter::In {
            key,
            values: (0..random.below(3)).map(|_| value(random)).collect(),
        },
    }
}

fn filter(random: &mut Random, depth: u32) -> EntityFilter {
    let inner = |random: &mut Random| {
        (0..random.below(4))
            .map(|_| filter(random, depth - 1))
            .collect()
    };
    match if depth == 0 { 9 } else { random.below(8) } {
        0 | 1 => EntityFilter::All(inner(random)),
        2 => EntityFilter::Any(inner(random)),
        3 => EntityFilter::Not(Box::new(filter(random, depth - 1))),
        _ => leaf(random),
    }
}

fn some_filter(random: &mut Random) -> Option<EntityFilter> {
    (random.below(4) > 0).then(|| filter(random, 3))
}

fn order(random: &mut Random) -> OrderField {
    OrderField {
        field: (*random.pick(&KEYS)).to_owned(),
        order: *random.pick(&[Direction::Asc, Direction::Desc]),
    }
}

fn uids(hits: &[greenroom_query::Hit]) -> Vec<String> {
    hits.iter().map(|hit| hit.uid.as_str().to_owned()).collect()
}

fn check_filters(random: &mut Random, index: &Index, naive: &Naive) {
    let filter = filter(random, 4);
    let expected = naive.matching(Some(&filter));
    assert_eq!(
        index.count(&filter).unwrap(),
        expected.len() as u64,
        "{filter:?}"
    );
    for entry in naive.entries() {
        let matches = filter.matches(&entry.terms);
        assert_eq!(
            index.matches(&entry.entity_ref, &filter),
            matches,
            "{filter:?}"
        );
    }
}

fn check_facets(random: &mut Random, index: &Index, naive: &Naive) {
    let filter = some_filter(random);
    let keys: Vec<String> = (0..3).map(|_| random.pick(&KEYS).to_uppercase()).collect();
    let facets = index.facets(&keys, filter.as_ref()).unwrap();
    for (key, counts) in keys.iter().zip(facets) {
        let counts: Vec<(String, u64)> = counts
            .into_iter()
            .map(|count| (count.value, count.count))
            .collect();
        assert_eq!(
            counts,
            naive.facet(&key.to_lowercase(), filter.as_ref()),
            "{key} {filter:?}"
        );
    }
}

fn check_list(random: &mut Random, index: &Index, naive: &Naive) {
    let request = ListRequest {
        filter: some_filter(random),
        order: (0..random.below(4)).map(|_| order(random)).collect(),
        limit: Some(u64::from(1 + random.below(30))),
        offset: u64::from(random.below(3) * random.below(40)),
    };
    let expected = naive.list(request.filter.as_ref(), &request.order);
    let skip = usize::try_from(request.offset).unwrap();
    let take = usize::try_from(request.limit.unwrap()).unwrap();
    let page = index.list(&request).unwrap();
    let wanted: Vec<String> = expected.iter().skip(skip).take(take).cloned().collect();
    assert_eq!(uids(&page.hits), wanted, "{request:?}");
    assert_eq!(
        page.next.is_some(),
        expected.len() > skip + take,
        "{request:?}"
    );
}

fn check_walk(random: &mut Random, index: &Index, naive: &Naive) {
    let request = ListRequest {
        filter: some_filter(random),
        order: (0..random.below(2)).map(|_| order(random)).collect(),
        ..ListRequest::default()
    };
    let chunk = u64::from(1 + random.below(50));
    let mut found = Vec::new();
    let mut position = None;
    loop {
        let page = index.walk(&request, position.as_ref(), chunk).unwrap();
        found.extend(uids(&page.hits));
        position = page.next;
        if position.is_none() {
            break;
        }
    }
    let expected = naive.rows(request.filter.as_ref(), None, request.order.first());
    let expected: Vec<String> = expected.into_iter().map(|row| row.1).collect();
    assert_eq!(found, expected, "{request:?}");
}

fn check_query(random: &mut Random, index: &Index, naive: &Naive) {
    let full_text = (random.below(3) == 0).then(|| FullText {
        term: (*random.pick(&["", " A ", "o", "%", "1", "library"])).to_owned(),
        fields: (0..random.below(3))
            .map(|_| random.pick(&KEYS).to_uppercase())
            .collect(),
    });
    let limit = u64::from(1 + random.below(40));
    let offset = u64::from(random.below(2) * random.below(30));
    let mut request = QueryRequest {
        filter: some_filter(random),
        order: (0..random.below(3)).map(|_| order(random)).collect(),
        full_text: full_text.clone(),
        limit: Some(limit),
        offset,
        total_items: *random.pick(&[TotalItems::Include, TotalItems::Exclude]),
        cursor: None,
    };
    let rows = naive.rows(
        request.filter.as_ref(),
        full_text.as_ref(),
        request.order.first(),
    );
    let distinct: std::collections::BTreeSet<&String> = rows.iter().map(|row| &row.1).collect();
    let total = match request.total_items {
        TotalItems::Include => distinct.len() as u64,
        TotalItems::Exclude => 0,
    };
    let expected: Vec<String> = rows
        .iter()
        .skip(usize::try_from(offset).unwrap())
        .map(|row| row.1.clone())
        .collect();
    // Forward to the end, then back to the start: the same rows both times.
    let mut pages: Vec<Vec<String>> = Vec::new();
    let last_prev = loop {
        let page = index.query(&request).unwrap();
        assert_eq!(page.total_items, total, "{request:?}");
        assert_eq!(page.prev_cursor.is_some(), !pages.is_empty(), "{request:?}");
        pages.push(uids(&page.hits));
        match page.next_cursor {
            Some(next) => request.cursor = Some(Cursor::decode(&next).unwrap()),
            None => break page.prev_cursor,
        }
    };
    assert_eq!(pages.concat(), expected, "{request:?}");
    let mut prev = last_prev;
    for wanted in pages.iter().rev().skip(1) {
        request.cursor = Some(Cursor::decode(&prev.unwrap()).unwrap());
        let page = index.query(&request).unwrap();
        assert_eq!(uids(&page.hits), *wanted, "{request:?}");
        assert!(page.next_cursor.is_some());
        prev = page.prev_cursor;
    }
    assert_eq!(prev, None, "{request:?}");
}

#[test]
fn answers_as_the_naive_evaluator_does() {
    for seed in 1..=6 {
        let mut random = Random::new(seed);
        let mut index = Index::new();
        let mut naive = Naive::default();
        for step in 0..400 {
            naive.change(&mut random, &mut index);
            assert_eq!(index.len(), naive.entries().count() as u64, "step {step}");
            // Answers early leave orders behind that later changes must keep current.
            if step % 4 == 0 {
                check_filters(&mut random, &index, &naive);
                check_facets(&mut random, &index, &naive);
                check_list(&mut random, &index, &naive);
                check_walk(&mut random, &index, &naive);
                check_query(&mut random, &index, &naive);
            }
        }
        naive.clear(&mut index);
        assert!(index.is_empty());
        assert_eq!(
            index.facets(&KEYS, None).unwrap(),
            vec![Vec::new(); KEYS.len()]
        );
    }
}
