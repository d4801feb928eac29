//! `POST …/processors/{name}/revisions`: an upload, streamed into storage (DESIGN §3.3).
//!
//! The API looks at an upload's first bytes and at nothing else, and holds one piece of 64 KiB at a time. Its digest is
//! known at the end only, so the pieces go to storage under a name of their own and become a revision in one transaction;
//! until then nothing sees them. An upload that ends early, or that turns out to be known, leaves nothing behind (a06,
//! a07). One that was accepted lives without its client.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_storage::{NewRevision, Revision, RevisionState, RunKind, UploadId};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::audit::Deed;
use super::auth::{Access, Deploy};
use super::body::{Pieces, refuse_encoding};
use super::component_check;
use super::error::ApiError;
use super::extract::{self, Params, Segments};
use super::processors::{ProcessorPath, named, no_processor};
use super::rate::Limited;
use super::revisions::{body_of, processor};
use super::runs;
use super::state::ApiState;

/// Largest component (DESIGN §3.2).
const MAX_COMPONENT_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes held before they are stored. More than the first bytes that are looked at, and no more than a06 allows.
const PIECE_BYTES: usize = 64 * 1024;

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
    let quotas = state.storage.quotas(access.tenant).await?;
    let (per_minute, clock) = (quotas.uploads_per_minute, &*state.clock);
    state
        .rates
        .take(access.tenant, Limited::Uploads, per_minute, clock)?;
    let mut staged = Staged::new(&state, access.tenant);
    let length = checked_length(request.headers())?;
    let (digest, bytes) = staged.receive(request.into_body(), length).await?;
    let (revision, known) = publish(&state, &access, &name, staged, digest, bytes).await?;
    if known && revision.state != RevisionState::Inspecting {
        return Ok(extract::json(StatusCode::OK, &body_of(&revision, current)));
    }
    // Bytes known but still `inspecting` are inspected once more: the run of the first upload may be lost.
    let inspect = json!({"processor": name, "revision": revision.number});
    let run = runs::start(&state, access.tenant, RunKind::InspectRevision, &inspect).await?;
    let finished = runs::wait(&state, access.tenant, &run, patience).await?;
    let revision = state
        .storage
        .find_revision(access.tenant, &name, revision.number)
        .await?
        .ok_or_else(|| no_processor(&name))?;
    let mut body = body_of(&revision, current);
    if finished.is_some() || revision.state != RevisionState::Inspecting {
        let status = if known {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        return Ok(extract::json(status, &body));
    }
    body["run"] = json!(run);
    runs::accepted(&state, access.tenant, &run, body).await
}

/// The length that the request declares, if it does and is one that can be taken.
fn checked_length(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    refuse_encoding(headers)?;
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_COMPONENT_BYTES) {
        return Err(too_large());
    }
    Ok(length)
}

fn too_large() -> ApiError {
    ApiError::too_large(
        "a component may have 32 MiB; strip its debug sections or split the processor",
    )
}

/// An upload on its way. One that is dropped before it is published is dropped from storage too.
struct Staged {
    state: ApiState,
    tenant: TenantId,
    id: Option<UploadId>,
    pieces: u32,
}

impl Staged {
    fn new(state: &ApiState, tenant: TenantId) -> Self {
        Self {
            state: state.clone(),
            tenant,
            id: Some(UploadId(uuid::Uuid::new_v4().to_string())),
            pieces: 0,
        }
    }

    /// Takes a whole body into storage; its digest and size.
    async fn receive(
        &mut self,
        body: Body,
        declared: Option<u64>,
    ) -> Result<(Digest, u64), ApiError> {
        let mut incoming = Pieces::new(body);
        let mut held = BytesMut::new();
        let mut hasher = Sha256::new();
        let mut bytes = 0_u64;
        while let Some(mut piece) = incoming.next().await? {
            bytes = bytes.saturating_add(piece.len() as u64);
            if bytes > MAX_COMPONENT_BYTES {
                return Err(too_large());
            }
            while !piece.is_empty() {
                let taken = piece.split_to(piece.len().min(PIECE_BYTES - held.len()));
                held.extend_from_slice(&taken);
                if held.len() == PIECE_BYTES {
                    hasher.update(&held);
                    self.store(held.split().freeze()).await?;
                }
            }
        }
        if declared.is_some_and(|declared| declared != bytes) {
            return Err(ApiError::input(
                "the request body ended early; send it again",
            ));
        }
        hasher.update(&held);
        if self.pieces == 0 || !held.is_empty() {
            self.store(held.freeze()).await?;
        }
        Ok((Digest::from_bytes(hasher.finalize().into()), bytes))
    }

    async fn store(&mut self, piece: Bytes) -> Result<(), ApiError> {
        if self.pieces == 0
            && let Some(sentence) = component_check::refusal(&piece)
        {
            return Err(ApiError::input(sentence));
        }
        if let Some(id) = &self.id {
            self.state
                .storage
                .stage_upload(self.tenant, id, self.pieces, piece)
                .await?;
            self.pieces += 1;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Outside a runtime the process is ending; the sweep finds what is left after an hour.
        if let Some(id) = self.id.take()
            && self.pieces > 0
            && tokio::runtime::Handle::try_current().is_ok()
        {
            let (state, tenant) = (self.state.clone(), self.tenant);
            self.state.lifecycle.spawn(async move {
                if let Err(error) = state.storage.drop_upload(tenant, &id).await {
                    tracing::warn!(%error, "an unfinished upload could not be removed; it is swept");
                }
            });
        }
    }
}

/// Makes a received upload a revision, or finds the one that has these bytes and heals it if it is damaged; whether they
/// were known. One that is to be inspected needs room in the compile queue, and a new one pushes out the oldest beyond the
/// quota (a20).
async fn publish(
    state: &ApiState,
    access: &Access<Deploy>,
    name: &ProcessorName,
    mut staged: Staged,
    digest: Digest,
    bytes: u64,
) -> Result<(Revision, bool), ApiError> {
    let Some(upload) = staged.id.clone() else {
        return Err(ApiError::internal("an upload was published twice"));
    };
    let known = state.storage.list_revisions(access.tenant, name).await?;
    let known = known.iter().find(|revision| revision.digest == digest);
    if known.is_none_or(|revision| revision.state == RevisionState::Inspecting) {
        runs::room_to_inspect(state, access.tenant).await?;
    }
    let deed = |action| Deed::new(&access.actor, Some(access.tenant), action, name.as_str());
    let added = deed("upload_revision")
        .on(state)
        .publish_revision(access.tenant, name, &upload, &digest, bytes)
        .await?;
    // From here on storage has it, or has dropped it.
    staged.id = None;
    let revision = match added.ok_or_else(|| no_processor(name))? {
        NewRevision::Known(revision) => return Ok((revision, true)),
        NewRevision::Added(revision) => revision,
        NewRevision::OverQuota(over) => return Err(ApiError::conflict(over.to_string())),
    };
    let keep = state.storage.quotas(access.tenant).await?;
    let keep = keep.revisions_per_processor;
    deed("drop_old_revisions")
        .on(state)
        .drop_old_revisions(access.tenant, name, keep)
        .await?;
    Ok((revision, false))
}
