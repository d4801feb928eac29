//! `/tenants/{tenant}/processors`: create, list, find, delete.
//!
//! A processor is a name with settings (`settings`); its code is uploaded as revisions (`upload`, `revisions`). Those that ship
//! with the host (`bundled`) are listed and found beside a tenant's own; their names are not to be had.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_model::ProcessorName;
use greenroom_storage::{CreatedProcessor, Processor, ProcessorSettings};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::activations;
use super::audit::Deed;
use super::auth::{Access, Deploy, Read};
use super::body::JsonBody;
use super::bundled;
use super::error::ApiError;
use super::etag::{IfMatch, tagged};
use super::extract::{self, Params, Segments};
use super::settings::{put, settings_of};
use super::state::ApiState;

#[derive(Deserialize)]
pub(super) struct ProcessorPath {
    pub(super) name: String,
}

/// The name in a path; one that breaks the rule names no processor.
pub(super) fn named(text: &str) -> Result<ProcessorName, ApiError> {
    ProcessorName::parse(text).map_err(|error| ApiError::input(error.to_string()))
}

/// What is answered for a name nobody uses.
pub(super) fn no_processor(name: &ProcessorName) -> ApiError {
    ApiError::not_found(format!("No processor named '{name}'; create it with PUT"))
}

pub(super) fn body_of(processor: &Processor) -> Value {
    json!({
        "name": processor.name,
        "settings": processor.settings,
        "current": processor.current,
        "held": processor.held,
        "createdAt": processor.created_at,
        "bundled": null,
    })
}

/// `GET /tenants/{tenant}/processors`
pub(super) async fn list_processors(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let mut items = Vec::new();
    for processor in state.storage.list_processors(access.tenant).await? {
        items.push(activations::with_activation(&state, access.tenant, &processor).await?);
    }
    items.extend(bundled::bodies(&state, access.tenant).await?);
    items.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    Ok(extract::json(StatusCode::OK, &json!({"items": items})))
}

/// `GET /tenants/{tenant}/processors/{name}`
pub(super) async fn find_processor(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    if let Some(listing) = bundled::named(&state, &name) {
        let set = bundled::settings(&state, access.tenant, listing).await?;
        let response = extract::json(StatusCode::OK, &bundled::body_of(listing, &set));
        return Ok(tagged(response, set.settings_version));
    }
    let processor = state.storage.find_processor(access.tenant, &name).await?;
    let processor = processor.ok_or_else(|| no_processor(&name))?;
    let body = activations::with_activation(&state, access.tenant, &processor).await?;
    let response = extract::json(StatusCode::OK, &body);
    Ok(tagged(response, processor.settings_version))
}

/// `PUT` or `POST /tenants/{tenant}/processors/{name}`, with settings or without a body: 201 if new, else 200. `If-Match` guards the
/// settings of a processor that is there.
pub(super) async fn create_processor(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
    if_match: IfMatch,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    if bundled::named(&state, &name).is_some() {
        return Err(ApiError::conflict(format!(
            "`{name}` is the name of a bundled processor; choose another, or set that one up with PUT …/processors/{name}/settings"
        )));
    }
    let quota = state.storage.quotas(access.tenant).await?.call_limits;
    let settings = body.map(|body| settings_of(body, &quota)).transpose()?;
    let known = state.storage.find_processor(access.tenant, &name).await?;
    let status = match &known {
        Some(_) => StatusCode::OK,
        None if if_match != IfMatch::Absent => return Err(no_processor(&name)),
        None => StatusCode::CREATED,
    };
    let changed = |before: Option<&ProcessorSettings>, after: &ProcessorSettings| {
        let tenant = Some(access.tenant);
        let mut deed = Deed::new(&access.actor, tenant, "create_processor", name.as_str());
        deed.before = before.map(|before| json!(before).to_string());
        deed.after = Some(json!(after).to_string());
        deed.on(&state)
    };
    let created = changed(None, &ProcessorSettings::default())
        .create_processor(access.tenant, &name)
        .await?;
    let mut processor = match created {
        CreatedProcessor::There(processor) => *processor,
        CreatedProcessor::OverQuota(over) => return Err(ApiError::conflict(over.to_string())),
    };
    if let Some(settings) = settings {
        let storage = changed(Some(&processor.settings), &settings);
        let version = put(
            &state,
            &*storage,
            access.tenant,
            &processor,
            &settings,
            &if_match,
        )
        .await?;
        (processor.settings, processor.settings_version) = (settings, version);
    }
    let body = activations::with_activation(&state, access.tenant, &processor).await?;
    let response = extract::json(status, &body);
    Ok(tagged(response, processor.settings_version))
}

/// `DELETE /tenants/{tenant}/processors/{name}`
pub(super) async fn delete_processor(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    if bundled::named(&state, &name).is_some() {
        return Err(ApiError::conflict(format!(
            "`{name}` comes with the host; turn it off with `\"enabled\": false` in its settings"
        )));
    }
    let deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "delete_processor",
        name.as_str(),
    );
    if !deed
        .on(&state)
        .delete_processor(access.tenant, &name)
        .await?
    {
        return Err(no_processor(&name));
    }
    state.wakes.outgoing.notify_one();
    Ok(StatusCode::NO_CONTENT.into_response())
}
