//! Revisions of a processor: upload, list, activate, roll back (DESIGN §3.3).
//!
//! The API stores an upload and has it inspected: it looks at the first eight bytes and at nothing else. An upload that
//! was accepted lives without its client; one that ends early leaves nothing behind (a07).

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_storage::{Blob, BlobKind, NewRevision, Processor, Revision, RevisionState, RunKind};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::activations;
use super::audit::Deed;
use super::auth::{Access, Deploy, Read};
use super::body::{JsonBody, Pieces, Properties as _, refuse_encoding};
use super::component_check;
use super::error::ApiError;
use super::extract::{self, Params, Segments};
use super::processors::{ProcessorPath, named, no_processor};
use super::rate::Limited;
use super::runs;
use super::state::ApiState;

/// Largest component.
const MAX_COMPONENT_BYTES: usize = 32 * 1024 * 1024;

fn body_of(revision: &Revision, current: Option<u32>) -> Value {
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
            body["descriptor"] = serde_json::from_str(descriptor).unwrap_or(Value::Null);
        }
        RevisionState::Rejected { reason } => {
            body["state"] = json!("rejected");
            body["reason"] = json!(reason);
        }
        RevisionState::Damaged { descriptor, reason } => {
            body["state"] = json!("damaged");
            body["descriptor"] = serde_json::from_str(descriptor).unwrap_or(Value::Null);
            body["reason"] = json!(reason);
        }
    }
    body
}

async fn processor(
    state: &ApiState,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<Processor, ApiError> {
    state
        .storage
        .find_processor(tenant, name)
        .await?
        .ok_or_else(|| no_processor(name))
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

/// `POST …/processors/{name}/revisions?wait` with the component's bytes: 201 once `ready` or `rejected`, 202 while
/// `inspecting`, 200 for known bytes.
pub(super) async fn upload_revision(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    let params = params.only(&["wait"])?;
    let patience = runs::wait_of(&params)?;
    let name = named(&path.name)?;
    let current = processor(&state, access.tenant, &name).await?.current;
    let (per_minute, clock) = (state.quotas.uploads_per_minute, &*state.clock);
    state
        .rates
        .take(access.tenant, Limited::Uploads, per_minute, clock)?;
    let bytes = component_bytes(request).await?;
    let digest = Digest::of(&bytes);
    let known = state.storage.list_revisions(access.tenant, &name).await?;
    let known = known.into_iter().find(|revision| revision.digest == digest);
    if known.is_none() {
        runs::room_to_inspect(&state, access.tenant).await?;
    }
    let (revision, found) = match known {
        Some(known) if matches!(known.state, RevisionState::Damaged { .. }) => {
            (heal(&state, &access, &name, known, bytes).await?, true)
        }
        Some(known) => (known, true),
        None => add(&state, &access, &name, digest, bytes).await?,
    };
    if found && revision.state != RevisionState::Inspecting {
        return Ok(extract::json(StatusCode::OK, &body_of(&revision, current)));
    }
    // Bytes known but still `inspecting` are inspected once more: the run of the first upload may be lost.
    let inspect = json!({"processor": name, "revision": revision.number});
    let run = runs::start(&state, access.tenant, RunKind::InspectRevision, &inspect).await?;
    let finished = runs::wait(&state, access.tenant, &run, patience).await?;
    let revision = state
        .storage
        .find_revision(access.tenant, &name, revision.number)
        .await?;
    let revision = revision.ok_or_else(|| no_processor(&name))?;
    let mut body = body_of(&revision, current);
    if finished.is_some() && revision.state != RevisionState::Inspecting {
        let status = if found {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        return Ok(extract::json(status, &body));
    }
    body["run"] = json!(run);
    let mut response = extract::json(StatusCode::ACCEPTED, &body);
    if let Some(tenant) = state.storage.find_tenant_by_id(access.tenant).await?
        && let Ok(address) =
            HeaderValue::from_str(&format!("/tenants/{}/runs/{}", tenant.name, run.0))
    {
        response.headers_mut().insert(header::LOCATION, address);
    }
    Ok(response)
}

async fn component_bytes(request: Request) -> Result<Vec<u8>, ApiError> {
    refuse_encoding(request.headers())?;
    let too_large = || {
        ApiError::too_large(
            "a component may have 32 MiB; strip its debug sections or split the processor",
        )
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_COMPONENT_BYTES as u64) {
        return Err(too_large());
    }
    let mut pieces = Pieces::new(request.into_body());
    let bytes = pieces
        .collect(MAX_COMPONENT_BYTES)
        .await?
        .ok_or_else(too_large)?;
    match component_check::refusal(&bytes) {
        Some(sentence) => Err(ApiError::input(sentence)),
        None => Ok(bytes),
    }
}

/// Stores the bytes of a damaged revision anew. They are those that were inspected.
async fn heal(
    state: &ApiState,
    access: &Access<Deploy>,
    name: &ProcessorName,
    damaged: Revision,
    bytes: Vec<u8>,
) -> Result<Revision, ApiError> {
    let blob = Blob {
        kind: BlobKind::Component,
        digest: damaged.digest,
    };
    let storage = &state.storage;
    storage
        .put_blob(access.tenant, &blob, Bytes::from(bytes))
        .await?;
    storage
        .mark_damaged(access.tenant, &damaged.digest, None)
        .await?;
    let healed = storage
        .find_revision(access.tenant, name, damaged.number)
        .await?;
    Ok(healed.unwrap_or(damaged))
}

async fn add(
    state: &ApiState,
    access: &Access<Deploy>,
    name: &ProcessorName,
    digest: Digest,
    bytes: Vec<u8>,
) -> Result<(Revision, bool), ApiError> {
    let size = bytes.len() as u64;
    let blob = Blob {
        kind: BlobKind::Component,
        digest,
    };
    state
        .storage
        .put_blob(access.tenant, &blob, Bytes::from(bytes))
        .await?;
    let added = state
        .storage
        .add_revision(access.tenant, name, &digest, size)
        .await?;
    let (revision, known) = match added.ok_or_else(|| no_processor(name))? {
        NewRevision::Added(revision) => (revision, false),
        NewRevision::Known(revision) => (revision, true),
    };
    let dropped = match known {
        true => Vec::new(),
        false => {
            let keep = state.quotas.revisions_per_processor;
            state
                .storage
                .drop_old_revisions(access.tenant, name, keep)
                .await?
        }
    };
    let mut deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "upload_revision",
        name.as_str(),
    );
    let after = json!({"revision": revision.number, "digest": digest, "dropped": dropped});
    deed.after = Some(after.to_string());
    deed.record(state).await?;
    Ok((revision, known))
}

/// `POST …/processors/{name}/activate` with `{"revision": n}`
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
    let no_revision =
        || ApiError::not_found(format!("Processor '{name}' has no revision {number}"));
    let number = u32::try_from(number).map_err(|_| no_revision())?;
    let revision = state
        .storage
        .find_revision(access.tenant, &name, number)
        .await?
        .ok_or_else(no_revision)?;
    match &revision.state {
        RevisionState::Ready { .. } => {
            activate(&state, &access, before, number, "activate_revision").await
        }
        RevisionState::Inspecting => Err(ApiError::conflict(format!(
            "revision {number} is still being inspected; activate it when it is ready"
        ))),
        RevisionState::Damaged { reason, .. } => Err(ApiError::conflict(format!(
            "revision {number} is damaged: {reason}"
        ))),
        RevisionState::Rejected { reason } => Err(ApiError::conflict(format!(
            "revision {number} was rejected: {reason}; upload a corrected one"
        ))),
    }
}

/// `POST …/processors/{name}/rollback`: the newest older revision that was current before.
pub(super) async fn roll_back_revision(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
    _body: JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    let before = processor(&state, access.tenant, &name).await?;
    let revisions = state.storage.list_revisions(access.tenant, &name).await?;
    let older = revisions.iter().find(|revision| {
        let ready = matches!(revision.state, RevisionState::Ready { .. });
        ready
            && revision.activated_at.is_some()
            && before
                .current
                .is_some_and(|current| revision.number < current)
    });
    match older.map(|revision| revision.number) {
        Some(number) => activate(&state, &access, before, number, "roll_back_revision").await,
        None => Err(ApiError::conflict(
            "no older revision was current before; activate one by its number",
        )),
    }
}

async fn activate(
    state: &ApiState,
    access: &Access<Deploy>,
    before: Processor,
    number: u32,
    action: &'static str,
) -> Result<Response, ApiError> {
    let (per_minute, clock) = (state.quotas.activations_per_minute, &*state.clock);
    state
        .rates
        .take(access.tenant, Limited::Activations, per_minute, clock)?;
    if !state
        .storage
        .activate_revision(access.tenant, &before.name, number)
        .await?
    {
        return Err(ApiError::conflict(format!(
            "revision {number} is not ready"
        )));
    }
    state.wakes.outgoing.notify_one();
    let mut deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        action,
        before.name.as_str(),
    );
    deed.before = Some(json!({"current": before.current}).to_string());
    deed.after = Some(json!({"current": number}).to_string());
    deed.record(state).await?;
    let now = processor(state, access.tenant, &before.name).await?;
    let body = activations::with_activation(state, access.tenant, &now).await?;
    Ok(extract::json(StatusCode::OK, &body).into_response())
}
