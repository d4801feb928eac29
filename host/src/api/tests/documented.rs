//! Whether an answer is one that `/openapi.json` tells of: its status, its media type and the shape of its body. The test
//! host asks for every answer of every test, so the document cannot fall behind what the handlers do.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::host::Answer;
use crate::api::openapi::{answers, document};
use crate::api::operation_doc::Content;
use crate::api::router::operations;
use crate::api::routes::Operation;
use crate::config_schema::ConfigSchema;

/// Answers whose shape is not checked, in bytes.
const LARGE: usize = 1 << 20;

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(operations);

/// The schemas with their references turned to a place where a schema may hold others.
static SCHEMAS: LazyLock<Value> = LazyLock::new(|| {
    let document = document(&OPERATIONS);
    let text = document["components"]["schemas"].to_string();
    let text = text.replace("#/components/schemas/", "#/$defs/");
    serde_json::from_str(&text).unwrap()
});

/// The operation that a request reaches; literal segments go before parameters, as in the router.
fn operation(method: &str, path: &str) -> Option<&'static Operation> {
    let parts: Vec<&str> = path.split('/').collect();
    let literals = |operation: &Operation| {
        let segments: Vec<&str> = operation.path.split('/').collect();
        let fits = segments.len() == parts.len()
            && segments
                .iter()
                .zip(&parts)
                .all(|(segment, part)| match segment.starts_with('{') {
                    true => !part.is_empty(),
                    false => segment == part,
                });
        fits.then(|| segments.iter().filter(|one| !one.starts_with('{')).count())
    };
    OPERATIONS
        .iter()
        .filter(|operation| operation.method.eq_ignore_ascii_case(method))
        .filter_map(|operation| Some((literals(operation)?, operation)))
        .max_by_key(|(literals, _)| *literals)
        .map(|(_, operation)| operation)
}

/// The schema of that name, to check values against.
pub(super) fn schema(name: &str) -> ConfigSchema {
    let root = json!({"$ref": format!("#/$defs/{name}"), "$defs": *SCHEMAS});
    ConfigSchema::parse(&root.to_string()).unwrap_or_else(|error| panic!("schema {name}: {error}"))
}

/// Fails if the document does not tell of the answer. What reaches no operation is not its business.
pub(super) fn check(method: &str, path: &str, answer: &Answer) {
    let Some(operation) = operation(method, path) else {
        return;
    };
    let id = &operation.id;
    let documented = answers(operation);
    let Some(told) = documented.iter().find(|one| one.status == answer.status) else {
        panic!(
            "{id} answers {}, which is not documented: {}",
            answer.status, answer.text
        );
    };
    let media_type = answer
        .headers
        .get("content-type")
        .map(|value| value.to_str().unwrap());
    match told.content {
        // Backstage's oddity: an error of these may have no body.
        None => assert_eq!(answer.text, "", "{id} {}", answer.status),
        Some(Content::Media(expected)) => {
            assert!(
                media_type.is_some_and(|have| have.starts_with(expected)),
                "{id}: {media_type:?}"
            );
        }
        Some(Content::JsonOrEvents(_)) if media_type == Some("text/event-stream") => {}
        Some(Content::Json(name) | Content::OptionalJson(name) | Content::JsonOrEvents(name)) => {
            assert!(
                media_type.is_some_and(|have| have.starts_with("application/json")),
                "{id}: {media_type:?}"
            );
            // Checking takes steps of a budget, of which an answer of a megabyte has too many.
            if answer.text.len() >= LARGE {
                return;
            }
            if let Err(wrong) = schema(name).check(&answer.json()) {
                panic!("{id} {}: {wrong}: {:.500}", answer.status, answer.text);
            }
        }
    }
}
