//! Proves that odd and oversized requests (hostile-inputs rows h07–h11, y08) get the grammar's answer
//! or an error, quickly, and that the rules the generated tests do not reach hold.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use greenroom_model::filter::EntityFilter;
use greenroom_model::terms::Term;
use greenroom_model::{EntityRef, EntityUid};
use greenroom_query::{
    After, Cursor, FullText, Index, IndexEntry, ListRequest, MAX_CURSOR_BYTES, MAX_FACETS,
    OrderField, QueryError, QueryPage, QueryRequest,
};
use serde_json::{Value, json};

/// Components `c-00`… with the title and spec given.
fn index_of(specs: &[Value]) -> Index {
    let mut index = Index::new();
    for (number, spec) in specs.iter().enumerate() {
        let name = format!("c-{number:02}");
        let uid = EntityUid::new(format!("u-{number:02}"));
        let entity =
            json!({"kind": "Component", "metadata": {"name": name, "uid": uid}, "spec": spec});
        let entity_ref = EntityRef::new("component", "default", &name);
        let entry = IndexEntry::new(entity_ref, uid, entity.as_object().unwrap()).unwrap();
        index.upsert(entry).unwrap();
    }
    index
}

fn ten() -> Index {
    index_of(&vec![json!({"type": "x"}); 10])
}

fn uids(page: &QueryPage) -> Vec<&str> {
    page.hits.iter().map(|hit| hit.uid.as_str()).collect()
}

#[test]
fn h07_limits_and_offsets_of_any_size() {
    let index = ten();
    for (limit, offset, expected) in [
        (Some(0), 0, 0),
        (Some(3), 0, 3),
        (Some(u64::MAX), 0, 10),
        (None, 0, 10),
        (Some(3), 9, 1),
        (Some(3), 10, 0),
        (Some(u64::MAX), u64::MAX, 0),
    ] {
        for order in [
            vec![],
            OrderField::parse_query(&["spec.type,desc"]).unwrap(),
        ] {
            let request = QueryRequest {
                limit,
                offset,
                order: order.clone(),
                ..QueryRequest::default()
            };
            let page = index.query(&request).unwrap();
            assert_eq!(
                (page.hits.len(), page.total_items),
                (expected, 10),
                "{request:?}"
            );
            let request = ListRequest {
                limit,
                offset,
                order,
                filter: None,
            };
            assert_eq!(
                index.list(&request).unwrap().hits.len(),
                expected,
                "{request:?}"
            );
        }
    }
    assert_eq!(
        index
            .walk(&ListRequest::default(), None, u64::MAX)
            .unwrap()
            .hits
            .len(),
        10
    );
    assert_eq!(
        index
            .walk(&ListRequest::default(), None, 0)
            .unwrap()
            .hits
            .len(),
        1
    );
}

#[test]
fn h08_too_many_facets_and_orders_are_refused() {
    let index = ten();
    let facets = vec!["kind"; MAX_FACETS + 1];
    assert!(matches!(
        index.facets(&facets, None),
        Err(QueryError::TooMany { .. })
    ));
    let order = OrderField {
        field: "kind".to_owned(),
        order: Default::default(),
    };
    let list = ListRequest {
        order: vec![order; 10_000],
        ..ListRequest::default()
    };
    assert!(matches!(index.list(&list), Err(QueryError::TooMany { .. })));
    assert!(matches!(
        index.walk(&list, None, 1),
        Err(QueryError::TooMany { .. })
    ));
    let query = QueryRequest {
        order: list.order,
        ..QueryRequest::default()
    };
    assert!(matches!(
        index.query(&query),
        Err(QueryError::TooMany { .. })
    ));
}

#[test]
fn h08_a_join_of_many_valued_fields_is_too_costly() {
    let values: Vec<u32> = (0..3_000).collect();
    let index = index_of(&[json!({"a": values, "b": values, "c": values})]);
    let order = OrderField::parse_list(&["asc:spec.a", "asc:spec.b", "desc:spec.c"]).unwrap();
    let request = ListRequest {
        order,
        limit: Some(1),
        ..ListRequest::default()
    };
    assert_eq!(index.list(&request), Err(QueryError::TooCostly));
}

#[test]
fn h10_cursors_that_are_none_are_refused() {
    let encode = |value: &Value| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(value.to_string())
    };
    let deep = (0..100).fold(json!({}), |inner, _| json!({"$not": inner}));
    for text in [
        String::new(),
        "%%%".to_owned(),
        "bm90IGpzb24=".to_owned(),
        encode(&json!(null)),
        encode(&json!([])),
        encode(&json!({})),
        encode(&json!({"orderFieldValues": []})),
        encode(&json!({"orderFieldValues": ["a", "b"]})),
        encode(&json!({"orderFieldValues": ["a"], "firstSortFieldValues": ["a", "b"]})),
        encode(&json!({"orderFieldValues": [1]})),
        encode(&json!({"orderFieldValues": ["a"], "totalItems": -1})),
        encode(&json!({"orderFieldValues": ["a"], "query": "kind"})),
        encode(&json!({"orderFieldValues": ["a"], "query": {"$nope": 1}})),
        encode(&json!({"orderFieldValues": ["a"], "query": deep})),
        encode(&json!({"orderFieldValues": ["a"], "orderFields": [{"field": "x", "order": "up"}]})),
        "A".repeat(MAX_CURSOR_BYTES + 4),
    ] {
        assert_eq!(
            Cursor::decode(&text),
            Err(QueryError::MalformedCursor),
            "{text:.80}"
        );
    }
    for after in [
        json!({"offset": -1}),
        json!({"limit": 0}),
        json!({"limit": 1.5}),
        json!("x"),
    ] {
        assert_eq!(
            After::decode(&encode(&after)),
            Err(QueryError::MalformedAfter),
            "{after}"
        );
    }
    let after = After {
        limit: Some(5),
        offset: 10,
    };
    assert_eq!(After::decode(&after.encode()), Ok(after));
}

#[test]
fn h10_an_edited_cursor_is_answered_within_the_index() {
    let index = ten();
    let request = QueryRequest {
        limit: Some(4),
        ..QueryRequest::default()
    };
    let first = index.query(&request).unwrap();
    let mut cursor = Cursor::decode(&first.next_cursor.unwrap()).unwrap();
    cursor.total_items = 999;
    cursor.query = EntityFilter::parse_params(&["metadata.name=c-07"])
        .unwrap()
        .unwrap();
    let request = QueryRequest {
        cursor: Some(cursor.clone()),
        ..QueryRequest::default()
    };
    let page = index.query(&request).unwrap();
    assert_eq!((uids(&page), page.total_items), (vec!["u-07"], 999));
    cursor.order_field_values = vec!["zzz".to_owned()];
    cursor.first_sort_field_values = vec![];
    let request = QueryRequest {
        cursor: Some(cursor),
        ..QueryRequest::default()
    };
    let page = index.query(&request).unwrap();
    assert!(page.hits.is_empty() && page.next_cursor.is_none() && page.prev_cursor.is_none());
}

#[test]
fn h10_a_cursor_is_the_json_the_client_expects() {
    use base64::Engine;
    let request = QueryRequest {
        filter: EntityFilter::parse_params(&["kind=component"]).unwrap(),
        order: OrderField::parse_query(&["spec.type,desc"]).unwrap(),
        full_text: Some(FullText::default()),
        limit: Some(2),
        ..QueryRequest::default()
    };
    let next = ten().query(&request).unwrap().next_cursor.unwrap();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(next)
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&bytes).unwrap(),
        json!({
            "orderFields": [{"field": "spec.type", "order": "desc"}],
            "orderFieldValues": ["x", "u-08"],
            "firstSortFieldValues": ["x", "u-09"],
            "isPrevious": false,
            "query": {"kind": "component"},
            "fullTextFilter": {"term": ""},
            "totalItems": 10,
        })
    );
}

#[test]
fn h11_full_text_is_a_plain_bounded_substring() {
    let index = index_of(&[
        json!({"t": "50% off"}),
        json!({"t": "a_b"}),
        json!({"t": "back\\slash"}),
        json!({"t": "plain"}),
        json!({"u": "plain"}),
    ]);
    let find = |term: &str, fields: Vec<&str>| {
        let fields = fields.into_iter().map(str::to_owned).collect();
        let full_text = Some(FullText {
            term: term.to_owned(),
            fields,
        });
        let request = QueryRequest {
            full_text,
            ..QueryRequest::default()
        };
        index.query(&request)
    };
    for (term, expected) in [
        ("%", vec!["u-00"]),
        ("_", vec!["u-01"]),
        ("\\", vec!["u-02"]),
        (" PLAIN ", vec!["u-03"]),
        ("\u{feff}plain\u{3000}", vec!["u-03"]),
        ("offa", vec![]),
        ("", vec!["u-00", "u-01", "u-02", "u-03", "u-04"]),
    ] {
        assert_eq!(
            uids(&find(term, vec!["spec.T"]).unwrap()),
            expected,
            "{term}"
        );
    }
    assert_eq!(
        uids(&find("plain", vec!["spec.t", "spec.u"]).unwrap()),
        ["u-03", "u-04"]
    );
    assert_eq!(uids(&find("u-03", vec![]).unwrap()), ["u-03"]);
    assert!(
        find(&"x".repeat(1_000_000), vec!["spec.t"])
            .unwrap()
            .hits
            .is_empty()
    );
    assert!(find("x", vec!["spec.t"; 100_000]).is_err());
}

#[test]
fn y08_facets_echo_odd_keys_as_data() {
    let index = index_of(&[json!({"__proto__": "p", "$ref": "r", "Tags": ["Java", "java", "Go"]})]);
    let facets = index
        .facets(
            &[
                "spec.__proto__",
                "spec.$ref",
                "spec.TAGS",
                "spec.tags.java",
                "constructor",
            ],
            None,
        )
        .unwrap();
    let values: Vec<Vec<String>> = facets
        .into_iter()
        .map(|counts| counts.into_iter().map(|count| count.value).collect())
        .collect();
    let expected: [&[&str]; 5] = [&["p"], &["r"], &["Go", "Java"], &["true"], &[]];
    assert_eq!(values, expected);
}

#[test]
fn fields_with_capitals_sort_by_query_and_do_not_sort_lists() {
    let index = index_of(&[json!({"o": "b"}), json!({"o": "a"})]);
    let order = OrderField::parse_query(&["spec.O"]).unwrap();
    let page = index
        .query(&QueryRequest {
            order: order.clone(),
            ..QueryRequest::default()
        })
        .unwrap();
    assert_eq!(uids(&page), ["u-01", "u-00"]);
    let list = index
        .list(&ListRequest {
            order,
            ..ListRequest::default()
        })
        .unwrap();
    assert_eq!(list.hits[0].uid.as_str(), "u-00");
}

#[test]
fn a_boundary_that_was_removed_still_holds_its_place() {
    let mut index = ten();
    let request = QueryRequest {
        limit: Some(3),
        ..QueryRequest::default()
    };
    let first = index.query(&request).unwrap();
    index.remove(&EntityRef::new("component", "default", "c-02"));
    index.remove(&EntityRef::new("component", "default", "c-03"));
    let cursor = Some(Cursor::decode(&first.next_cursor.unwrap()).unwrap());
    let page = index.query(&QueryRequest { cursor, ..request }).unwrap();
    assert_eq!(uids(&page), ["u-04", "u-05", "u-06"]);
}

#[test]
fn memory_comes_back_when_entities_change_and_go() {
    let mut index = ten();
    let empty = Index::new().bytes();
    let mut full = 0;
    for round in 0..50 {
        for number in 0..200 {
            let uid = EntityUid::new(format!("v-{number}"));
            let value = Some(format!("value {round} of {number} {}", "x".repeat(100)));
            let terms = vec![Term {
                key: "spec.v".to_owned(),
                value: value.clone(),
                original: value,
            }];
            let entity_ref = EntityRef::new("component", "other", &number.to_string());
            index
                .upsert(IndexEntry {
                    entity_ref,
                    uid,
                    terms,
                })
                .unwrap();
        }
        let _ = index.facets(&["spec.v"], None).unwrap();
        full = full.max(index.bytes());
    }
    assert!(full < empty + 400_000, "{full}");
}
