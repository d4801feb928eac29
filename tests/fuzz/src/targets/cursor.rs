//! Cursors (h10): anything a client may hand back.

use std::sync::OnceLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use greenroom_model::filter::EntityFilter;
use greenroom_model::{EntityRef, EntityUid};
use greenroom_query::{After, Cursor, Index, IndexEntry, OrderField, QueryRequest, TotalItems};
use serde_json::json;

/// Reads the bytes as a cursor, as they are and as what base64 hides, and goes on from it.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for text in [text.into_owned(), STANDARD.encode(data)] {
        if let Ok(after) = After::decode(&text) {
            assert_eq!(After::decode(&after.encode()).ok(), Some(after));
        }
        if let Ok(cursor) = Cursor::decode(&text) {
            assert_eq!(Cursor::decode(&cursor.encode()).ok(), Some(cursor.clone()));
            let request = QueryRequest {
                cursor: Some(cursor),
                ..QueryRequest::default()
            };
            if let Ok(page) = index().query(&request) {
                assert!(
                    page.hits.len() as u64 <= index().len() * 4,
                    "hits are of this index"
                );
            }
        }
    }
}

/// Asks the index with a filter, and goes on from its cursors.
pub(super) fn answer(filter: EntityFilter, order: Vec<OrderField>) {
    let mut request = QueryRequest {
        filter: Some(filter),
        order,
        limit: Some(2),
        total_items: TotalItems::Include,
        ..QueryRequest::default()
    };
    for _ in 0..4 {
        let Ok(page) = index().query(&request) else {
            return;
        };
        assert!(
            page.total_items <= index().len(),
            "each entity is counted once"
        );
        let Some(next) = page.next_cursor else {
            return;
        };
        let cursor = Cursor::decode(&next);
        assert!(cursor.is_ok(), "our own cursor is read: {next}");
        request.cursor = cursor.ok();
    }
}

/// A few entities that differ.
fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = Index::new();
        for (number, kind) in ["Component", "API", "Group", "Component", "User"].iter().enumerate() {
            let entity = json!({
                "apiVersion": "backstage.io/v1alpha1",
                "kind": kind,
                "metadata": {
                    "name": format!("n{number}"),
                    "annotations": {"a.b/c": "x", "__proto__": ""},
                    "tags": ["java", "Ünï"],
                },
                "spec": {"type": "service", "owner": "group:default/core", "n": number, "list": [1, null, true]},
            });
            let Some(entity) = entity.as_object() else {
                continue;
            };
            let uid = EntityUid::new(format!("00000000-0000-4000-8000-00000000000{number}"));
            let entity_ref = EntityRef::new(kind, "default", &format!("n{number}"));
            let entry = IndexEntry::new(entity_ref, uid, entity).ok();
            assert!(entry.is_some_and(|entry| index.upsert(entry).is_ok()));
        }
        index
    })
}
