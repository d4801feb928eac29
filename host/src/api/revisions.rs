//! Revisions of a processor: list, find, download, delete, activate, roll back (DESIGN §3.3). Uploads are in `upload`.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_model::{ProcessorName, TenantId};
use greenroom_storage::{
    Blob, BlobKind, Processor, Quotas, Revision, RevisionDeleted, RevisionState,
};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::activations;
use super::audit::Deed;
use super::auth::{Access, Deploy, Read};
use super::body::{JsonBody, Properties as _};
use super::bundled;
use super::error::ApiError;
use super::etag::tagged;
use super::extract::{self, Params, Segments};
use super::processors::{ProcessorPath, named, no_processor};
use super::rate::Limited;
use super::settings::{check_config, check_config_size, limits_of, unfit_config};
use super::state::ApiState;

/// The media type of a component.
const WASM: &str = "application/wasm";

#[derive(Deserialize)]
pub(super) struct RevisionPath {
    name: String,
    number: String,
}

pub(super) fn body_of(revision: &Revision, current: Option<u32>) -> Value {
    let mut body = json!({
        "number": revision.number,
        "digest": revision.digest,
        "bytes": revision.bytes,
        "createdAt": revision.created_at,
        "activatedAt": revision.activated_at,
        "current": current == Some(revision.number),
    });
    match &revision.state {
        RevisionState::Inspecting => body["state"] = json!("inspecting"),
        RevisionState::Ready { descriptor } => {
            body["state"] = json!("ready");
            describe(&mut body, descriptor);
        }
        RevisionState::Rejected { reason } => {
            body["state"] = json!("rejected");
            body["reason"] = json!(reason);
        }
        RevisionState::Damaged { descriptor, reason } => {
            body["state"] = json!("damaged");
            describe(&mut body, descriptor);
            body["reason"] = json!(reason);
        }
    }
    body
}

/// What the revision says it is, and beside that what the host found out: the track it is called in.
fn describe(body: &mut Value, descriptor: &str) {
    let mut descriptor: Value = serde_json::from_str(descriptor).unwrap_or(Value::Null);
    let track = descriptor
        .as_object_mut()
        .and_then(|own| own.remove("track"));
    if let Some(track) = track {
        body["track"] = track;
    }
    body["descriptor"] = descriptor;
}

pub(super) async fn processor(
    state: &ApiState,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<Processor, ApiError> {
    if bundled::named(state, name).is_some() {
        return Err(bundled::no_revisions(name));
    }
    state
        .storage
        .find_processor(tenant, name)
        .await?
        .ok_or_else(|| no_processor(name))
}

/// The revision of that number.
pub(super) async fn revision(
    state: &ApiState,
    tenant: TenantId,
    name: &ProcessorName,
    number: u64,
) -> Result<Revision, ApiError> {
    let found = match u32::try_from(number) {
        Ok(number) => state.storage.find_revision(tenant, name, number).await?,
        Err(_) => None,
    };
    found.ok_or_else(|| no_revision(name, &number.to_string()))
}

fn no_revision(name: &ProcessorName, number: &str) -> ApiError {
    let shown: String = number.chars().take(20).collect();
    ApiError::not_found(format!("Processor '{name}' has no revision {shown}"))
}

/// A revision that can run.
pub(super) fn ready(revision: &Revision) -> Result<(), ApiError> {
    let number = revision.number;
    match &revision.state {
        RevisionState::Ready { .. } => Ok(()),
        RevisionState::Inspecting => Err(ApiError::conflict(format!(
            "revision {number} is still being inspected; try again when it is ready"
        ))),
        RevisionState::Rejected { reason } => Err(ApiError::conflict(format!(
            "revision {number} was rejected: {reason}; upload a corrected one"
        ))),
        RevisionState::Damaged { reason, .. } => Err(ApiError::conflict(format!(
            "revision {number} is damaged: {reason}"
        ))),
    }
}

/// The processor and the revision in a path.
async fn at(
    state: &ApiState,
    tenant: TenantId,
    path: &RevisionPath,
) -> Result<(Processor, Revision), ApiError> {
    let name = named(&path.name)?;
    let processor = processor(state, tenant, &name).await?;
    let number = path
        .number
        .parse::<u32>()
        .map_err(|_| no_revision(&name, &path.number))?;
    let revision = revision(state, tenant, &name, u64::from(number)).await?;
    Ok((processor, revision))
}

/// `GET …/processors/{name}/revisions`, newest first
pub(super) async fn list_revisions(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    let current = processor(&state, access.tenant, &name).await?.current;
    let revisions = state.storage.list_revisions(access.tenant, &name).await?;
    let items: Vec<Value> = revisions
        .iter()
        .map(|revision| body_of(revision, current))
        .collect();
    Ok(extract::json(StatusCode::OK, &json!({"items": items})))
}

/// `GET …/processors/{name}/revisions/{number}`
pub(super) async fn find_revision(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<RevisionPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let (processor, revision) = at(&state, access.tenant, &path).await?;
    Ok(extract::json(
        StatusCode::OK,
        &body_of(&revision, processor.current),
    ))
}

/// `GET …/processors/{name}/revisions/{number}/component`: the bytes as uploaded
pub(super) async fn download_component(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<RevisionPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let (processor, revision) = at(&state, access.tenant, &path).await?;
    let blob = Blob {
        kind: BlobKind::Component,
        digest: revision.digest,
    };
    let bytes = state.storage.get_blob(access.tenant, &blob).await?;
    let bytes = bytes.ok_or_else(|| {
        ApiError::internal(format!("the component {} is not stored", revision.digest))
    })?;
    let mut response = Body::from(bytes).into_response();
    let file = format!(
        "attachment; filename=\"{}-{}.wasm\"",
        processor.name, revision.number
    );
    let tag = format!("\"{}\"", revision.digest);
    for (name, value) in [
        (header::CONTENT_TYPE, WASM),
        (header::CONTENT_DISPOSITION, &file),
        (header::ETAG, &tag),
    ] {
        let value = HeaderValue::from_str(value)
            .map_err(|error| ApiError::internal(format!("a header of a download: {error}")))?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// `DELETE …/processors/{name}/revisions/{number}`: not the current one, and not what a roll-back or a quarantine goes to
pub(super) async fn delete_revision(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<RevisionPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let (processor, revision) = at(&state, access.tenant, &path).await?;
    let (name, number) = (&processor.name, revision.number);
    let mut deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "delete_revision",
        name.as_str(),
    );
    deed.before = Some(json!({"revision": number, "digest": revision.digest}).to_string());
    match deed
        .on(&state)
        .delete_revision(access.tenant, name, number)
        .await?
    {
        RevisionDeleted::Deleted => {}
        RevisionDeleted::NotFound => return Err(no_revision(name, &path.number)),
        RevisionDeleted::Current => {
            return Err(ApiError::conflict(format!(
                "revision {number} is current; activate another one first"
            )));
        }
        RevisionDeleted::RollBackTarget => {
            return Err(ApiError::conflict(format!(
                "revision {number} is what a roll-back or a quarantine goes to; activate another one first"
            )));
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST …/processors/{name}/activate` with `{"revision": n}`, and `"config"` where the revision asks for another one
pub(super) async fn activate_revision(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    let body = body.unwrap_or_default();
    body.required("revision")?;
    let number = body.integer("revision", 1)?.unwrap_or_default();
    let before = processor(&state, access.tenant, &name).await?;
    let revision = revision(&state, access.tenant, &name, number).await?;
    ready(&revision)?;
    let quotas = state.storage.quotas(access.tenant).await?;
    let config = new_config(&quotas, &before, &body)?;
    activate(
        &state,
        &access,
        before,
        &revision,
        config,
        "activate_revision",
    )
    .await
}

/// `POST …/processors/{name}/rollback`: the newest older revision that was current before. Takes `"config"` as `activate`.
pub(super) async fn roll_back_revision(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    let before = processor(&state, access.tenant, &name).await?;
    let quotas = state.storage.quotas(access.tenant).await?;
    let config = new_config(&quotas, &before, &body.unwrap_or_default())?;
    let target = state
        .storage
        .find_roll_back_target(access.tenant, &name)
        .await?;
    let target = target.ok_or_else(|| {
        ApiError::conflict("no older revision was current before; activate one by its number")
    })?;
    activate(
        &state,
        &access,
        before,
        &target,
        config,
        "roll_back_revision",
    )
    .await
}

fn new_config(
    quotas: &Quotas,
    before: &Processor,
    body: &Map<String, Value>,
) -> Result<Option<Value>, ApiError> {
    let Some(config) = body.get("config") else {
        return Ok(None);
    };
    check_config_size(config, &limits_of(&before.settings, &quotas.call_limits))?;
    Ok(Some(config.clone()))
}

async fn activate(
    state: &ApiState,
    access: &Access<Deploy>,
    before: Processor,
    revision: &Revision,
    config: Option<Value>,
    action: &'static str,
) -> Result<Response, ApiError> {
    let (name, number) = (&before.name, revision.number);
    match &config {
        Some(config) => check_config(revision, Some(config))
            .map_err(|wrong| ApiError::input(format!("request/body/{wrong}")))?,
        None => check_config(revision, before.settings.config.as_ref())
            .map_err(|wrong| unfit_config(name, number, &wrong))?,
    }
    let quotas = state.storage.quotas(access.tenant).await?;
    let (per_minute, clock) = (quotas.activations_per_minute, &*state.clock);
    state
        .rates
        .take(access.tenant, Limited::Activations, per_minute, clock)?;
    let mut deed = Deed::new(&access.actor, Some(access.tenant), action, name.as_str());
    let mut from = json!({"current": before.current});
    let mut to = json!({"current": number});
    if config.is_some() && config != before.settings.config {
        from["config"] = json!(before.settings.config);
        to["config"] = json!(config);
    }
    deed.before = Some(from.to_string());
    deed.after = Some(to.to_string());
    let storage = deed.on(state);
    let activated = match config {
        None => {
            storage
                .activate_revision(access.tenant, name, number)
                .await?
        }
        Some(config) => {
            storage
                .activate_revision_with_config(access.tenant, name, number, config)
                .await?
        }
    };
    if !activated {
        return Err(ApiError::conflict(format!(
            "revision {number} is not ready"
        )));
    }
    state.wakes.outgoing.notify_one();
    let now = processor(state, access.tenant, name).await?;
    let version = now.settings_version;
    let body = activations::with_activation(state, access.tenant, &now).await?;
    Ok(tagged(extract::json(StatusCode::OK, &body), version))
}
