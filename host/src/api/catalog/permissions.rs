//! `/.well-known/backstage/permissions/…`: which permissions and rules the catalog knows, and what conditions made of these
//! rules say of entities (ref §7.9).
//!
//! It is what Backstage's permission backend asks of every plugin. Nothing of ours is decided by it: who may do what here
//! is in the scopes of tokens (DESIGN §4). An entity that is not served is denied, whatever the conditions.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use greenroom_model::TenantId;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::conditions::Condition;
use crate::api::auth::{Access, Read};
use crate::api::body::{JsonBody, typed};
use crate::api::error::ApiError;
use crate::api::extract::{self, Params};
use crate::api::pagination;
use crate::api::state::ApiState;

/// The document.
const METADATA: &str = include_str!("permissions.json");
/// The only type of resource that conditions are about.
const RESOURCE_TYPE: &str = "catalog-entity";
/// Most items of one request, and most refs of all items together.
const MAX_ITEMS: usize = 1_000;
const MAX_REFS: usize = 1_000;

/// `GET /.well-known/backstage/permissions/metadata`
pub(super) async fn show_permissions(
    _access: Access<Read>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    Ok(extract::json_text(StatusCode::OK, METADATA.to_owned()))
}

#[derive(Deserialize)]
struct Request {
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    resource_ref: Refs,
    resource_type: String,
    conditions: Value,
}

/// One ref, or several that are answered one by one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Refs {
    One(String),
    Many(Vec<String>),
}

/// `POST /.well-known/backstage/permissions/apply-conditions`
pub(super) async fn apply_conditions(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let request: Request = typed(body)?;
    if request.items.len() > MAX_ITEMS {
        return Err(ApiError::input(format!(
            "request/body/items must NOT have more than {MAX_ITEMS} items"
        )));
    }
    let strangers: Vec<&str> = request
        .items
        .iter()
        .map(|item| item.resource_type.as_str())
        .filter(|r#type| *r#type != RESOURCE_TYPE)
        .collect();
    if !strangers.is_empty() {
        let shown: String = strangers.join(", ").chars().take(200).collect();
        return Err(ApiError::input(format!(
            "Unexpected resource types: {shown}."
        )));
    }
    let conditions = request
        .items
        .iter()
        .map(|item| Condition::parse(&item.conditions).map_err(ApiError::input))
        .collect::<Result<Vec<_>, _>>()?;
    let entities = entities_of(&state, access.tenant, &request.items).await?;
    let items = request.items.iter().zip(&conditions);
    let items: Vec<Value> = items
        .map(|(item, condition)| {
            let result = |entity_ref: &String| {
                let allowed = entities
                    .get(entity_ref)
                    .is_some_and(|entity| condition.holds(entity));
                if allowed { "ALLOW" } else { "DENY" }
            };
            let result = match &item.resource_ref {
                Refs::One(entity_ref) => json!(result(entity_ref)),
                Refs::Many(refs) => refs.iter().map(result).collect(),
            };
            json!({"id": item.id, "result": result})
        })
        .collect();
    Ok(extract::json(StatusCode::OK, &json!({"items": items})))
}

/// The served entities that the items are about, by ref as asked for.
async fn entities_of(
    state: &ApiState,
    tenant: TenantId,
    items: &[Item],
) -> Result<BTreeMap<String, Value>, ApiError> {
    let mut refs: Vec<String> = items
        .iter()
        .flat_map(|item| match &item.resource_ref {
            Refs::One(entity_ref) => std::slice::from_ref(entity_ref),
            Refs::Many(refs) => refs.as_slice(),
        })
        .cloned()
        .collect();
    refs.sort_unstable();
    refs.dedup();
    if refs.len() > MAX_REFS {
        return Err(ApiError::input(format!(
            "request/body/items must NOT name more than {MAX_REFS} entities"
        )));
    }
    let found = state
        .storage
        .find_entities_by_refs(tenant, &refs, usize::MAX)
        .await?;
    refs.into_iter()
        .zip(found)
        .filter_map(|(entity_ref, entity)| Some((entity_ref, entity?)))
        .map(|(entity_ref, entity)| Ok((entity_ref, pagination::parse(&entity)?)))
        .collect()
}
