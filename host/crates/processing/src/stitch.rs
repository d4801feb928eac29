//! Stitching: the served document from the processed body, relation rows, diagnostics and orphan state (ref §5.6).
//! A pure function; the etag is the SHA-1 of the document's stable JSON, uid included and etag excluded.

use std::fmt::Write as _;

use greenroom_model::{Diagnostic, Level, annotations, is_script_url};
use greenroom_storage::{FinalEntity, StitchInput, Stitched};
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

/// What stands in for a URL that a browser would run (Backstage's own text).
const REJECTED_URL: &str = "https://backstage.io/annotation-rejected-for-security-reasons";
/// The type of the status items that processing makes.
const STATUS_TYPE: &str = "backstage.io/catalog-processing";
/// The most status items that are served (c16).
const MAX_STATUS_ITEMS: usize = 100;

/// The final entity for an input. Damaged bodies are abandoned; they cannot be served.
pub fn stitch(input: &StitchInput) -> Stitched {
    let (Some(uid), Some(processed)) = (&input.uid, &input.processed) else {
        return Stitched::Abandoned;
    };
    let Ok(Value::Object(mut entity)) = serde_json::from_str::<Value>(processed) else {
        return Stitched::Abandoned;
    };
    let given_etag = metadata(&mut entity)
        .get("etag")
        .and_then(Value::as_str)
        .map(str::to_owned);
    metadata(&mut entity).insert("uid".to_owned(), uid.as_str().into());
    annotate(metadata(&mut entity), input.orphan);
    add_status(&mut entity, &input.diagnostics);
    let relations: Vec<Value> = input
        .relations
        .iter()
        .map(|(r#type, target)| json!({"type": r#type, "targetRef": target.as_str()}))
        .collect();
    entity.insert("relations".to_owned(), Value::Array(relations));

    metadata(&mut entity).shift_remove("etag");
    let hash = stable_hash(&entity);
    if input.served_etag.as_deref() == Some(hash.as_str()) {
        return Stitched::Unchanged;
    }
    let etag = given_etag
        .filter(|etag| !etag.is_empty())
        .unwrap_or_else(|| hash.clone());
    metadata(&mut entity).insert("etag".to_owned(), etag.into());
    Stitched::Changed(FinalEntity {
        uid: uid.clone(),
        entity_ref: input.entity_ref.clone(),
        etag: hash,
        body: Value::Object(entity).to_string().into(),
    })
}

fn metadata(entity: &mut Map<String, Value>) -> &mut Map<String, Value> {
    object(entity, "metadata")
}

/// The object at a key, made if it is not one.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = parent.entry(key.to_owned()).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("the slot was made an object above"),
    }
}

fn annotate(metadata: &mut Map<String, Value>, orphan: bool) {
    if !orphan && !metadata.contains_key("annotations") {
        return;
    }
    let annotations = object(metadata, "annotations");
    for key in [annotations::VIEW_URL, annotations::EDIT_URL] {
        if annotations
            .get(key)
            .and_then(Value::as_str)
            .is_some_and(is_script_url)
        {
            annotations.insert(key.to_owned(), REJECTED_URL.into());
        }
    }
    if orphan {
        annotations.insert(annotations::ORPHAN.to_owned(), "true".into());
    }
}

/// Appends the errors of the last run to what processors put there themselves.
fn add_status(entity: &mut Map<String, Value>, diagnostics: &[Diagnostic]) {
    let own = match entity.shift_remove("status") {
        Some(Value::Object(mut status)) => match status.shift_remove("items") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let errors = diagnostics
        .iter()
        .filter(|one| one.level == Level::Error)
        .map(status_item);
    let items: Vec<Value> = own
        .into_iter()
        .chain(errors)
        .take(MAX_STATUS_ITEMS)
        .collect();
    if !items.is_empty() {
        entity.insert("status".to_owned(), json!({"items": items}));
    }
}

fn status_item(diagnostic: &Diagnostic) -> Value {
    let mut error = json!({"name": diagnostic.name, "message": diagnostic.message});
    if let (Some(cause), Some(error)) = (&diagnostic.cause, error.as_object_mut()) {
        error.insert("cause".to_owned(), json!(cause));
    }
    json!({
        "type": STATUS_TYPE,
        "level": diagnostic.level.as_str(),
        "message": format!("{}: {}", diagnostic.name, diagnostic.message),
        "error": error,
    })
}

/// SHA-1 of the JSON with sorted keys, as 40 hex digits.
fn stable_hash(entity: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_stable_object(&mut text, entity);
    let mut hash = String::with_capacity(40);
    for byte in Sha1::digest(text.as_bytes()) {
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

/// Bodies come from the sandbox, which bounds their depth, so recursion is bounded too.
fn write_stable(text: &mut String, value: &Value) {
    match value {
        Value::Object(map) => write_stable_object(text, map),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_stable(text, item);
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

fn write_stable_object(text: &mut String, map: &Map<String, Value>) {
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort_unstable();
    text.push('{');
    for (index, key) in keys.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let _ = write!(text, "{}:", Value::String(key.clone()));
        if let Some(value) = map.get(key) {
            write_stable(text, value);
        }
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_model::{EntityRef, EntityUid, TenantId};

    fn input() -> StitchInput {
        StitchInput {
            tenant: TenantId(1),
            entity_ref: EntityRef::parse("component:default/a").unwrap(),
            ticket: 1,
            waited_ms: 0,
            uid: Some(EntityUid::new("00000000-0000-4000-8000-000000000001")),
            processed: Some(
                json!({"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "a"}}).to_string(),
            ),
            diagnostics: Vec::new(),
            orphan: false,
            relations: vec![("ownedBy".to_owned(), EntityRef::parse("group:default/g").unwrap())],
            served_etag: None,
        }
    }

    fn body(stitched: Stitched) -> (Value, String) {
        match stitched {
            Stitched::Changed(entity) => (serde_json::from_str(&entity.body).unwrap(), entity.etag),
            other => panic!("not changed: {other:?}"),
        }
    }

    #[test]
    fn serves_uid_etag_and_relations_and_no_empty_status() {
        let (entity, etag) = body(stitch(&input()));
        assert_eq!(entity["metadata"]["etag"], etag);
        assert_eq!(etag.len(), 40);
        assert_eq!(
            entity["relations"],
            json!([{"type": "ownedBy", "targetRef": "group:default/g"}])
        );
        assert!(entity.get("status").is_none());
        let mut again = input();
        again.served_etag = Some(etag);
        assert!(matches!(stitch(&again), Stitched::Unchanged));
    }

    #[test]
    fn c16_uid_and_relations_are_ours_and_own_status_stays() {
        let mut forged = input();
        forged.processed = Some(
            json!({"apiVersion": "b", "kind": "Component", "metadata": {"name": "a", "uid": "forged", "etag": "mine"},
                   "relations": [{"type": "x", "targetRef": "y"}],
                   "status": {"items": [{"type": "own", "level": "info", "message": "hello"}]}})
            .to_string(),
        );
        forged.diagnostics = vec![
            Diagnostic::error("InputError", "boom"),
            Diagnostic::warning("Warning", "soft"),
        ];
        let (entity, _) = body(stitch(&forged));
        assert_eq!(
            entity["metadata"]["uid"],
            "00000000-0000-4000-8000-000000000001"
        );
        assert_eq!(entity["metadata"]["etag"], "mine");
        assert_eq!(entity["relations"].as_array().unwrap().len(), 1);
        let items = entity["status"]["items"].as_array().unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(items[1]["message"], "InputError: boom");
    }

    #[test]
    fn y13_script_urls_are_replaced_and_orphans_are_marked() {
        let mut hostile = input();
        hostile.orphan = true;
        hostile.processed = Some(
            json!({"apiVersion": "b", "kind": "Component", "metadata": {"name": "a",
                   "annotations": {annotations::VIEW_URL: "javascript:alert(1)"}}})
            .to_string(),
        );
        let (entity, _) = body(stitch(&hostile));
        assert_eq!(
            entity["metadata"]["annotations"][annotations::VIEW_URL],
            REJECTED_URL
        );
        assert_eq!(
            entity["metadata"]["annotations"][annotations::ORPHAN],
            "true"
        );
    }

    #[test]
    fn never_processed_is_abandoned() {
        let mut fresh = input();
        fresh.processed = None;
        assert!(matches!(stitch(&fresh), Stitched::Abandoned));
    }
}
