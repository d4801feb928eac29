//! `GET /openapi.json`: the description of every route, made of the same table as the router (`routes`).
//!
//! Needs no token and names no tenant and no host (l07). It is written once, when the router is made.

use axum::extract::State;
use axum::response::Response;
use greenroom_storage::Scope;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::auth::{Access, Read};
use super::error::ApiError;
use super::extract::{self, Params};
use super::operation_doc::{Answer, Content, Doc, Query, QueryKind};
use super::routes::{Need, Operation, Routes};
use super::state::ApiState;
use super::validators;

/// The schemas that operations name.
const SCHEMAS: &str = include_str!("openapi/schemas.json");

/// Where the catalog's paths begin.
const CATALOG_MOUNT: &str = "/tenants/{tenant}/api/catalog";

/// The document's own route.
pub(super) fn routes() -> Routes {
    Routes::below("").get(
        "/openapi.json",
        show_openapi,
        Doc::new("This document.").json(200, "OpenApi", "OpenAPI 3.1."),
    )
}

/// `GET /openapi.json`
async fn show_openapi(State(state): State<ApiState>, params: Params) -> Result<Response, ApiError> {
    params.only(&[])?;
    Ok(extract::json_text(StatusCode::OK, state.openapi.clone()))
}

/// `GET /tenants/{tenant}/api/catalog/openapi.json`, where clients of Backstage's catalog look for it
pub(super) async fn show_catalog_openapi(
    _access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let text = state.catalog_openapi.clone();
    Ok(extract::json_text(StatusCode::OK, text))
}

/// The document.
pub(super) fn document(operations: &[Operation]) -> Value {
    document_below("", operations)
}

/// The part of the document that is below the catalog's mount, with paths relative to it.
pub(super) fn catalog_document(operations: &[Operation]) -> Value {
    document_below(CATALOG_MOUNT, operations)
}

fn document_below(mount: &str, operations: &[Operation]) -> Value {
    let mut paths = Map::new();
    for operation in operations {
        let Some(path) = operation.path.strip_prefix(mount) else {
            continue;
        };
        let described = operation_of(operation, path);
        let path = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
        path[operation.method] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Greenroom",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A software catalog with Backstage's REST API, whose processors run in a sandbox. \
                            Errors have Backstage's body everywhere. `/metrics` is served on the operations listener.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": serde_json::from_str::<Value>(SCHEMAS).unwrap_or_default(),
            "securitySchemes": {"bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token `gr_<id>_<secret>`. The scope that an operation needs is listed with it: `read`, \
                                `write`, `deploy`, `admin`, which includes the others, or `operator`, over all tenants.",
            }},
        },
    })
}

/// An operation at a path, which is its own or the rest of it below a mount.
fn operation_of(operation: &Operation, path: &str) -> Value {
    let doc = &operation.doc;
    let mut described = json!({
        "operationId": operation.id,
        "summary": doc.summary,
        "tags": [tag(&operation.path)],
        "security": match scope(operation.need) {
            Some(scope) => json!([{"bearer": [scope]}]),
            None => json!([]),
        },
        "parameters": parameters(operation, path),
        "responses": responses(operation),
    });
    if !doc.details.is_empty() {
        described["description"] = json!(doc.details);
    }
    if let Some(body) = doc.body {
        described["requestBody"] = json!({
            "required": !matches!(body, Content::OptionalJson(_)),
            "content": content(body),
        });
    }
    described
}

fn scope(need: Need) -> Option<&'static str> {
    match need {
        Need::Nothing => None,
        Need::Scope(Scope::Read) => Some("read"),
        Need::Scope(Scope::Write) => Some("write"),
        Need::Scope(Scope::Deploy) => Some("deploy"),
        Need::Scope(Scope::Admin) => Some("admin"),
        Need::Scope(Scope::Operator) | Need::Operator => Some("operator"),
    }
}

/// The part of the API that a path belongs to.
fn tag(path: &str) -> &'static str {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["", "tenants", "{tenant}", "api", ..] => "catalog",
        ["", "tenants", "{tenant}", "processors", ..] => "processors",
        ["", "tenants", "{tenant}", "processing", ..] => "processing",
        ["", "tenants", "{tenant}", "providers", ..] => "providers",
        ["", "tenants", "{tenant}", "changes", ..] => "changes",
        ["", "tenants", "{tenant}", ..] => "runs",
        ["", "admin", ..] => "admin",
        _ => "operations",
    }
}

fn parameters(operation: &Operation, path: &str) -> Value {
    let in_path = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": path_text(name),
                "schema": {"type": "string"},
            })
        });
    let in_query = operation.doc.query.iter().map(query);
    let in_head = operation.doc.headers.iter().map(|(name, text)| {
        json!({"name": name, "in": "header", "description": text, "schema": {"type": "string"}})
    });
    in_path.chain(in_query).chain(in_head).collect()
}

fn path_text(name: &str) -> &'static str {
    match name {
        "tenant" => "Name of the tenant.",
        "name" => "Name of the processor, provider or entity.",
        "number" => "Number of the revision, from 1.",
        "id" => "Id, as a list or an earlier answer gave it.",
        "uid" => "`metadata.uid` of the entity.",
        "kind" => "Kind of the entity.",
        "namespace" => "Namespace of the entity.",
        "ref" => "Ref of the entity, `kind:namespace/name`, as one percent-encoded segment.",
        _ => "",
    }
}

fn query(query: &Query) -> Value {
    let schema = match query.kind {
        QueryKind::Text => json!({"type": "string"}),
        QueryKind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        QueryKind::Number(least) => json!({"type": "integer", "minimum": least}),
        QueryKind::Flag => json!({"type": "boolean"}),
        QueryKind::OneOf(words) | QueryKind::RequiredOneOf(words) => {
            json!({"type": "string", "enum": words})
        }
    };
    json!({
        "name": query.name,
        "in": "query",
        "required": matches!(query.kind, QueryKind::RequiredOneOf(_)),
        "description": query.text,
        "schema": schema,
    })
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for answer in answers(operation) {
        let mut response = json!({"description": answer.text});
        if let Some(body) = answer.content {
            response["content"] = content(body);
        }
        responses.insert(answer.status.to_string(), response);
    }
    Value::Object(responses)
}

/// All answers of an operation: its own, and those that it shares with all of its kind.
pub(super) fn answers(operation: &Operation) -> Vec<Answer> {
    let mut answers = operation.doc.answers.clone();
    if operation.method == "get" && validators::covers(&operation.path) {
        answers.push(Answer {
            status: 304,
            content: None,
            text: "It has the `ETag` that `If-None-Match` names.",
        });
    }
    let mut shared = |status, text| {
        if !answers.iter().any(|own| own.status == status) {
            let content = Some(Content::Json("Error"));
            answers.push(Answer {
                status,
                content,
                text,
            });
        }
    };
    if operation.need != Need::Nothing {
        shared(
            400,
            "A parameter, a header or the body is not as described.",
        );
        shared(401, "No token, or one that is not valid.");
        shared(
            429,
            "Too many wrong tokens from this address; try again after `Retry-After`.",
        );
        shared(403, "The token lacks the scope, or is not for this tenant.");
        if operation.path.contains("{tenant}") {
            shared(404, "No such tenant; said to operators only.");
        }
        if operation.takes_body {
            shared(408, "The body came too slowly.");
            shared(415, "The body is compressed.");
        }
        shared(
            500,
            "Our mistake; the log has the cause under the id in the message.",
        );
        shared(
            503,
            "Storage or the index is busy; try again after `Retry-After`.",
        );
    }
    answers.sort_by_key(|answer| answer.status);
    answers
}

fn content(of: Content) -> Value {
    match of {
        Content::Json(schema) | Content::OptionalJson(schema) => {
            json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
        }
        Content::JsonOrEvents(schema) => {
            let mut both = content(Content::Json(schema));
            both["text/event-stream"] = json!({});
            both
        }
        Content::Media(media_type) => json!({media_type: {}}),
    }
}
