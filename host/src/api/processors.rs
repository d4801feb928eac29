//! `/tenants/{tenant}/processors`: create, list, find, change the settings, delete.
//!
//! A processor is a name with settings; its code is uploaded as revisions (`revisions`). Bundled names are not to be had.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_model::ProcessorName;
use greenroom_storage::{Processor, ProcessorSettings};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::activations;
use super::audit::Deed;
use super::auth::{Access, Deploy, Read};
use super::body::{JsonBody, typed};
use super::error::ApiError;
use super::extract::{self, Params, Segments};
use super::state::ApiState;

/// Largest configuration (DESIGN §3.2).
const MAX_CONFIG_BYTES: usize = 64 * 1024;
/// Most grants of one processor, and the longest.
const MAX_GRANTS: usize = 100;
const MAX_GRANT_BYTES: usize = 2_048;

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
    let processor = state.storage.find_processor(access.tenant, &name).await?;
    let processor = processor.ok_or_else(|| no_processor(&name))?;
    Ok(extract::json(
        StatusCode::OK,
        &activations::with_activation(&state, access.tenant, &processor).await?,
    ))
}

/// `PUT` or `POST /tenants/{tenant}/processors/{name}`, with settings or without a body: 201 if new, else 200.
pub(super) async fn create_processor(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    if state.reserved_processors.contains(&name) {
        return Err(ApiError::conflict(format!(
            "`{name}` is the name of a bundled processor; choose another"
        )));
    }
    let settings = body.map(settings_of).transpose()?;
    let known = state
        .storage
        .find_processor(access.tenant, &name)
        .await?
        .is_some();
    let mut processor = state.storage.create_processor(access.tenant, &name).await?;
    if let Some(settings) = settings {
        state
            .storage
            .put_processor_settings(access.tenant, &name, settings.clone())
            .await?;
        processor.settings = settings;
        state.wakes.outgoing.notify_one();
    }
    let mut deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "create_processor",
        name.as_str(),
    );
    deed.after = Some(json!(processor.settings).to_string());
    deed.record(&state).await?;
    let status = if known {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok(extract::json(status, &body_of(&processor)))
}

/// `PUT /tenants/{tenant}/processors/{name}/settings`
pub(super) async fn update_processor_settings(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    let settings = settings_of(body.unwrap_or_default())?;
    let before = state
        .storage
        .find_processor(access.tenant, &name)
        .await?
        .ok_or_else(|| no_processor(&name))?;
    if !state
        .storage
        .put_processor_settings(access.tenant, &name, settings.clone())
        .await?
    {
        return Err(no_processor(&name));
    }
    state.wakes.outgoing.notify_one();
    let mut deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "update_processor_settings",
        name.as_str(),
    );
    deed.before = Some(json!(before.settings).to_string());
    deed.after = Some(json!(settings).to_string());
    deed.record(&state).await?;
    Ok(extract::json(
        StatusCode::OK,
        &body_of(&Processor { settings, ..before }),
    ))
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
    if !state.storage.delete_processor(access.tenant, &name).await? {
        return Err(no_processor(&name));
    }
    state.wakes.outgoing.notify_one();
    Deed::new(
        &access.actor,
        Some(access.tenant),
        "delete_processor",
        name.as_str(),
    )
    .record(&state)
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn settings_of(body: Map<String, Value>) -> Result<ProcessorSettings, ApiError> {
    let settings: ProcessorSettings = typed(Some(body))?;
    for (name, value) in [("config", &settings.config), ("limits", &settings.limits)] {
        if value.as_ref().is_some_and(|value| !value.is_object()) {
            return Err(ApiError::input(format!(
                "request/body/{name} must be object"
            )));
        }
    }
    if settings
        .config
        .as_ref()
        .is_some_and(|config| config.to_string().len() > MAX_CONFIG_BYTES)
    {
        return Err(ApiError::input(
            "request/body/config must not be larger than 64 KiB; keep data in a file and read it",
        ));
    }
    let grants = settings.grants.as_deref().unwrap_or_default();
    let sound = |grant: &String| {
        let web = grant.starts_with("https://") || grant.starts_with("http://");
        matches!(grant.as_str(), "location" | "origin") || (web && grant.len() <= MAX_GRANT_BYTES)
    };
    if grants.len() > MAX_GRANTS || !grants.iter().all(sound) {
        let expected =
            format!("at most {MAX_GRANTS} of `location`, `origin` and https:// prefixes");
        return Err(ApiError::input(format!(
            "request/body/grants must be {expected}"
        )));
    }
    Ok(settings)
}
